"""Chains of the laptop and of the tests: real nodes on this machine, contracts, and proxies that misbehave."""
