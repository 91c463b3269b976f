"""The gate: what Upbit really sends passes, what the tables cannot hold whole does not."""

import json
import re
import tomllib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.ingester.sample_frames import ORDERBOOK, ORDERBOOK_PLAIN, TICKER, TRADE, TRADE_2021, TRADE_LIVE
from upbit_ingester.gate.fast_path import FastPath
from upbit_ingester.gate.frames import ABSENT, MICROSECONDS, STREAMS
from upbit_ingester.gate.gate import MAX_FRAME_BYTES, Accepted, Control, Gate, Rejected

ROOT = Path(__file__).parents[4]
SECTIONS = tomllib.loads((ROOT / "pipeline.toml").read_text(encoding="utf-8"))["streams"]
GATES = {stream: Gate(stream) for stream in STREAMS}
# Nothing has happened in this market today (the zeros are BigDecimals), and another one is worth a Java double.
EVEN_TICKER = re.sub(rb'"(change_price|signed_change_price)":[^,]*', rb'"\1":0E-8', TICKER)
EVEN_TICKER = re.sub(rb'"(change_rate|signed_change_rate)":[^,]*', rb'"\1":0E-10', EVEN_TICKER)
EVEN_TICKER = EVEN_TICKER.replace(b'"trade_price":32287000', b'"trade_price":3.2287E7')
SAMPLES = {"trade": TRADE, "ticker": TICKER, "orderbook": ORDERBOOK}


def check(data: bytes, stream: str = "trade") -> Accepted | Rejected | Control:
    return GATES[stream].check(data)


def reason(data: bytes, stream: str = "trade") -> str:
    result = check(data, stream)
    assert isinstance(result, Rejected), result
    assert "\n" not in result.reason
    return result.reason


def with_member(data: bytes, name: str, value: str) -> bytes:
    return re.sub(rb'"%s":[^,}]*' % name.encode(), b'"%s":%s' % (name.encode(), value.encode()), data, count=1)


def without_member(data: bytes, name: str) -> bytes:
    return re.sub(rb'"%s":[^,}]*,' % name.encode(), b"", data, count=1)


# -- equal to sql/tables ---------------------------------------------------------------------------------------------


def table_of(stream: str) -> str:
    """The declaration of the table that a stream is kept in."""
    return (ROOT / "sql" / "tables" / f"{SECTIONS[stream]['table']}.sql").read_text(encoding="utf-8")


def decimals(text: str) -> dict[str, tuple[int, int]]:
    found = re.findall(r"`?(\w+)`?\s+DECIMAL\((\d+),\s*(\d+)\)", text)
    return {name: (int(precision), int(scale)) for name, precision, scale in found}


@pytest.mark.parametrize("stream", STREAMS)
def test_widths_are_those_of_the_table(stream: str) -> None:
    text = table_of(stream)
    spec = STREAMS[stream]
    nested = re.search(r"(\w+)`? ARRAY<ROW<(.*?)>>", text, re.DOTALL)
    assert bool(nested) == (spec.rows is not None)
    if nested and spec.rows:
        assert nested.group(1) == spec.rows.field
        assert decimals(nested.group(2)) == spec.rows.widths
        text = text.replace(nested.group(0), "")
    assert decimals(text) == spec.widths


@pytest.mark.parametrize("stream", STREAMS)
def test_what_the_table_requires_the_gate_requires(stream: str) -> None:
    text = table_of(stream)
    body = re.sub(r"ARRAY<ROW<.*?>>", "ARRAY", text, flags=re.DOTALL)
    ours = {"dt", "hh", "kafka_partition", "kafka_offset", "code"}  # code: by code or market, tested below
    required = set(re.findall(r"^\s+`?(\w+)`? [A-Z]+(?:\([\d, ]+\))? NOT NULL", body, re.MULTILINE)) - ours
    struct = STREAMS[stream].struct
    assert required == {field.name for field in msgspec.structs.fields(struct) if field.required} - {"type"}
    assert set(STREAMS[stream].widths) <= set(struct.__struct_fields__)
    assert bytes(ABSENT) == b""


@pytest.mark.parametrize("stream", STREAMS)
def test_every_column_of_the_exchange_is_known(stream: str) -> None:
    """An unknown field is counted as drift: none of the columns may be one."""
    columns = set(re.findall(r"^  `?(\w+)`? [A-Z]", table_of(stream), re.M))
    ours = {"dt", "hh", "kafka_partition", "kafka_offset", "received_at", "source", "PRIMARY"}
    assert columns - ours <= set(STREAMS[stream].struct.__struct_fields__)


