"""The public HTTP API. Flask lives here only; every handler reads, names the use case, calls it, and returns."""
