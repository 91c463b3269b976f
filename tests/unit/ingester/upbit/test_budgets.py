"""What the exchange grants is not exceeded, and its refusals are obeyed: at the handshake, and by REST alike."""

import asyncio
import http
import time
from unittest.mock import create_autospec

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from upbit_ingester.backoff import Backoff
from upbit_ingester.clock import Clock
from upbit_ingester.upbit.budgets import Budgets, Pace
from upbit_ingester.upbit.session import Session, Sink


class Sleep:
    """A clock that only sleeping moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 1000.0
        monkeypatch.setattr(asyncio, "sleep", self._sleep)

    def clock(self) -> Clock:
        return Clock(lambda: self.now_s)

    async def _sleep(self, seconds: float) -> None:
        self.now_s += max(seconds, 0.0)

    def turns(self, budgets: Budgets, pace: Pace, count: int) -> list[float]:
        async def take() -> list[float]:
            starts = []
            for _ in range(count):
                await budgets.turn(pace)
                starts.append(self.now_s - 1000.0)
            return starts

        return asyncio.run(take())


def test_a_429_holds_what_it_was_refused_for(monkeypatch: pytest.MonkeyPatch) -> None:
    sleep = Sleep(monkeypatch)
    budgets = Budgets(sleep.clock())
    budgets.refused(budgets.connects, 429, 7.0)
    assert sleep.turns(budgets, budgets.requests, 1) == [0.0]
    assert sleep.turns(budgets, budgets.connects, 6) == [7.0] * 5 + [8.0]


def test_a_418_holds_connects_and_requests_for_the_time_that_it_states(monkeypatch: pytest.MonkeyPatch) -> None:
    sleep = Sleep(monkeypatch)
    budgets = Budgets(sleep.clock())
    budgets.refused(budgets.requests, 418, 120.0)
    budgets.refused(budgets.requests, 429, 1.0)
    assert sleep.turns(budgets, budgets.connects, 1) == [120.0]
    sleep.now_s = 1000.0
    assert sleep.turns(budgets, budgets.requests, 1) == [120.0]


@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0, 5)), min_size=1, max_size=30))
def test_no_start_falls_into_a_hold_and_the_budget_holds_behind_it(steps: list[tuple[float, float]]) -> None:
    pace, now, starts, hold_until = Pace(5, 1.0), 1000.0, [], 0.0
    for wait, hold in steps:
        now += wait
        pace.hold(now + hold)
        hold_until = max(hold_until, now + hold)
        now += pace.reserve(now)
        assert now >= hold_until - 1e-9
        starts.append(now)
    assert all(later - earlier >= 1.0 - 1e-9 for earlier, later in zip(starts, starts[5:], strict=False))


def test_who_waits_for_its_turn_waits_on_when_a_refusal_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    sleep = Sleep(monkeypatch)
    budgets = Budgets(sleep.clock())
    assert sleep.turns(budgets, budgets.connects, 5) == [0.0] * 5
    move = sleep._sleep

    async def refused_meanwhile(seconds: float) -> None:
        await move(seconds)
        if sleep.now_s == 1001.0:
            budgets.refused(budgets.connects, 418, 30.0)

    monkeypatch.setattr(asyncio, "sleep", refused_meanwhile)
    assert sleep.turns(budgets, budgets.connects, 1) == [31.0]


# -- a session that is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 418])
def test_a_refused_handshake_is_tried_again_after_the_stated_time_and_not_before(status: int) -> None:
    tries: list[float] = []
    sink = create_autospec(Sink, instance=True)
    sink.is_full.return_value = False

    def refuse(socket: ServerConnection, _: Request) -> Response | None:
        tries.append(time.monotonic())
        if len(tries) > 1:
            return None
        response = socket.respond(http.HTTPStatus(status), "blocked")
        response.headers["Retry-After"] = "1"
        return response

    async def run() -> bool:
        connected, lost = asyncio.Event(), asyncio.Event()
        sink.connected.side_effect = lambda _: connected.set()
        sink.lost.side_effect = lambda _: lost.set()
        budgets, codes = Budgets(Clock()), ("KRW-BTC",)
        async with serve(ServerConnection.wait_closed, "127.0.0.1", 0, process_request=refuse) as server:
            url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
            session = Session(url, "trade", "trade", lambda: codes, sink, Backoff(lambda: 0.0), budgets, 5.0, Clock())
            running = asyncio.ensure_future(session.run())
            async with asyncio.timeout(20):
                await lost.wait()
                on_hold = budgets.requests.is_on_hold(time.monotonic())
                await connected.wait()
            running.cancel()
            return on_hold

    assert asyncio.run(run()) is (status == 418)
    sink.lost.assert_called_once_with(f"handshake_{status}")
    assert tries[1] - tries[0] >= 1.0
