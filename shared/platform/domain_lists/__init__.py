"""Domain lists from packages: public suffixes, and providers of throw-away addresses."""
