"""The exchange's side: sockets, sessions, markets, REST."""
