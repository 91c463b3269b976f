"""The gap heals at the source: after each (re)connect the trades that were missed are fetched by REST.

Upbit repeats every code's last trade as SNAPSHOT on each connect. A code whose SNAPSHOT is known has lost nothing;
for the others the trades since the last known one are fetched, turned into WebSocket shape and kept like any other.
"""

import asyncio
import heapq
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import msgspec

from upbit_ingester.health.metrics import Metrics
from upbit_ingester.spool.state import KnownTrades
from upbit_ingester.upbit import rest_trades
from upbit_ingester.upbit.rest import Rest, RestError
from upbit_ingester.upbit.rest_trades import REACH_DAYS, RestTrade

log = logging.getLogger(__name__)

PAGE = 500
LAG_S = 3.0  # REST trails the WebSocket by up to a few seconds
SURE_LAG_S = 10.0  # and this is waited where no trade is known that REST must show
MAX_WAIT_S = 300.0
PATIENCE = 6  # searches until a trade that no page shows counts as out of reach
MARGIN_MS = 2_000  # a trade may be published after a younger one


@dataclass(frozen=True, slots=True)
class Target:
    """One code to heal: until its SNAPSHOT's trade is there, everything younger than `from_ms` is wanted.

    `snapshot_id` is 0 where no trade is known that must be there: everything that REST has since `from_ms` is wanted,
    and `snapshot_ms` is the exchange's time.
    """

    code: str
    from_ms: int
    snapshot_id: int
    snapshot_ms: int
    attempt: int = 0

    def days(self) -> int:
        """How many midnights (UTC) the gap spans."""
        return rest_trades.days_between(self.from_ms - MARGIN_MS, self.snapshot_ms)


def decide(
    code: str, sequential_id: int, event_ms: int, known: KnownTrades | None
) -> Target | Literal["baseline", "complete"]:
    """A SNAPSHOT means for its code: the first trade ever, nothing missing, or something to fetch."""
    if known is None:
        return "baseline"
    if known.gap_from_ms is not None:
        return Target(code, known.gap_from_ms, sequential_id, event_ms)
    if sequential_id in known.ids:
        return "complete"
    return Target(code, known.last_ms, sequential_id, event_ms)


@dataclass(frozen=True, slots=True)
class Selection:
    """One page brings the trades that are missing (oldest first), and shows whether older pages matter."""

    missing: list[RestTrade]
    reached_start: bool
    next_cursor: int | None  # None: this day holds no more


def select(page: list[RestTrade], target: Target, known_ids: set[int]) -> Selection:
    """Judge one page of REST trades (newest first) for `target`."""
    earliest_ms = target.from_ms - MARGIN_MS
    missing = [
        trade for trade in reversed(page) if trade.timestamp >= earliest_ms and trade.sequential_id not in known_ids
    ]
    reached = any(trade.timestamp < earliest_ms for trade in page)
    full = len(page) >= PAGE
    return Selection(missing, reached, min(trade.sequential_id for trade in page) if full else None)


@dataclass(slots=True)
class Search:
    """A search knows how far it has come for its target."""

    kept: int = 0  # trades
    found_day: int | None = None  # days ago of the SNAPSHOT's trade, once a page has shown it
    oldest_ms: int = 0  # of the trades seen, 0 = none was
    reached_start: bool = False

    def see(self, page: list[RestTrade], target: Target, days_ago: int) -> None:
        """Take note of a page that is not empty."""
        self.oldest_ms = page[-1].timestamp
        if self.found_day is None and any(trade.sequential_id == target.snapshot_id for trade in page):
            self.found_day = days_ago

    def last_day(self, target: Target) -> int | None:
        """Days ago of the day in which the gap begins; None while that is not known."""
        if self.found_day is None:
            return None
        return self.found_day + target.days()

    def outcome(self, target: Target) -> Literal["healed", "unreachable", "again"]:
        """The search says whether its target is healed, out of REST's reach, or must be searched for again."""
        if not target.snapshot_id:
            return "healed" if self.reached_start or target.days() <= REACH_DAYS else "unreachable"
        last_day = self.last_day(target)
        if last_day is not None:
            return "healed" if self.reached_start or last_day <= REACH_DAYS else "unreachable"
        # REST trails, or the SNAPSHOT's trade is older than REST reaches.
        return "again" if self.reached_start or target.attempt + 1 < PATIENCE else "unreachable"


@dataclass(order=True, slots=True)
class _Due:
    at_s: float
    code: str
    target: Target = field(compare=False)