def test_a_time_is_in_microseconds_where_the_sql_takes_it_for_one() -> None:
    text = (ROOT / "sql" / "jobs" / "orderbook.sql").read_text(encoding="utf-8")
    assert re.findall(r"`timestamp` > (\d+) THEN `timestamp` / 1000", text) == [str(MICROSECONDS)]


# -- what passes -----------------------------------------------------------------------------------------------------


def test_real_frames_pass() -> None:
    assert check(TRADE) == Accepted("KRW-BTC", 1787728554797, True, 17877285547970000, (17877285547970000, b""))
    assert check(TRADE_LIVE) == Accepted("KRW-BTC", 1785395043779, False, 17853950437790001, (17853950437790001, b""))
    assert check(TRADE_2021) == Accepted("BTC-ITAM", 1618678272000, False, 16186782720000000, (16186782720000000, b""))
    assert check(TICKER, "ticker") == Accepted("KRW-BTC", 1676965262177, False, 0, (1676965262177, b"2429.58834336"))
    assert check(ORDERBOOK, "orderbook") == Accepted("KRW-BTC", 1790134743006, False, 0, (1790134743006, b""))
    assert check(ORDERBOOK_PLAIN, "orderbook") == Accepted("KRW-ETH", 1787727947404, True, 0, (1787727947404, b""))


def test_market_in_place_of_code() -> None:
    assert check(TRADE.replace(b'"code"', b'"market"')) == check(TRADE)


def test_an_empty_code_beside_a_market_is_refused_as_the_sql_would_take_it() -> None:
    frame = TRADE.replace(b'"code":"KRW-BTC"', b'"code":"","market":"KRW-BTC"')
    assert reason(frame).startswith("neither code nor market holds a code")
    assert isinstance(check(frame.replace(b'"code":""', b'"code":null')), Accepted)


def test_microseconds_of_a_book_pass_and_count_as_milliseconds() -> None:
    result = check(with_member(ORDERBOOK, "timestamp", "1691530805062000"), "orderbook")
    assert isinstance(result, Accepted)
    assert result.event_ms == 1691530805062


def test_padded_and_empty_books_pass() -> None:
    padded = ORDERBOOK.replace(b'"bid_price":1.16537E8', b'"bid_price":0').replace(b"0.01129382", b"0")
    assert isinstance(check(padded, "orderbook"), Accepted)
    empty = re.sub(rb"\[.*\]", b"[]", ORDERBOOK)
    assert isinstance(check(empty, "orderbook"), Accepted)


def test_optional_fields_may_be_null_or_gone() -> None:
    for name in ("best_ask_price", "prev_closing_price", "change", "stream_type", "timestamp", "trade_date"):
        assert isinstance(check(with_member(TRADE, name, "null")), Accepted), name
        if name != "stream_type":
            assert check(without_member(TRADE, name)) == check(TRADE), name


@pytest.mark.parametrize("value", [b'"2026-12-01"', b'{"year":2026,"month":12,"day":1}'])
def test_delisting_date_of_any_shape(value: bytes) -> None:
    frame = TICKER.replace(b'"delisting_date":null', b'"delisting_date":' + value)
    assert isinstance(check(frame, "ticker"), Accepted)


def test_unknown_fields_pass_and_are_named() -> None:
    result = check(TRADE.replace(b'{"type"', '{"venue":"서울","lot":1,"type"'.encode(), 1))
    assert isinstance(result, Accepted)
    assert result.unknown_fields == ("lot", "venue")
    result = check(ORDERBOOK.replace(b'"ask_price":1.16539E8', b'"orders":3,"ask_price":1.16539E8'), "orderbook")
    assert isinstance(result, Accepted)
    assert result.unknown_fields == ("orders",)


@pytest.mark.parametrize("member", [b'"error":{"name":"x"},', b'"status":"UP",'])
def test_a_data_frame_that_looks_like_a_control_frame_too_is_not_swallowed(member: bytes) -> None:
    odd = TRADE.replace(b'{"type"', b"{" + member + b'"type"', 1)
    assert isinstance(check(odd), Accepted)
    assert reason(with_member(odd, "sequential_id", "null")).startswith("not a trade frame")
    assert reason(odd.replace(b'"type":"trade",', b"")).startswith("not a trade frame")


