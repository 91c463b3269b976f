"""The journal of what was published, and what it is published from."""
