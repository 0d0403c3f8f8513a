"""Firebase Auth and App Check."""
