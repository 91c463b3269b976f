"""The gate decides whether a frame fits the lake."""
