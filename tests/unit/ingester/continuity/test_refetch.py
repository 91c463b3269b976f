"""What a SNAPSHOT means, which trades of a REST page are missing, and their WebSocket shape."""

import asyncio
import json
import threading
from dataclasses import dataclass, field
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest

from tests.unit.ingester.sample_frames import REST_TRADE, TRADE_LIVE
from upbit_ingester.clock import Clock
from upbit_ingester.continuity.refetch import MARGIN_MS, PAGE, Refetcher, Target, decide, select
from upbit_ingester.gate.gate import Accepted, Gate
from upbit_ingester.health.metrics import Metrics
from upbit_ingester.spool.state import KnownTrades
from upbit_ingester.upbit import rest_trades
from upbit_ingester.upbit.budgets import Budgets
from upbit_ingester.upbit.rest import Answer, RestClient, RestError, retry_wait_s
from upbit_ingester.upbit.rest_trades import RestTrade

DAY = 86_400_000
NOON = 20_000 * DAY + DAY // 2


def trade(number: int, at_ms: int | None = None) -> RestTrade:
    fields = {"market": "KRW-BTC", "trade_date_utc": "2024-10-04", "trade_time_utc": "12:00:00", "ask_bid": "ASK"}
    numbers = {"trade_price": 1, "trade_volume": 2, "prev_closing_price": 1, "change_price": 0}
    at_ms = NOON + number * 100 if at_ms is None else at_ms
    page = [{**fields, **numbers, "timestamp": at_ms, "sequential_id": number}]
    return rest_trades.decode(json.dumps(page).encode())[0]


# -- what a SNAPSHOT means -------------------------------------------------------------------------------------------


def test_the_first_trade_ever_seen_of_a_code_is_where_our_time_begins() -> None:
    assert decide("KRW-BTC", 7, NOON, None) == "baseline"


def test_a_known_last_trade_means_that_nothing_was_missed_even_when_it_is_not_the_youngest_id() -> None:
    assert decide("KRW-BTC", 5, NOON, KnownTrades(NOON, [9, 5, 7])) == "complete"


def test_an_unknown_last_trade_is_fetched_from_the_last_known_one_on() -> None:
    assert decide("KRW-BTC", 9, NOON, KnownTrades(NOON - 500, [7])) == Target("KRW-BTC", NOON - 500, 9, NOON)


def test_an_open_gap_of_an_earlier_run_is_fetched_from_its_own_beginning() -> None:
    known = KnownTrades(NOON, [9], gap_from_ms=NOON - 9000)
    assert decide("KRW-BTC", 9, NOON, known) == Target("KRW-BTC", NOON - 9000, 9, NOON)


# -- which trades of a page are missing ------------------------------------------------------------------------------


def test_a_page_gives_the_unknown_trades_oldest_first() -> None:
    page = [trade(n) for n in (5, 4, 3, 2, 1)]
    chosen = select(page, Target("KRW-BTC", NOON + 200, 5, NOON + 500), {2, 4})
    assert [found.sequential_id for found in chosen.missing] == [1, 3, 5]
    assert not chosen.reached_start
    assert chosen.next_cursor is None


def test_trades_older_than_the_gap_end_the_search() -> None:
    page = [trade(2), trade(1, NOON - MARGIN_MS - 1)]
    chosen = select(page, Target("KRW-BTC", NOON, 2, NOON), set())
    assert [found.sequential_id for found in chosen.missing] == [2]
    assert chosen.reached_start


def test_a_full_page_is_followed_by_its_smallest_id() -> None:
    page = [trade(n) for n in range(PAGE, 0, -1)]
    assert select(page, Target("KRW-BTC", NOON, 1, NOON), set()).next_cursor == 1


# -- the whole search against a REST of the test's own ---------------------------------------------------------------


