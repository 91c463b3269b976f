"""One home: places, ports, credentials, source, settings."""
