"""Reconciling makes it so, and reports drift."""
