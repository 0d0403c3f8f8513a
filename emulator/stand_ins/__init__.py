"""Stand-in payment providers: stateful, shaped and signed as the real ones, badly behaved on command."""