class Refetcher:
    """The refetcher heals the targets one by one and never gives one up.

    `known` tells what is kept of a code, `room` returns once there is space to keep more, `keep` takes a fetched trade.
    At the end of a target either `healed` is called, or `unreachable` with the time (ms) of the oldest trade that REST
    still has.
    """

    def __init__(
        self,
        client: Rest,
        metrics: Metrics,
        known: Callable[[str], KnownTrades | None],
        room: Callable[[], Awaitable[None]],
        keep: Callable[[RestTrade], None],
        healed: Callable[[str], None],
        unreachable: Callable[[Target, int], None],
    ) -> None:
        self._client = client
        self._metrics = metrics
        self._known = known
        self._room = room
        self._keep = keep
        self._healed = healed
        self._unreachable = unreachable
        self._due: list[_Due] = []
        self._latest: dict[str, Target] = {}
        self._changed = asyncio.Event()

    def add(self, target: Target) -> None:
        """Heal `target` once REST has had time to follow; a newer target of the same code replaces an older one."""
        self._schedule(target, LAG_S if target.snapshot_id else SURE_LAG_S)

    def _schedule(self, target: Target, wait_s: float) -> None:
        self._latest[target.code] = target
        heapq.heappush(self._due, _Due(asyncio.get_running_loop().time() + wait_s, target.code, target))
        self._metrics.refetch_pending = len(self._latest)
        self._changed.set()

    async def run(self) -> None:
        """Heal whatever is due, for ever."""
        while True:
            due = await self._next_due()
            if self._latest.get(due.code) is due.target:
                await self._heal(due.target)

    async def _next_due(self) -> _Due:
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            if not self._due:
                await self._changed.wait()
                continue
            wait = self._due[0].at_s - loop.time()
            if wait <= 0:
                return heapq.heappop(self._due)
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def _heal(self, target: Target) -> None:
        search = Search()
        try:
            await self._fetch(target, search)
            outcome = search.outcome(target)
        except (RestError, msgspec.MsgspecError) as error:
            log.warning("refetch %s: %s", target.code, error)
            outcome = "again"
        if search.kept:
            log.info("refetch %s: %d trades since %s", target.code, search.kept, rest_trades.utc_text(target.from_ms))
        if self._latest.get(target.code) is target:  # else a newer SNAPSHOT came meanwhile and is scheduled
            self._settle(target, search, outcome)

    def _settle(self, target: Target, search: Search, outcome: Literal["healed", "unreachable", "again"]) -> None:
        if outcome == "again":
            wait_s = min(LAG_S * 2.0 ** min(target.attempt, 20), MAX_WAIT_S)
            self._schedule(replace(target, attempt=target.attempt + 1), wait_s)
            return
        del self._latest[target.code]
        self._metrics.refetch_pending = len(self._latest)
        if outcome == "healed":
            self._healed(target.code)
            return
        self._metrics.refetch_unreachable += 1
        since = rest_trades.utc_text(target.from_ms)
        log.error("refetch %s: trades since %s are older than REST reaches; recorded as a gap", target.code, since)
        self._unreachable(target, search.oldest_ms or target.snapshot_ms)

    async def _fetch(self, target: Target, search: Search) -> None:
        """Fetch and keep what is missing, newest day first, back to the gap's beginning or as far as REST goes."""
        for days_ago in range(REACH_DAYS + 1):
            await self._fetch_day(target, search, days_ago)
            last_day = search.last_day(target)
            # One day more than the gap spans: midnight may have passed meanwhile.
            if search.reached_start or (last_day is not None and days_ago > last_day):
                return

    async def _fetch_day(self, target: Target, search: Search, days_ago: int) -> None:
        page = await self._page(target.code, None, days_ago)
        while page:
            search.see(page, target, days_ago)
            selection = select(page, target, self._known_ids(target.code))
            for trade in selection.missing:
                self._keep(trade)
            search.kept += len(selection.missing)
            self._metrics.refetched_trades += len(selection.missing)
            search.reached_start = selection.reached_start
            if selection.reached_start or selection.next_cursor is None:
                return
            page = await self._page(target.code, selection.next_cursor, days_ago)

    def _known_ids(self, code: str) -> set[int]:
        known = self._known(code)
        return set(known.ids) if known else set()

    async def _page(self, code: str, cursor: int | None, days_ago: int) -> list[RestTrade]:
        await self._room()
        parameters: dict[str, str | int] = {"market": code, "count": PAGE}
        if days_ago:
            parameters["days_ago"] = days_ago
        if cursor is not None:
            parameters["cursor"] = cursor
        return rest_trades.decode(await self._client.get("/trades/ticks", **parameters))
