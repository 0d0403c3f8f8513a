"""Commands that an operator runs against a real Google project. Nothing here is deployed."""
