"""Tools of an agent: one small class per tool, with a schema for the arguments."""
