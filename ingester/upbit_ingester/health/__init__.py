"""What the ingester says of itself."""
