"""Adapter for Bitcoin: one chain through an Esplora-compatible API, with blocks and payments checked by their work."""
