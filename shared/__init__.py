"""The library behind every function: the ledger, the domains around it, the adapters under it."""
