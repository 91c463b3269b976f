"""Processes of a home: supervised, started, found again."""
