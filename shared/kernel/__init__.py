"""Kernel: errors, time, identifiers, money, documents, events and settings for every domain.

Imports no other package here.
"""
