"""PayPal adapter: Orders v2 over a hardened SDK transport, and webhook signatures that are verified offline."""
