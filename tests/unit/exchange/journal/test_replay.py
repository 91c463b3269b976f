"""Recordings: all four formats, old dates, exact number text, broken lines."""

from pathlib import Path

import pytest

from upbit_exchange.journal import replay
from upbit_exchange.journal.replay import RecordingError, Replay

# Raw frames of 2021 (public captures), as recorded.
ITAM = (
    '{"ty":"trade","cd":"BTC-ITAM","tms":1618678272375,"td":"2021-04-17","ttm":"16:51:12","ttms":1618678272000,'
    '"tp":0.00000113,"tv":3416.89061628,"ab":"ASK","pcp":0.00000119,"c":"FALL","cp":6E-8,"sid":16186782720000000,'
    '"st":"REALTIME"}'
)
LAMB = (
    '{"ty":"trade","cd":"KRW-LAMB","tms":1618678275178,"td":"2021-04-17","ttm":"16:51:15","ttms":1618678275000,'
    '"tp":127.0,"tv":46.48838371,"ab":"BID","pcp":123.00000000,"c":"RISE","cp":4.00000000,"sid":1618678275000000,'
    '"st":"SNAPSHOT"}'
)
LATE = LAMB.replace("1618678275178", "1618678264237").replace("1618678275000000", "1618678263000005")
BOOK = (
    '{"ty":"orderbook","cd":"USDT-ETC","tms":1691530805062000,"tas":0.48514983,"tbs":2.2403413,'
    '"obu":[{"ap":116606000,"bp":116534000,"as":0.06288509,"bs":7.9276E-4}],"st":"REALTIME"}'
)
TICKER = (
    '{"type":"ticker","code":"KRW-BTC","acc_trade_volume":2429.58834336,"trade_price":32287000,'
    '"timestamp":1676965262177,"trade_status":"ACTIVE","stream_type":"REALTIME"}'
)


def recording(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "recorded.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_simple_becomes_default_with_the_same_number_text() -> None:
    ((event, pace),) = replay.translate(ITAM.encode())
    assert event.frame == (
        b'{"type":"trade","code":"BTC-ITAM","timestamp":1618678272375,"trade_date":"2021-04-17",'
        b'"trade_time":"16:51:12","trade_timestamp":1618678272000,"trade_price":0.00000113,'
        b'"trade_volume":3416.89061628,"ask_bid":"ASK","prev_closing_price":0.00000119,"change":"FALL",'
        b'"change_price":6E-8,"sequential_id":16186782720000000,"stream_type":"REALTIME"}'
    )
    assert (event.key, event.time, pace) == (
        {"code": "BTC-ITAM", "sequential_id": "16186782720000000"},
        1618678272000,
        1618678272375,
    )


def test_a_recorded_snapshot_is_an_event_and_old_fields_stay() -> None:
    assert b'"stream_type":"REALTIME"' in replay.translate(LAMB.encode())[0][0].frame
    ((event, _),) = replay.translate(TICKER.encode())
    assert event.frame == TICKER.encode()
    assert event.key == {"code": "KRW-BTC", "timestamp": "1676965262177", "acc_trade_volume": "2429.58834336"}


def test_a_book_stamped_in_microseconds_keeps_its_text_and_is_paced_in_milliseconds() -> None:
    ((event, pace),) = replay.translate(BOOK.encode())
    assert event.key["timestamp"] == "1691530805062000"
    assert event.time == pace == 1691530805062
    assert b'"ask_price":116606000,"bid_price":116534000,"ask_size":0.06288509,"bid_size":7.9276E-4' in event.frame


def test_list_lines_hold_one_frame_or_several_or_none_in_either_spelling(tmp_path: Path) -> None:
    single = [event.frame for line in (ITAM, TICKER, LAMB, BOOK) for event, _ in replay.translate(line.encode())]
    listed = recording(tmp_path, f"[{ITAM}]", "[]", f" [{TICKER},{LAMB}]", BOOK)
    checked = replay.check(listed)
    assert checked.frames == 4
    assert [event.frame for event in Replay(checked).take(1 << 60, 100)] == single
    assert [event.frame for event in Replay(checked, published=2).take(1 << 60, 100)] == single[2:]


def test_line_order_is_kept_and_the_pace_is_the_running_maximum(tmp_path: Path) -> None:
    checked = replay.check(recording(tmp_path, ITAM, "", LAMB, LATE, TICKER))
    assert ([m.code for m in checked.markets], checked.first_ms, checked.frames) == (
        ["BTC-ITAM", "KRW-LAMB", "KRW-BTC"],
        1618678272375,
        4,
    )
    source = Replay(checked)
    assert [event.code for event in source.take(1618678272375, 100)] == ["BTC-ITAM"]
    assert source.take(1618678275177, 100) == []
    assert [e.key.get("sequential_id") for e in source.take(1618678275178, 100)] == [
        "1618678275000000",
        "1618678263000005",
    ]
    assert not source.ended
    assert [event.stream for event in source.take(1 << 60, 100)] == ["ticker"]
    assert source.ended
    assert source.take(1 << 60, 100) == []


def test_a_restart_goes_on_behind_what_was_published(tmp_path: Path) -> None:
    checked = replay.check(recording(tmp_path, ITAM, LAMB, LATE, TICKER))
    source = Replay(checked, published=2)
    assert source.next_ms == 1618678275178
    assert len(source.take(1 << 60, 100)) == 2
    assert Replay(checked, published=4).ended


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{oops", "not a JSON frame"),
        ("[1]", "not a JSON frame"),
        (f'[{LAMB},{{"cd":"KRW-BTC"}}]', "it has no type"),
        ('{"cd":"KRW-BTC"}', "it has no type"),
        ('{"type":"candle.1m","code":"KRW-BTC"}', "type candle.1m is none of"),
        (ITAM.replace('"cd":"BTC-ITAM",', ""), "it has no code"),
        (ITAM.replace(',"sid":16186782720000000', ""), "it has no sequential_id"),
        (ITAM.replace('"ttms":1618678272000,', ""), "it has no trade_timestamp"),
        (ITAM.replace('"ttms":1618678272000', '"ttms":"noon"'), "not a whole number of milliseconds"),
        (TICKER.replace('"acc_trade_volume":2429.58834336', '"acc_trade_volume":null'), "it has no acc_trade_volume"),
    ],
)
def test_a_broken_line_is_named_with_its_cure(tmp_path: Path, line: str, reason: str) -> None:
    path = recording(tmp_path, ITAM, LAMB, line, TICKER)
    with pytest.raises(RecordingError) as broken:
        replay.check(path)
    text = str(broken.value)
    assert f"{path} line 3: " in text
    assert reason in text
    assert "correct or remove the line" in text
    assert "\n" not in text


def test_an_empty_or_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="holds no frame"):
        replay.check(recording(tmp_path, ""))
    with pytest.raises(RecordingError, match="No such file"):
        replay.check(tmp_path / "nothing.jsonl")
