"""Faults that can be switched on."""
