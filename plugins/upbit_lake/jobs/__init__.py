"""One streaming job's life: identity, start, stop, resume."""
