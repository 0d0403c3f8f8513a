"""OpenAI-compatible model providers, through OpenAI's SDK."""
