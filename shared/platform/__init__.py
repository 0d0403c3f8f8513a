"""Adapters: one package per vendor, none imports another."""
