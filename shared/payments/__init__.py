"""Payments: what is sold, what was paid, what the providers say."""
