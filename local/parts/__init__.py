"""One module a kind of process: how it is configured, started and known to be ready."""
