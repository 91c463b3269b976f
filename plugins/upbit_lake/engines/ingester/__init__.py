"""The ingester's control and what it says of itself."""
