"""Turns of conversations, with summaries and titles."""
