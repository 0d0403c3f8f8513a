"""The only code that may change a balance."""
