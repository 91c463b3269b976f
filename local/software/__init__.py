"""Software that is installed, by lock files."""
