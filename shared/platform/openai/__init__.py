"""OpenAI-compatible model providers over HTTP."""
