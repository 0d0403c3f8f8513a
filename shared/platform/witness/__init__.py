"""Adapter of witnesses of the transparency log."""
