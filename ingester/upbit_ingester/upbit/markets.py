"""Markets gives the codes to subscribe to: those of the settings, or all that the exchange lists, as they change."""

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import NamedTuple

import msgspec

from upbit_ingester.backoff import Backoff
from upbit_ingester.health.metrics import Metrics
from upbit_ingester.upbit.rest import Rest, RestError
from upbit_ingester.upbit.socket import SNAPSHOT_WAIT_S

log = logging.getLogger(__name__)

_NAMED = 5  # codes in a log line


class Market(msgspec.Struct):
    """One element of GET /market/all."""

    market: str


class Changes(NamedTuple):
    """An answer of the exchange changes the list by these codes."""

    listed: tuple[str, ...]
    delisted: tuple[str, ...]


def markets_in(body: bytes) -> tuple[str, ...]:
    """The codes in the answer to GET /market/all; ValueError when it names none."""
    markets = msgspec.json.decode(body, type=list[Market])
    if not markets:
        raise ValueError("the answer lists no market")
    return tuple(market.market for market in markets)


def changes(codes: tuple[str, ...], answer: tuple[str, ...], before: tuple[str, ...]) -> Changes:
    """The changes that `answer` makes to `codes`; `before` is the answer before it.

    A new code counts at once. One that is not listed any more must be missing twice: a short answer would cost data.
    """
    known = set(codes)
    gone = known.difference(answer, before)
    return Changes(tuple(code for code in answer if code not in known), tuple(sorted(gone)))


def named(codes: Collection[str]) -> str:
    """Up to five of `codes` for a log line."""
    shown = ", ".join(sorted(codes)[:_NAMED])
    return f"{shown}, …" if len(codes) > _NAMED else shown


class Markets:
    """Markets keeps the codes, one tuple that is replaced when they change."""

    def __init__(
        self,
        codes: tuple[str, ...],
        client: Rest,
        metrics: Metrics,
        backoff: Backoff,
        event_ms: Callable[[], int],
        listed: Callable[[tuple[str, ...], int], None],
        sockets: int,
    ) -> None:
        """`codes`: of the settings, empty for all. `event_ms`: the exchange's time (ms) as far as its events say it.

        `listed` is called with new codes before they are subscribed to, and the time when they were not listed yet.
        """
        self._follows = not codes
        self._client = client
        self._metrics = metrics
        self._backoff = backoff
        self._event_ms = event_ms
        self._listed = listed
        self._before: tuple[str, ...] = ()
        self._before_ms = 0
        self._set(codes, sockets)

    def codes(self, socket: int = 0) -> tuple[str, ...]:
        """The codes that the `socket`-th socket of each stream subscribes to; without a number what is wanted."""
        return self._codes[socket]

    def _set(self, codes: tuple[str, ...], sockets: int) -> None:
        self._codes = [codes] * sockets
        self._metrics.markets = len(codes)

    async def start(self) -> None:
        """Ask for the list, if it is to be followed, until the exchange answers."""
        while self._follows:
            asked_ms = self._event_ms()
            try:
                self._before = await self._ask()
            except (RestError, msgspec.MsgspecError, ValueError) as error:
                wait_s = self._backoff.next_s()
                log.warning("market list: %s; next try in %.1f s", error, wait_s)
                await asyncio.sleep(wait_s)
                continue
            self._before_ms = asked_ms
            self._set(self._before, len(self._codes))
            log.info("market list: %d markets", len(self._before))
            return

    async def follow(self, refresh_s: float) -> None:
        """Ask again each `refresh_s` seconds. An answer that fails changes nothing."""
        while self._follows:
            await asyncio.sleep(refresh_s)
            asked_ms = self._event_ms()
            try:
                answer = await self._ask()
            except (RestError, msgspec.MsgspecError, ValueError) as error:
                log.warning("market list: %s; the old one of %d stays", error, len(self.codes()))
                continue
            found = changes(self.codes(), answer, self._before)
            since_ms, self._before, self._before_ms = self._before_ms, answer, asked_ms
            if found.listed or found.delisted:
                await self._change(found, since_ms)

    async def _ask(self) -> tuple[str, ...]:
        return markets_in(await self._client.get("/market/all"))

    async def _change(self, found: Changes, since_ms: int) -> None:
        for kind, codes in found._asdict().items():
            self._metrics.market_changes[kind] += len(codes)
            if codes:
                log.warning("market list: %d %s: %s", len(codes), kind, named(codes))
        self._listed(found.listed, since_ms)
        gone = set(found.delisted)
        codes = tuple(code for code in self.codes() if code not in gone) + found.listed
        self._metrics.markets = len(codes)
        for number in range(len(self._codes)):
            if number:
                await asyncio.sleep(2 * SNAPSHOT_WAIT_S)  # one socket carries on while the other subscribes again
            self._codes[number] = codes
