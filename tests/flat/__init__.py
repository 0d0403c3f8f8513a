"""Cost of watching a chain, by the number of addresses ever made and the number of hot ones."""
