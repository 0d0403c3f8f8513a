"""Random streams as providers might send them, and what each has to come to."""
