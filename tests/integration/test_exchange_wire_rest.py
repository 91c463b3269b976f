"""REST and the rate limits of the local exchange's process, by plain HTTP."""

import gzip
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from decimal import Decimal
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.http11 import Response

from tests.harness.waiting import until
from tests.integration.local_exchange import Exchange, ask, awaited, everything, received, socket_to
from upbit_exchange.journal import ledger

TICKERS = "/v1/ticker?markets=KRW-BTC"


def ledger_trades(exchange: Exchange, code: str) -> list[dict[str, Any]]:
    frames = (e.frame for e in ledger.read(exchange.directory) if e.stream == "trade" and e.code == code)
    trades = [json.loads(bytes(frame), parse_float=Decimal) for frame in frames]
    return sorted(trades, key=lambda t: (t["trade_timestamp"], t["sequential_id"]))


def hour_ago() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:30Z", time.gmtime(time.time() - 3_600))


def test_trades_come_to_rest_late_and_then_equal_the_stream(start: Callable[..., Exchange]) -> None:
    exchange = start("--codes", "3", "--rate", "400")
    code = exchange.codes()[0]
    late = 0

    def served() -> dict[int, Decimal]:
        page = exchange.json(f"/v1/trades/ticks?market={code}&count=500")
        return {trade["sequential_id"]: trade["trade_volume"] for trade in page}

    with socket_to(exchange) as client:
        ask(client, {"type": "trade", "codes": [code], "is_only_realtime": True})
        streamed: dict[int, Decimal] = {}
        for _ in range(5):
            for frame in received(client, 12):
                trade = json.loads(frame, parse_float=Decimal)
                streamed[trade["sequential_id"]] = trade["trade_volume"]
            late += trade["sequential_id"] not in served()
    assert late
    until("REST has what the stream had", lambda: streamed.items() <= served().items(), 10, every_s=0.5)


def test_minute_candles_are_the_exact_sums_of_the_ledger_s_trades(start: Callable[..., Exchange]) -> None:
    exchange = start("--codes", "3", "--rate", "60", "--start", hour_ago(), "--speed", "50")
    code = exchange.codes()[0]
    first = (ledger_trades(exchange, code)[0]["trade_timestamp"] // 60_000 + 2) * 60_000
    with socket_to(exchange) as client:
        ask(client, *everything(exchange.codes()))
        # Three minutes, and the time that REST trails.
        assert awaited(lambda: received(client, 50) and exchange.status()["clock_ms"] > first + 185_000)
    to = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime((first + 180_000) / 1000))
    candles = exchange.json(f"/v1/candles/minutes/1?market={code}&count=3&to={to}")
    assert len(candles) == 3
    for candle, begin in zip(reversed(candles), range(first, first + 180_000, 60_000), strict=True):
        trades = [t for t in ledger_trades(exchange, code) if begin <= t["trade_timestamp"] < begin + 60_000]
        prices = [t["trade_price"] for t in trades]
        assert (candle["opening_price"], candle["high_price"]) == (prices[0], max(prices))
        assert (candle["low_price"], candle["trade_price"]) == (min(prices), prices[-1])
        assert candle["candle_acc_trade_volume"] == sum(t["trade_volume"] for t in trades)
        assert candle["candle_acc_trade_price"] == sum(t["trade_price"] * t["trade_volume"] for t in trades)


def test_paths_errors_and_headers(start: Callable[..., Exchange]) -> None:
    exchange = start("--codes", "2")
    assert exchange.http("/v1/nope")[::2] == (
        404,
        b'{"error":{"name":"not_found","message":"no Route matched with those values"}}',
    )
    assert exchange.http("/v1/trades/ticks?market=KRW-NOPE")[::2] == (
        404,
        b'{"error":{"name":404,"message":"Code not found"}}',
    )
    status, headers, body = exchange.http("/v1/candles/minutes/1?market=KRW-BTC")
    assert status == 200
    assert headers["remaining-req"] == "group=candles; min=600; sec=9"
    assert headers["limit-by-ip"] == "Yes"
    assert headers["content-type"] == "application/json;charset=UTF-8"
    assert headers["etag"].startswith('W/"')
    assert "content-encoding" not in headers
    _, headers, zipped = exchange.http("/v1/candles/minutes/1?market=KRW-BTC", Accept_Encoding="gzip, deflate")
    assert headers["content-encoding"] == "gzip"
    assert gzip.decompress(zipped) == body
    for kind in ("seconds", "days", "weeks", "months", "years"):
        assert exchange.json(f"/v1/candles/{kind}?market=KRW-BTC")[0]["market"] == "KRW-BTC"
    assert exchange.json("/v1/orderbook/instruments?markets=KRW-BTC")[0]["tick_size"] == "1000"
    assert "market_event" in exchange.json("/v1/market/all?is_details=true")[0]


