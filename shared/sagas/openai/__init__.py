"""Calls through the OpenAI routes."""
