"""OpenAI's protocol: dialects of the routes, readers of answers, and stored answers."""
