"""Several processes on one real store, killed at any moment: what they were told is held against what is stored."""
