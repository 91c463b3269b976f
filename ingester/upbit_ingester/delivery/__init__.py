"""Delivery brings records from the spools into Kafka."""