def test_words_of_the_exchange_cannot_steer_a_terminal() -> None:
    assert check(b'{"error":{"name":"A\\u001b[31m","message":"a\\nb"}}') == Control(
        "A\N{REPLACEMENT CHARACTER}[31m: a b"
    )
    assert reason(TRADE.replace(b'"ASK"', b'"A\\u0000\\u009bK"')).isprintable()
    result = check(TRADE.replace(b'{"type"', b'{"\\u001b":1,"":2,"type"', 1))
    assert isinstance(result, Accepted)
    assert result.unknown_fields == ("(empty)", "\N{REPLACEMENT CHARACTER}")


def test_control_frames() -> None:
    assert check(b'{"status":"UP"}') == Control()
    error = '{"error":{"message":"nope 은 지원하지 않는 타입입니다.","name":"INVALID_PARAM"}}'.encode()
    assert check(error) == Control("INVALID_PARAM: nope 은 지원하지 않는 타입입니다.")
    assert check(b'{"error":{"name":400,"message":"x"}}') == Control("400: x")


# -- what does not ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stream", "name", "value", "expected"),
    [
        ("trade", "trade_price", "null", "trade_price is null"),
        ("trade", "trade_price", '"109847000.0"', "trade_price '\"109847000.0\"' is not a number"),
        ("trade", "trade_price", "1098470000.0", "trade_price '1098470000.0' has 10 digits before the point"),
        ("trade", "trade_volume", "0.123456789", "trade_volume '0.123456789' has 9 decimals"),
        ("trade", "best_ask_size", "1e400", "best_ask_size '1e400' has 401 digits"),
        ("trade", "sequential_id", "17000000000000007.0", "not a trade frame: Expected `int`, got `float`"),
        ("trade", "sequential_id", '"17877285547970000"', "not a trade frame: Expected `int`, got `str`"),
        (
            "trade",
            "sequential_id",
            "99999999999999999999",
            "sequential_id 99999999999999999999 is not a positive 64-bit",
        ),
        ("trade", "sequential_id", "0", "sequential_id 0 is not a positive 64-bit"),
        ("trade", "trade_timestamp", "1787728554", "trade_timestamp 1787728554 is not a time in ms"),
        ("trade", "timestamp", "-1", "timestamp -1 is not a time in ms"),
        ("trade", "ask_bid", '"BUY"', "not a trade frame: Invalid enum value 'BUY'"),
        ("trade", "type", '"ticker"', "type is 'ticker', expected 'trade'"),
        ("trade", "code", '""', "neither code nor market holds a code"),
        ("trade", "code", "null", "neither code nor market holds a code"),
        ("trade", "code", '"KRW BTC"', "neither code nor market holds a code"),
        ("ticker", "change_rate", "0.01267132951", "change_rate '0.01267132951' has 11 decimals"),
        ("trade", "trade_price", "1." + "0" * 999, "trade_price '1.00000000000000000000000000000000000000'… has 1001"),
        ("trade", "trade_date", "1" * 1001, "a number has 1001 characters, the SQL takes 1000"),
        ("ticker", "is_trading_suspended", '"yes"', "not a ticker frame: Expected `bool | null`, got `str`"),
        ("ticker", "acc_trade_volume", "null", "acc_trade_volume is null"),
        ("ticker", "timestamp", "9007199254740993000", "timestamp 9007199254740993000 is not a time in ms"),
        ("orderbook", "ask_size", "null", "orderbook_units.ask_size 'null' is not a number"),
        ("orderbook", "bid_price", "1.16538E9", "orderbook_units.bid_price '1.16538E9' has 10 digits"),
        ("orderbook", "total_ask_size", "true", "total_ask_size 'true' is not a number"),
    ],
)
def test_a_value_that_does_not_fit(stream: str, name: str, value: str, expected: str) -> None:
    bad = with_member(SAMPLES[stream], name, value)
    assert bad != SAMPLES[stream]
    assert reason(bad, stream).startswith(expected)


@pytest.mark.parametrize("name", ["code", "trade_price", "trade_volume", "sequential_id", "trade_timestamp", "ask_bid"])
def test_a_required_member_is_missing(name: str) -> None:
    assert reason(without_member(TRADE, name))


def test_the_code_is_kept_for_the_dead_letters_key() -> None:
    bad_price = check(with_member(TRADE, "trade_price", "null"))
    bad_id = check(with_member(TRADE, "sequential_id", "null"))
    torn = check(TRADE[:100])
    assert [v.code for v in (bad_price, bad_id, torn) if isinstance(v, Rejected)] == ["KRW-BTC"] * 3
    nothing = check(b"\xff\xfe")
    assert isinstance(nothing, Rejected)
    assert nothing.code is None


