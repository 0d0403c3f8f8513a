"""The packages that are deployed and developed with: names with reasons, locks, audit, bill of materials."""
