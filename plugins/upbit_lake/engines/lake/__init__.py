"""Readers of the lake, in processes of their own."""
