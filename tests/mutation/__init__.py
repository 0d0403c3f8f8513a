"""Small lies told to `shared/ledger`, one at a time: a test must notice each."""
