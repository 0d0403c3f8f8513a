"""Accounts of users: greeting, welcome bonus, operators' acts and leaving."""
