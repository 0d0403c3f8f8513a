"""Edits of stored accounts and of exports: each is found, located and survived."""
