"""The no-Docker runner: installs the parts, renders their configuration and supervises the real processes."""
