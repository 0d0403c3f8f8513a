"""Search of operators for anything by its name."""
