"""Adapter of Google Cloud KMS."""