def test_a_field_that_stands_twice_is_refused() -> None:
    twice = TRADE.replace(b'"ask_bid":"ASK"', b'"ask_bid":"ASK","trade_price":1.0')
    assert reason(twice) == "field 'trade_price' stands twice"
    hidden = twice.replace(b'"ask_bid":', b'"ask_bid" :')  # spelled so that the colons still add up
    assert reason(hidden) == "field 'trade_price' stands twice"
    in_a_level = ORDERBOOK.replace(b'"ask_size":0.02054761', b'"ask_size":0.02054761,"ask_size":1')
    assert reason(in_a_level, "orderbook") == "field 'ask_size' stands twice"


def test_invalid_utf8_anywhere_is_refused() -> None:
    assert reason(TRADE.replace(b'"RISE"', b'"RI\xffE"')).startswith("not ")
    assert reason(TRADE.replace(b"2026-08-26", b"2026\xff08-26")).startswith("not ")
    assert reason(TRADE.replace(b'{"type"', b'{"x":"\xed\xa0\x80","type"', 1)).startswith("not ")


@pytest.mark.parametrize(
    "data",
    [b"", b" ", b"hello", b"[]", b"{}", b"null", b"NaN", b"[" * 200_000, b'{"type":"trade"' + b'{"a":' * 5000,
     b"[" + TRADE + b"]", TRADE + b"x", TRADE[:-1], b'{"error":1}', b'{"status":{}}'],
)  # fmt: skip
def test_what_is_no_frame(data: bytes) -> None:
    assert isinstance(check(data), Rejected)


def test_a_deeply_nested_unknown_field_is_refused_or_passed_but_never_raises() -> None:
    deep = TRADE.replace(b'{"type"', b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b',"type"', 1)
    assert isinstance(check(deep), Accepted | Rejected)


def test_a_frame_larger_than_the_topic_takes() -> None:
    large = TRADE.replace(b'{"type"', b'{"x":"' + b"a" * MAX_FRAME_BYTES + b'","type"', 1)
    assert reason(large) == f"{len(large)} bytes, the topic takes {MAX_FRAME_BYTES}"


@pytest.mark.parametrize("stream", SAMPLES)
def test_every_truncation_is_refused(stream: str) -> None:
    data = SAMPLES[stream]
    assert all(isinstance(check(data[:length], stream), Rejected) for length in range(len(data)))


def test_a_deep_book_full_of_zeros_and_one_late_exponent_is_judged_at_once() -> None:
    """Backtracking through 30 such levels would take longer than the universe has lasted."""
    level = b'{"ask_price":1.0000000000000,"bid_price":1.00000000000,"ask_size":1.000000000000,"bid_size":2.000000000}'
    levels = [level] * 29 + [level.replace(b"2.000000000", b"6E-8")]
    book = re.sub(rb"\[.*\]", b"[" + b",".join(levels) + b"]", ORDERBOOK)
    assert isinstance(check(book, "orderbook"), Accepted)


@given(st.binary(max_size=200))
def test_random_bytes_never_raise(data: bytes) -> None:
    assert isinstance(check(data), Rejected | Control)


@given(st.integers(0, len(TRADE) - 1), st.integers(0, 255))
def test_one_wrong_byte_never_raises(position: int, byte: int) -> None:
    damaged = TRADE[:position] + bytes([byte]) + TRADE[position + 1 :]
    result = check(damaged)
    if isinstance(result, Accepted):
        assert json.loads(damaged)["sequential_id"] == result.sequential_id


@pytest.mark.parametrize("stream", SAMPLES)
def test_what_upbit_usually_sends_needs_no_close_look(stream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame costs two to three times as much to judge when its spelling is not seen to be the usual one."""
    gate, fast_path = Gate(stream), FastPath(STREAMS[stream])
    samples = [TRADE, TRADE_LIVE, TRADE_2021, TICKER, EVEN_TICKER, ORDERBOOK, ORDERBOOK_PLAIN]
    usual = [data for data in samples if b'{"type":"%b"' % stream.encode() in data]
    assert usual
    decoder = msgspec.json.Decoder(STREAMS[stream].struct)
    assert all(fast_path.numbers(msgspec.structs.astuple(decoder.decode(data))) for data in usual)
    monkeypatch.setattr(json, "loads", lambda *_, **__: pytest.fail("a close look"))
    assert all(isinstance(gate.check(data), Accepted) for data in usual)
