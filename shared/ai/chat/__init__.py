"""Conversations of users and the memory of a conversation."""
