"""Verification proves an hour."""
