"""Models, their prices, and the work that users have models do: chats, OpenAI calls, images and agent tasks."""
