"""The market list: what an answer changes, and how a listing or delisting reaches the streams."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.ingester.stream_setting import DAY_MS, SAMPLES, Setting, frame
from upbit_ingester.backoff import Backoff
from upbit_ingester.continuity.pending import PATIENCE_S
from upbit_ingester.continuity.refetch import Target
from upbit_ingester.health.metrics import Metrics
from upbit_ingester.spool.state import Change
from upbit_ingester.upbit import markets
from upbit_ingester.upbit.markets import Changes, Markets, changes, markets_in
from upbit_ingester.upbit.rest import RestError

BTC, ETH, XRP = "KRW-BTC", "KRW-ETH", "KRW-XRP"


def test_the_market_list_names_codes() -> None:
    assert markets_in(b'[{"market":"KRW-BTC","korean_name":"x"},{"market":"KRW-ETH"}]') == (BTC, ETH)


@pytest.mark.parametrize("body", [b"[]", b"{}", b'[{"name":"KRW-BTC"}]', b"<html>"])
def test_an_answer_without_markets_is_a_failure(body: bytes) -> None:
    with pytest.raises((ValueError, msgspec.MsgspecError)):
        markets_in(body)


def test_a_listing_counts_at_once_and_a_delisting_when_it_is_said_twice() -> None:
    assert changes((BTC, ETH), (BTC, ETH, XRP), (BTC, ETH)) == Changes((XRP,), ())
    assert changes((BTC, ETH), (BTC,), (BTC, ETH)) == Changes((), ())
    assert changes((BTC, ETH), (BTC,), (BTC,)) == Changes((), (ETH,))


class Exchange:
    """Answers in turn; the last one for ever, an exception is raised."""

    def __init__(self, *answers: tuple[str, ...] | Exception) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def get(self, path: str, **parameters: str | int) -> bytes:
        assert (path, parameters) == ("/market/all", {})
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return msgspec.json.encode([{"market": code} for code in answer])


class Following:
    """A list that is followed, with a test's own clock of the exchange."""

    def __init__(self, exchange: Exchange, codes: tuple[str, ...] = (), sockets: int = 1) -> None:
        self.exchange = exchange
        self.metrics = Metrics()
        self.listed: list[tuple[tuple[str, ...], int]] = []
        backoff = Backoff(lambda: 0.0)
        self.markets = Markets(
            codes, exchange, self.metrics, backoff, lambda: 100 + exchange.asked, self._note, sockets
        )

    def _note(self, codes: tuple[str, ...], since_ms: int) -> None:
        self.listed.append((codes, since_ms))

    def run(self, until: Callable[[], bool]) -> None:
        async def follow() -> None:
            await self.markets.start()
            following = asyncio.ensure_future(self.markets.follow(0.0))
            while not until():
                await asyncio.sleep(0)
            following.cancel()

        bounded(follow())


def bounded(work: Coroutine[Any, Any, None]) -> None:
    async def run() -> None:
        async with asyncio.timeout(10):
            await work

    asyncio.run(run())


def test_a_listing_is_subscribed_to_and_reported_with_the_time_when_it_was_not_there() -> None:
    following = Following(Exchange((BTC,), (BTC,), (BTC, ETH)))
    following.run(lambda: following.markets.codes() == (BTC, ETH))
    assert following.listed == [((ETH,), 101)]
    assert (following.metrics.markets, following.metrics.market_changes["listed"]) == (2, 1)


def test_a_delisting_is_followed_and_said(caplog: pytest.LogCaptureFixture) -> None:
    following = Following(Exchange((BTC, ETH), (BTC,)))
    with caplog.at_level(logging.INFO):
        following.run(lambda: following.markets.codes() == (BTC,))
    assert following.exchange.asked == 3
    assert "1 delisted: KRW-ETH" in caplog.text
    assert (following.metrics.markets, following.metrics.market_changes["delisted"]) == (1, 1)


def test_answers_that_fail_change_nothing() -> None:
    failures = (RestError("GET /market/all {}: 500"), ())
    following = Following(Exchange((BTC, ETH), *failures, *failures, (BTC, ETH)))
    codes: list[tuple[str, ...]] = []

    def done() -> bool:
        codes.append(following.markets.codes())
        return following.exchange.asked == 8

    following.run(done)
    assert set(codes[1:]) == {(BTC, ETH)}
    assert following.listed == []


def test_the_start_waits_for_the_first_answer() -> None:
    following = Following(Exchange(RestError("no answer"), (), (BTC,)))
    bounded(following.markets.start())
    assert following.markets.codes() == (BTC,)


def test_codes_that_were_given_are_not_asked_for() -> None:
    following = Following(Exchange((BTC, ETH)), codes=(BTC,))
    bounded(following.markets.start())
    bounded(following.markets.follow(0.0))
    assert (following.exchange.asked, following.markets.codes(), following.metrics.markets) == (0, (BTC,), 1)


