"""Adapter that stores the schema version of every document."""
