"""Image tasks, generated images and links to images."""
