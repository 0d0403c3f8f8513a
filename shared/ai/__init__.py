"""Models, their prices, and the conversations users have with them."""
