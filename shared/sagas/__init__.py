"""Whatever touches two domains: each saga reads as the list of what it does."""
