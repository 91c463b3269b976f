"""What the server publishes from: a market or a recording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from upbit_exchange.market.listing import Market
from upbit_exchange.wire.names import Event


class Source(Protocol):
    """Events in order of publication; depends on the exchange's time it is asked with, never on a clock of its own."""

    @property
    def markets(self) -> Sequence[Market]:
        """What is listed."""

    @property
    def ended(self) -> bool:
        """Whether no event will come any more."""

    def begin(self, ms: int) -> None:
        """Events follow from this moment (ms) on."""

    def take(self, until_ms: int, limit: int) -> list[Event]:
        """The events due up to `until_ms`, at most `limit`."""
