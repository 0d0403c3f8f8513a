"""Crypto payments: networks, addresses and levels of addresses."""
