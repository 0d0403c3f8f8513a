"""Google Cloud Firestore."""
