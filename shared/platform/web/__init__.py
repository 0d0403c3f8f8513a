"""Public web pages, fetched within limits and from public addresses only."""
