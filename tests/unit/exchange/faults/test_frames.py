"""Altered events and wrong frames, as bytes."""

import json
from decimal import Decimal
from typing import Any

import pytest

from upbit_exchange.faults.alter import KOREAN, altered
from upbit_exchange.faults.catalogue import KINDS, order
from upbit_exchange.faults.mangle import ERROR, mangled
from upbit_exchange.market import listing
from upbit_exchange.market.market import LocalMarket
from upbit_exchange.wire import frames, spelling
from upbit_exchange.wire.names import KEYS, STREAMS, Event, Stream

START = 1_795_392_000_000
HOUR = 3_600_000
CODES = ("KRW-BTC", "KRW-ETH", "KRW-XRP")
EVENTS = LocalMarket(listing.markets(3), 100, 1, START, spelling.dotted).take(START + 60_000, 2000)


def example(stream: Stream) -> Event:
    return next(event for event in EVENTS if event.stream == stream)


def decoded(frame: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(frame, parse_float=Decimal)
    return found


def changed(event: Event, name: str, **options: Any) -> Event:
    result = altered(event, order({"set": name, **options}, CODES), lambda _code, ms: ms * 10_000 + 5000)
    assert result is not None
    return result


def wrong(event: Event, name: str, **options: Any) -> bytes:
    extra = mangled(event, order({"set": name, **options}, CODES))
    assert extra is not None
    return extra.payload


TRUE = [name for name, kind in KINDS.items() if kind.acts == "true"]


@pytest.mark.parametrize("name", TRUE)
@pytest.mark.parametrize("stream", STREAMS)
def test_an_altered_event_is_a_frame_of_its_code_and_its_key_is_what_it_says(name: str, stream: Stream) -> None:
    event = example(stream)
    result = altered(event, order({"set": name}, CODES), lambda _code, ms: ms * 10_000 + 5000)
    if stream not in KINDS[name].streams:
        return
    assert result is not None
    assert result.frame != event.frame
    assert (result.stream, result.code) == (event.stream, event.code)
    values = decoded(result.frame)
    assert (values.get("code") or values["market"]) == event.code
    fields = frames.fields(result.frame)
    assert result.key == {name: frames.text(fields.get(name, f'"{event.code}"')) for name in KEYS[stream]}


def test_a_late_trade_was_matched_long_ago_and_is_published_now() -> None:
    event = example("trade")
    result = changed(event, "late", ms=26 * HOUR)
    before, after = decoded(event.frame), decoded(result.frame)
    moved = {name for name in before if before[name] != after[name]}
    assert moved == {"trade_timestamp", "trade_date", "sequential_id", "trade_time"}
    assert result.time == after["trade_timestamp"] == before["trade_timestamp"] - 26 * HOUR
    assert after["sequential_id"] == result.time * 10_000 + 5000


@pytest.mark.parametrize("stream", STREAMS)
def test_a_skewed_clock_moves_every_time(stream: Stream) -> None:
    event = example(stream)
    result = changed(event, "skew", ms=-25 * HOUR)
    before, after = decoded(event.frame), decoded(result.frame)
    assert result.time == event.time - 25 * HOUR
    assert after["timestamp"] == before["timestamp"] - 25 * HOUR
    if stream == "ticker":
        assert (before["trade_date"], after["trade_date"]) == ("20261122", "20261121")
    prices = {name for name in before if name.endswith(("price", "volume", "units", "size"))}
    assert {name: after[name] for name in prices} == {name: before[name] for name in prices}


def test_a_book_in_microseconds_keeps_its_time_in_the_ledger() -> None:
    event = example("orderbook")
    result = changed(event, "microseconds")
    assert decoded(result.frame)["timestamp"] == event.time * 1000
    assert result.time == event.time


@pytest.mark.parametrize(("name", "shown"), [("padded", 20), ("empty_side", 0)])
@pytest.mark.parametrize("side", ["ask", "bid"])
def test_slots_without_orders_are_zero_and_the_total_is_the_sum_of_the_rest(name: str, shown: int, side: str) -> None:
    event = example("orderbook")
    before, after = decoded(event.frame), decoded(changed(event, name, side=side).frame)
    levels = after["orderbook_units"]
    assert len(levels) == 30
    assert all(level[f"{side}_price"] == level[f"{side}_size"] == 0 for level in levels[shown:])
    assert [level[f"{side}_price"] for level in levels[:shown]] == [
        level[f"{side}_price"] for level in before["orderbook_units"][:shown]
    ]
    assert after[f"total_{side}_size"] == sum(level[f"{side}_size"] for level in levels)
    other = "bid" if side == "ask" else "ask"
    assert after[f"total_{other}_size"] == before[f"total_{other}_size"]


def test_delisting_dates() -> None:
    assert decoded(changed(example("ticker"), "delisting_string").frame)["delisting_date"] == "2026-12-31"
    shown = decoded(changed(example("ticker"), "delisting_object").frame)["delisting_date"]
    assert shown == {"year": 2026, "month": 12, "day": 31}


@pytest.mark.parametrize("name", ["exponents", "zeros"])
@pytest.mark.parametrize("stream", STREAMS)
def test_other_spellings_are_the_same_numbers(name: str, stream: Stream) -> None:
    event = example(stream)
    result = changed(event, name)
    assert decoded(result.frame) == decoded(event.frame)
    text = frames.fields(result.frame)
    if stream != "orderbook":
        assert ("E" in text["trade_price"]) == (name == "exponents")
        assert name == "exponents" or text["trade_price"].endswith(".00000000")
    else:
        level = frames.units(text["orderbook_units"])[0]
        assert all(("E" in value) == (name == "exponents") for value in level.values())


def test_fields_come_and_go() -> None:
    trade = example("trade")
    assert KOREAN.encode() in changed(trade, "korean").frame
    assert "code" not in decoded(changed(trade, "market_for_code").frame)
    assert "change_price" not in decoded(changed(trade, "removed", field="change_price").frame)
    assert decoded(changed(trade, "null", field="change_price").frame)["change_price"] is None
    assert decoded(changed(trade, "extra_field", field="maker_id").frame)["maker_id"]
    unknown = order({"set": "removed", "field": "nothing_such"}, CODES)
    assert altered(trade, unknown, lambda _code, _ms: 0) is None
    known = order({"set": "extra_field", "field": "trade_price"}, CODES)
    assert altered(trade, known, lambda _code, _ms: 0) is None


EXTRA = [name for name, kind in KINDS.items() if kind.acts == "extra"]


@pytest.mark.parametrize("name", EXTRA)
@pytest.mark.parametrize("stream", STREAMS)
def test_every_wrong_frame_can_be_made_of_every_stream(name: str, stream: Stream) -> None:
    event = example(stream)
    payload = wrong(event, name)
    assert (payload == event.frame) == (name == "text")


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("name", ["bad_json", "truncated", "empty"])
def test_no_json(name: str, stream: Stream) -> None:
    with pytest.raises(ValueError, match=r"Expecting|Unterminated|delimiter"):
        json.loads(wrong(example(stream), name))


@pytest.mark.parametrize("stream", STREAMS)
def test_wrong_values(stream: Stream) -> None:
    event = example(stream)
    with pytest.raises(UnicodeDecodeError):
        wrong(event, "bad_utf8").decode()
    assert b":NaN" in wrong(event, "nan")
    assert b":1e400" in wrong(event, "huge_number")
    assert decoded(wrong(event, "unknown_type"))["type"] == "nope"
    assert isinstance(decoded(wrong(event, "string_number"))["timestamp"], str)
    pairs = json.loads(wrong(event, "duplicate_keys"), object_pairs_hook=list)
    names = [name for name, _ in pairs]
    assert len(names) == len(set(names)) + 1
    with pytest.raises(RecursionError):
        json.loads(wrong(event, "deep"))


def test_sizes_are_exact() -> None:
    for size in (100_000, 1 << 20):
        payload = wrong(example("trade"), "big", bytes=size)
        assert len(payload) == size
        assert decoded(payload)["sequential_id"] == decoded(example("trade").frame)["sequential_id"]


def test_what_is_needed_can_be_taken_from_a_further_frame() -> None:
    trade = example("trade")
    assert "sequential_id" not in decoded(wrong(trade, "removed", field="sequential_id"))
    assert decoded(wrong(trade, "null", field="trade_price"))["trade_price"] is None
    assert mangled(trade, order({"set": "string_number", "field": "ask_bid"}, CODES)) is None


def test_error_frames_are_as_upbit_writes_them() -> None:
    assert list(decoded(ERROR)["error"]) == ["message", "name"]
