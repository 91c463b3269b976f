"""State that outlives a run, in PostgreSQL."""
