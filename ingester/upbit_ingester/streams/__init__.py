"""One stream's frames on their way."""
