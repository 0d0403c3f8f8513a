"""Adapters that derive addresses of payments from public keys, two of them independent of each other."""
