"""The wire: names, spelling, frames, requests, limits."""
