"""A local Upbit: the exchange's WebSocket and REST wire, a believable market or a recording behind it."""