def refused(answers: Iterator[tuple[int, dict[str, str], bytes]], status: int) -> tuple[int, dict[str, str], bytes]:
    return next(answer for answer in answers if answer[0] == status)


def test_rest_refuses_more_than_10_a_second_and_blocks_who_goes_on(start: Callable[..., Exchange]) -> None:
    exchange = start("--codes", "2")
    answers = (exchange.http(TICKERS) for _ in range(2000))
    _, headers, body = refused(answers, 429)
    assert body == b"Too many API requests."
    assert headers["content-type"].startswith("text/plain")
    assert headers["remaining-req"] == "group=ticker; min=600; sec=0"
    _, headers, body = refused(answers, 418)
    assert headers["retry-after"] == "10"
    assert body == b"I'm a teapot. Too many API requests: blocked for 10 seconds."
    assert exchange.http("/v1/market/all")[0] == 418
    with pytest.raises(InvalidStatus) as handshake, socket_to(exchange):
        pass
    assert handshake.value.response.status_code == 418
    assert handshake.value.response.headers["Retry-After"]
    assert exchange.status()["published"]["total"] == 0


def test_an_origin_header_leaves_one_request_in_10_seconds(start: Callable[..., Exchange]) -> None:
    exchange = start("--codes", "2")
    assert exchange.http(TICKERS, Origin="https://example.com")[0] == 200
    # At the edge of a window another one is granted.
    assert 429 in [exchange.http(TICKERS, Origin="https://example.com")[0] for _ in range(2)]
    assert exchange.http(TICKERS)[0] == 200


def test_more_than_5_connects_a_second_are_refused_at_the_handshake(start: Callable[..., Exchange]) -> None:
    exchange = start("--codes", "2")
    with ExitStack() as sockets:

        def handshake() -> Response:
            try:
                response = sockets.enter_context(socket_to(exchange)).response
            except InvalidStatus as refusal:
                response = refusal.response
            assert response is not None
            return response

        answers = [handshake()]
        while answers[-1].status_code == 101:
            answers.append(handshake())
        assert answers[0].headers["remaining-req"] == "group=websocket; min=300; sec=4"
        assert answers[-2].headers["remaining-req"] == "group=websocket; min=300; sec=0"
        assert (answers[-1].status_code, answers[-1].body) == (429, b"Too many API requests.")
        # Refused connects count as refusals too: not more of them than a block takes.
        until("the next second", lambda: handshake().status_code == 101, 3, every_s=0.4)


def test_a_connection_that_sends_too_many_messages_gets_an_error_and_is_closed(start: Callable[..., Exchange]) -> None:
    exchange = start("--codes", "2")
    with socket_to(exchange) as client:
        # In whichever second they come, more than 5 share one.
        for _ in range(12):
            client.send('[{"ticket":"x"},{"method":"LIST_SUBSCRIPTIONS"}]')
        answers = [frame for frame in client if isinstance(frame, bytes)]
    assert 5 <= len(answers[:-1]) <= 10
    assert all(b"LIST_SUBSCRIPTIONS" in answer for answer in answers[:-1])
    assert answers[-1] == b'{"error":{"message":"Too many API requests.","name":"TOO_MANY_REQUESTS"}}'
    assert client.close_code == 1000


def test_without_limits_nothing_is_refused(start: Callable[..., Exchange]) -> None:
    exchange = start("--codes", "2", "--no-rate-limit")
    assert {exchange.http(TICKERS, Origin="https://example.com")[0] for _ in range(60)} == {200}
    with ExitStack() as sockets:
        clients = [sockets.enter_context(socket_to(exchange)) for _ in range(12)]
        for _ in range(30):
            clients[0].send('[{"ticket":"x"},{"method":"LIST_SUBSCRIPTIONS"}]')
        assert len(received(clients[0], 30)) == 30
