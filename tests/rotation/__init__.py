"""Rotations of the signing key under load."""
