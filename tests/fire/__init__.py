"""Chats under fire: more callers than credits, callers that leave, processes that die."""
