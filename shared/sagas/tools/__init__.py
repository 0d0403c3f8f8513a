"""What an agent may use: one small class each, with a schema for its arguments."""
