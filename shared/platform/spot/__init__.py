"""Last trades at exchanges, as prices."""
