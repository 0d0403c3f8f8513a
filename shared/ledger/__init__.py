"""Ledger of credits: the only code that may change a balance."""
