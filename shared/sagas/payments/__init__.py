"""Payments: checkout, settlement, refunds and providers' notices."""
