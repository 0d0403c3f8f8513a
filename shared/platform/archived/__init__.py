"""Documents of which some lie in the bucket."""
