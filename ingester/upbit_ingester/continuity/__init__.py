"""Continuity decides whether anything was missed."""
