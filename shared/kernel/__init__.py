"""What every domain speaks: errors, time, identifiers, money, documents, events, settings. Imports nothing of ours."""
