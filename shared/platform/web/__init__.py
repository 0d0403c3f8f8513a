"""The public web, read with care."""
