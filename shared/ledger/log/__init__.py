"""The transparency log over all journals: leaves, tiles, signed checkpoints, proofs. No cloud vendor is imported."""
