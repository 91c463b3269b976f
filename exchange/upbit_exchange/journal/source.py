"""A source gives the exchange its events: a market or a recording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from upbit_exchange.market.listing import Market
from upbit_exchange.wire.names import Event


class Source(Protocol):
    """A source yields events in order of publication, by the exchange's time it is given, never by its own clock."""

    @property
    def markets(self) -> Sequence[Market]:
        """Returns the markets that are listed."""

    @property
    def ended(self) -> bool:
        """Whether no event will come any more."""

    def begin(self, ms: int) -> None:
        """The source begins at this moment (ms)."""

    def take(self, until_ms: int, limit: int) -> list[Event]:
        """Returns the events due up to `until_ms`, at most `limit`."""
