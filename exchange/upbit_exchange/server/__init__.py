"""The server: one port, its clients, its switch."""
