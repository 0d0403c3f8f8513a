"""Image tasks: start, job and sweep."""
