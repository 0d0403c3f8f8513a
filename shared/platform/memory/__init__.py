"""Every port in memory, with the vendor's rules: for tests, simulation and design."""
