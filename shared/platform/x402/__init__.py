"""Client of an x402 facilitator. The package of the same name is for tests and laptops only: its import is slow."""
