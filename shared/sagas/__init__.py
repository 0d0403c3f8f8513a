"""Sagas: use cases that touch two domains, one package per flow."""
