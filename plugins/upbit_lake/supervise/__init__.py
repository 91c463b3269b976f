"""Supervision looks, judges, and restarts within a budget."""
