"""A stand-in model provider with OpenAI's shapes: scripted answers, and a bill of every call."""