def test_the_sockets_of_a_stream_subscribe_again_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markets, "SNAPSHOT_WAIT_S", 0.01)
    following = Following(Exchange((BTC,), (BTC, ETH)), sockets=2)
    seen: list[tuple[int, int]] = []

    def done() -> bool:
        seen.append((len(following.markets.codes(0)), len(following.markets.codes(1))))
        return seen[-1] == (2, 2)

    following.run(done)
    assert list(dict.fromkeys(seen))[-3:] == [(1, 1), (2, 1), (2, 2)]


# -- what a second request brings ------------------------------------------------------------------------------------


@pytest.fixture(params=SAMPLES)
def setting(request: pytest.FixtureRequest, tmp_path: Path) -> Setting:
    setting = Setting(request.param, tmp_path, codes=(BTC, ETH))
    setting.sink.connected(setting.codes)
    for code in setting.codes:
        setting.snapshot(1, code)
        setting.frame(2, code=code)
    return setting


def test_the_snapshots_of_a_second_request_are_no_gap(setting: Setting) -> None:
    kept = setting.records()
    setting.codes = (BTC, ETH, XRP)
    setting.sink.resubscribed(setting.codes)
    setting.frame(3, code=BTC)
    for code, number in ((BTC, 3), (ETH, 2)):
        setting.snapshot(number, code)
    setting.look(PATIENCE_S)
    setting.frame(4, code=BTC)
    assert (setting.gaps(), setting.targets) == ([], [])
    assert setting.records() == [*kept, frame(setting.stream, 3), frame(setting.stream, 4)]


def test_what_the_second_request_cost_is_found(setting: Setting) -> None:
    setting.sink.resubscribed(setting.codes)
    setting.snapshot(5, BTC)
    setting.frame(6, code=BTC)
    setting.snapshot(2, ETH)
    setting.look(PATIENCE_S)
    assert setting.gaps() == ["resubscribed"]
    wanted = [Target(BTC, DAY_MS + 2, 5, DAY_MS + 5)] if setting.stream == "trade" else []
    assert setting.targets == wanted


def test_an_event_that_follows_its_snapshot_was_not_missed(setting: Setting) -> None:
    setting.sink.resubscribed(setting.codes)
    setting.snapshot(5, BTC)
    setting.frame(5, code=BTC)
    setting.look(PATIENCE_S)
    assert (setting.gaps(), setting.targets) == ([], [])


def test_the_trades_of_a_new_market_are_fetched_from_when_it_was_not_listed(tmp_path: Path) -> None:
    trades = Setting("trade", tmp_path, codes=(BTC,))
    trades.sink.connected(trades.codes)
    trades.snapshot(1)
    trades.codes = (BTC, ETH)
    trades.state.apply(Change("baseline", "trade", ETH, DAY_MS))  # what the service notes of a listing
    trades.sink.resubscribed(trades.codes)
    trades.snapshot(1)
    trades.snapshot(7, ETH)
    assert trades.targets == [Target(ETH, DAY_MS, 7, DAY_MS + 7)]


def test_a_delisted_code_is_missing_no_longer(setting: Setting) -> None:
    setting.codes = (BTC, ETH, XRP)
    setting.sink.resubscribed(setting.codes)
    for code in (BTC, ETH):
        setting.snapshot(2, code)
    setting.look(9)
    assert not setting.metrics.missing_snapshots.get(setting.stream), "the new code has not had its time"
    setting.look(1)
    assert setting.metrics.missing_snapshots[setting.stream] == 1
    setting.codes = (BTC, ETH)
    setting.look()
    assert setting.metrics.missing_snapshots[setting.stream] == 0


def test_a_code_without_snapshot_is_named_and_the_second_time_suspected(
    setting: Setting, caplog: pytest.LogCaptureFixture
) -> None:
    setting.codes = (BTC, ETH, *(f"KRW-X{number}" for number in range(7)))
    setting.reconnect()
    for code in (BTC, ETH):
        setting.snapshot(2, code)
    with caplog.at_level(logging.WARNING):
        setting.sink.check_snapshots()
    assert caplog.messages == [
        f"{setting.stream}: 7 codes without a SNAPSHOT after 10 s: KRW-X0, KRW-X1, KRW-X2, KRW-X3, KRW-X4, …"
    ]
    setting.codes = (BTC, ETH, "KRW-X0", "KRW-Y")
    setting.reconnect()
    for code in (BTC, ETH):
        setting.snapshot(2, code)
    setting.sink.check_snapshots()
    assert caplog.messages[-1].startswith(f"{setting.stream}: 1 of them had none")
    assert caplog.messages[-1].endswith("KRW-X0")
