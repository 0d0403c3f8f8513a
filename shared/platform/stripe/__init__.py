"""Stripe adapter: Checkout and PaymentIntents through Stripe's SDK, and webhook signatures without the SDK."""
