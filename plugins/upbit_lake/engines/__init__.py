"""Clients say whom we speak to: one folder an engine; no policy, no decision."""
