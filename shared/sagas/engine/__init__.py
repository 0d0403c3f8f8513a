"""Engine of the sagas: recorded steps, leases on documents, and periodic jobs."""
