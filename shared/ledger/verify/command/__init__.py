"""Command of the offline verifier: files, worker processes, and the report. No deployed function uses this package."""
