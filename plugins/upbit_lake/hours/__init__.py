"""Hours of the exchange's clock: which are closed and want work."""
