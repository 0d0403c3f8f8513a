"""Stripe: Checkout and PaymentIntents through its SDK, and its webhook signatures without it."""