class Exchange:
    """REST /trades/ticks over a list of trades.

    The first `lag` requests see nothing of the newest trade, the first `refused` ones fail.
    """

    def __init__(self, trades: list[RestTrade], today_ms: int, lag: int = 0, refused: int = 0) -> None:
        self.trades = sorted(trades, key=lambda trade: -trade.sequential_id)
        self.today_ms = today_ms
        self.lag = lag
        self.refused = refused
        self.requests: list[dict[str, str | int]] = []

    async def get(self, path: str, **parameters: str | int) -> bytes:
        assert path == "/trades/ticks"
        self.requests.append(parameters)
        if len(self.requests) <= self.refused:
            raise RestError("GET /trades/ticks: 503")
        day = self.today_ms // DAY - int(parameters.get("days_ago", 0))
        hidden = 1 if len(self.requests) <= self.lag else 0
        found = [t for t in self.trades[hidden:] if t.timestamp // DAY == day]
        if "cursor" in parameters:
            found = [t for t in found if t.sequential_id < int(parameters["cursor"])]
        return msgspec.json.encode(found[: int(parameters["count"])])


@dataclass
class Healing:
    """What a refetch did."""

    kept: list[int] = field(default_factory=list)
    healed: list[str] = field(default_factory=list)
    unreachable: list[tuple[str, int]] = field(default_factory=list)


async def always_room() -> None:
    """A spool that has space."""


def heal(
    exchange: Exchange, target: Target, known: KnownTrades, monkeypatch: pytest.MonkeyPatch, searches: int | None = None
) -> Healing:
    """Refetch until the target is settled, or until `searches` searches were made."""
    monkeypatch.setattr("upbit_ingester.continuity.refetch.LAG_S", 0.0001)
    monkeypatch.setattr("upbit_ingester.continuity.refetch.SURE_LAG_S", 0.0001)
    monkeypatch.setattr("upbit_ingester.continuity.refetch.MAX_WAIT_S", 0.001)
    done = Healing()
    metrics = Metrics()

    async def run() -> None:
        def keep(trade: RestTrade) -> None:
            done.kept.append(trade.sequential_id)
            known.ids.append(trade.sequential_id)

        def unreachable(target: Target, reached_ms: int) -> None:
            done.unreachable.append((target.code, reached_ms))

        refetcher = Refetcher(
            exchange, metrics, {target.code: known}.get, always_room, keep, done.healed.append, unreachable
        )
        refetcher.add(target)
        task = asyncio.create_task(refetcher.run())
        async with asyncio.timeout(10):
            while metrics.refetch_pending and (searches is None or len(exchange.requests) < searches):
                await asyncio.sleep(0.001)
        task.cancel()

    asyncio.run(run())
    return done


def test_pages_are_walked_back_to_the_last_known_trade(monkeypatch: pytest.MonkeyPatch) -> None:
    exchange = Exchange([trade(n) for n in range(1, 1801)], NOON)
    target = Target("KRW-BTC", trade(600).timestamp, 1800, trade(1800).timestamp)
    done = heal(exchange, target, KnownTrades(trade(600).timestamp, list(range(580, 601))), monkeypatch)
    assert sorted(done.kept) == list(range(601, 1801))
    assert done.healed == ["KRW-BTC"]
    assert len(exchange.requests) == 3


def test_a_gap_across_midnight_asks_for_the_days_before(monkeypatch: pytest.MonkeyPatch) -> None:
    midnight = NOON + DAY // 2
    trades = [trade(n, midnight - 5000 + n * 1000) for n in range(1, 11)]
    exchange = Exchange(trades, midnight)
    target = Target("KRW-BTC", trades[1].timestamp, 10, trades[9].timestamp)
    done = heal(exchange, target, KnownTrades(trades[1].timestamp, [1, 2]), monkeypatch)
    assert sorted(done.kept) == list(range(3, 11))
    assert done.healed == ["KRW-BTC"]
    assert {request.get("days_ago") for request in exchange.requests} >= {None, 1}


def test_rest_that_trails_is_asked_again_until_the_snapshots_trade_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    exchange = Exchange([trade(n) for n in range(1, 4)] + [trade(0, NOON - DAY)], NOON, lag=3)
    done = heal(exchange, Target("KRW-BTC", NOON, 3, NOON + 300), KnownTrades(NOON, [1]), monkeypatch)
    assert sorted(done.kept) == [2, 3]
    assert done.healed == ["KRW-BTC"]


def test_what_rest_does_not_show_is_asked_for_again_and_never_called_healed(monkeypatch: pytest.MonkeyPatch) -> None:
    exchange = Exchange([trade(0, NOON - 9000), trade(1), trade(2)], NOON)
    target = Target("KRW-BTC", NOON, 99, NOON + 300)
    done = heal(exchange, target, KnownTrades(NOON, [1]), monkeypatch, searches=20)
    assert done == Healing(kept=[2])


def test_refusals_of_rest_are_outlived(monkeypatch: pytest.MonkeyPatch) -> None:
    exchange = Exchange([trade(1), trade(2)], NOON, refused=25)
    done = heal(exchange, Target("KRW-BTC", NOON, 2, NOON + 200), KnownTrades(NOON, [1]), monkeypatch)
    assert done == Healing(kept=[2], healed=["KRW-BTC"])


def test_a_quiet_codes_last_trade_may_be_days_old(monkeypatch: pytest.MonkeyPatch) -> None:
    trades = [trade(n, NOON - 4 * DAY + n * 1000) for n in range(1, 4)]
    target = Target("KRW-BTC", trades[0].timestamp, 3, trades[2].timestamp)
    done = heal(Exchange(trades, NOON), target, KnownTrades(trades[0].timestamp, [1]), monkeypatch)
    assert done == Healing(kept=[2, 3], healed=["KRW-BTC"])


def test_a_gap_that_begins_before_rests_reach_is_no_healed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    trades = [trade(n, NOON - (10 - n) * DAY) for n in range(1, 11)]
    target = Target("KRW-BTC", trades[0].timestamp, 10, trades[9].timestamp)
    done = heal(Exchange(trades, NOON), target, KnownTrades(trades[0].timestamp, [1]), monkeypatch)
    assert sorted(done.kept) == list(range(3, 11))
    assert (done.healed, done.unreachable) == ([], [("KRW-BTC", trades[2].timestamp)])


def test_a_snapshot_older_than_rests_reach_is_unreachable_after_a_few_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target("KRW-BTC", NOON - 20 * DAY, 2, NOON - 9 * DAY)
    done = heal(Exchange([], NOON), target, KnownTrades(NOON - 20 * DAY, [1]), monkeypatch)
    assert (done.healed, done.unreachable) == ([], [("KRW-BTC", NOON - 9 * DAY)])


def test_without_a_trade_that_must_be_there_everything_younger_than_the_gap_is_fetched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exchange = Exchange([trade(0, NOON - 9000), *[trade(n) for n in range(1, 801)]], NOON)
    done = heal(exchange, Target("KRW-BTC", NOON, 0, NOON + 50), KnownTrades(NOON, [1, 2, 800]), monkeypatch)
    assert sorted(done.kept) == list(range(3, 800))
    assert done.healed == ["KRW-BTC"]


def test_so_it_is_over_midnight_and_of_a_code_that_rest_knows_nothing_of(monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target("KRW-BTC", NOON, 0, NOON + 50)
    trades = [trade(0, NOON - 9000), trade(1), trade(2)]
    done = heal(Exchange(trades, NOON + DAY), target, KnownTrades(NOON, [1]), monkeypatch)
    assert done == Healing(kept=[2], healed=["KRW-BTC"])
    assert heal(Exchange([], NOON), target, KnownTrades(NOON, [1]), monkeypatch) == Healing(healed=["KRW-BTC"])


def test_and_a_gap_that_begins_before_rests_reach_is_no_healed_one_either(monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target("KRW-BTC", NOON - 20 * DAY, 0, NOON)
    done = heal(Exchange([trade(5)], NOON), target, KnownTrades(NOON, [1]), monkeypatch)
    assert (done.healed, done.unreachable) == ([], [("KRW-BTC", trade(5).timestamp)])


# -- the shape -------------------------------------------------------------------------------------------------------


def test_a_rest_trade_becomes_the_websocket_frame_of_the_same_trade() -> None:
    frame = rest_trades.websocket_frame("trade", rest_trades.decode(b"[" + REST_TRADE + b"]")[0])
    assert b'"trade_price":91361000.00000000,' in frame  # the text of REST, to the last zero
    made = json.loads(frame, parse_float=Decimal, parse_int=Decimal)
    sent = json.loads(TRADE_LIVE, parse_float=Decimal, parse_int=Decimal)
    differing = {"timestamp"} | {name for name in sent if name.startswith("best_")}
    assert {name: value for name, value in sent.items() if name not in differing} == {
        name: value for name, value in made.items() if name not in differing
    }
    assert list(made) == [name for name in sent if not name.startswith("best_")]
    assert isinstance(Gate("trade").check(frame), Accepted)


@pytest.mark.parametrize(
    ("signed", "change", "absolute"),
    [
        ("-63000.0", "FALL", 63000.0),
        ("4.5", "RISE", 4.5),
        ("0.00000000", "EVEN", 0),
        ("-0.0", "EVEN", 0),
        ("6E-8", "RISE", 6e-8),
    ],
)
def test_the_sign_of_change_price_becomes_change(signed: str, change: str, absolute: float) -> None:
    body = REST_TRADE.replace(b"-63000.00000000", signed.encode())
    made = json.loads(rest_trades.websocket_frame("trade", rest_trades.decode(b"[" + body + b"]")[0]))
    assert (made["change"], made["change_price"]) == (change, absolute)


# -- refusals of REST ------------------------------------------------------------------------------------------------


def test_429_is_retried_slower_each_time_418_never() -> None:
    assert [retry_wait_s(Answer(429, b""), attempt) for attempt in range(5)] == [0.5, 1.0, 2.0, 4.0, None]
    assert retry_wait_s(Answer(429, b"", wait_s=7), 0) == 7
    assert retry_wait_s(Answer(418, b"", wait_s=7), 0) is None
    assert retry_wait_s(Answer(404, b""), 0) is None
    assert retry_wait_s(Answer(503, b""), 0) == 0.5
    assert retry_wait_s(Answer(0, b"ConnectionError"), 0) == 0.5


def test_418_stops_all_calls_for_the_stated_time() -> None:
    asked: list[str] = []

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            status, body = (418, b"blocked") if len(asked) == 1 else (200, b"[]")
            self.send_response(status)
            self.send_header("Retry-After", "1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    async def run(port: int) -> float:
        client = RestClient(f"http://127.0.0.1:{port}", Metrics(), Budgets(Clock()))
        loop = asyncio.get_running_loop()
        with pytest.raises(RestError, match=r"GET /a \{\}: 418 blocked"):
            await client.get("/a")
        began = loop.time()
        assert await client.get("/b") == b"[]"
        client.close()
        return loop.time() - began

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        waited_s = asyncio.run(run(server.server_port))
        server.shutdown()
    assert waited_s >= 0.9
    assert asked == ["/a", "/b"]


def test_nothing_is_fetched_that_the_disk_would_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("upbit_ingester.continuity.refetch.LAG_S", 0.0001)
    monkeypatch.setattr("upbit_ingester.continuity.refetch.SURE_LAG_S", 0.0001)
    exchange, waiting = Exchange([trade(1)], NOON), asyncio.Event()

    async def room() -> None:
        waiting.set()
        await asyncio.Event().wait()  # never

    async def run() -> None:
        def unused(*_: object) -> None:
            raise AssertionError("something was fetched")

        refetcher = Refetcher(exchange, Metrics(), lambda _: None, room, unused, unused, unused)
        refetcher.add(Target("KRW-BTC", NOON, 1, NOON))
        task = asyncio.create_task(refetcher.run())
        async with asyncio.timeout(10):
            await waiting.wait()
        task.cancel()

    asyncio.run(run())
    assert exchange.requests == []
