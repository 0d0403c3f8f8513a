"""Crypto payments over real nodes: random reorgs, lying sources, and workers that are killed."""
