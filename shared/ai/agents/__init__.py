"""Agent tasks as documents, and the ports to a thinking model and the web."""
