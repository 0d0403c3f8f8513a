"""Readers of a Google project's facts: one module for each source, and `gather` for all."""
