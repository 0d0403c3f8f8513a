"""Payments: packages on sale, payments of users, and the port to payment providers."""
