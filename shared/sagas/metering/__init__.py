"""Metered calls of models: admission, hold, reading, charge and recovery."""
