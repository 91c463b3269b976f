from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local.errors import PipelineError
from local.home import source
from local.home.places import Places
from local.home.source import Source, choose, load, record

NOW = datetime(2026, 7, 30, 12, tzinfo=UTC)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "frames.jsonl"
    path.write_text('{"ty":"trade"}\n')
    return path


def test_the_first_choice_is_live_where_upbit_answers(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "upbit_answers", lambda: True)
    chosen, sentence = choose(places, None, None, None, NOW)
    assert chosen == Source("live")
    assert "live (Upbit answers" in sentence


def test_and_the_local_exchange_where_it_does_not(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "upbit_answers", lambda: False)
    chosen, sentence = choose(places, None, None, None, NOW)
    assert chosen.kind == "exchange"
    assert "does not answer" in sentence


def test_choosing_alone_fixes_nothing(places: Places) -> None:
    choose(places, "exchange", None, None, NOW)
    assert load(places) is None


def test_a_recorded_source_needs_no_repetition(places: Places) -> None:
    chosen, _ = choose(places, "exchange", 12, "2026-07-30T06:00:00Z", NOW)
    record(places, chosen)
    assert choose(places, None, None, None, NOW)[0] == chosen
    assert choose(places, "exchange", 12, "2026-07-30T15:00:00+09:00", NOW)[0] == chosen, "the same moment"


def test_the_market_is_fixed_with_the_source(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXCHANGE_CODES", "40")
    record(places, choose(places, "exchange", None, None, NOW)[0])
    monkeypatch.setenv("EXCHANGE_CODES", "250")
    assert choose(places, None, None, None, NOW)[0].market == {"EXCHANGE_CODES": "40"}


@pytest.mark.parametrize(
    ("wanted", "speed", "start", "said"),
    [
        ("upbit", None, None, "--source 'upbit' is unknown: use live, exchange or file:PATH"),
        ("exchange", 0.0, None, "--speed 0 is outside"),
        ("exchange", -1.0, None, "--speed -1 is outside"),
        ("exchange", float("nan"), None, "--speed nan is outside"),
        ("exchange", None, "yesterday", "--start 'yesterday' is not ISO 8601"),
        ("exchange", None, "2026-07-30T06:00:00", "has no time zone"),
        ("exchange", None, "2026-07-30T12:00:01Z", "lies in the future"),
        ("live", 2.0, None, "--speed and --start are for the local exchange"),
        ("live", None, "2026-07-30T06:00:00Z", "--speed and --start are for the local exchange"),
        ("file:/nowhere/frames", None, None, "recording /nowhere/frames: No such file"),
        ("file:/tmp", None, None, "recording /tmp: Is a directory"),
    ],
)
def test_what_makes_no_sense_is_refused(
    places: Places, wanted: str, speed: float | None, start: str | None, said: str
) -> None:
    with pytest.raises(PipelineError, match=said):
        choose(places, wanted, speed, start, NOW)


def test_an_unreachable_exchange_is_refused(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "upbit_answers", lambda: False)
    with pytest.raises(PipelineError, match="does not answer: check the network, or use --source exchange"):
        choose(places, "live", None, None, NOW)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("EXCHANGE_CODES", "0"),
        ("EXCHANGE_RATE", "fast"),
        ("EXCHANGE_SEED", "-1"),
        ("EXCHANGE_LEDGER_KEEP_GB", "-1"),
    ],
)
def test_a_market_that_the_exchange_would_refuse_is_not_recorded(
    places: Places, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setenv(name, text)
    with pytest.raises(PipelineError, match=f"{name}='{text}' is not a number from"):
        choose(places, "exchange", None, None, NOW)


@pytest.mark.parametrize("recorded", [False, True])
def test_a_misspelt_setting_of_the_market_is_refused(
    places: Places, monkeypatch: pytest.MonkeyPatch, recorded: bool
) -> None:
    if recorded:
        record(places, Source("exchange"))
    monkeypatch.setenv("EXCHANGE_CODE", "40")
    with pytest.raises(PipelineError, match="EXCHANGE_CODE is unknown: use EXCHANGE_CODES, "):
        choose(places, "exchange", None, None, NOW)


def test_upbit_is_asked_once(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(source, "upbit_answers", lambda: not asked.append(True))  # type: ignore[func-returns-value]
    for wanted in (None, "live"):
        choose(places, wanted, None, None, NOW)
        assert asked == [True]
        asked.clear()


@pytest.mark.parametrize(
    ("wanted", "speed", "start"),
    [("live", None, None), ("exchange", 2.0, None), ("exchange", None, "2026-07-30T06:00:00Z")],
)
def test_another_source_than_the_homes_is_refused(
    places: Places, wanted: str, speed: float | None, start: str | None
) -> None:
    record(places, Source("exchange"))
    with pytest.raises(PipelineError, match="use another PIPELINE_HOME"):
        choose(places, wanted, speed, start, NOW)
    assert load(places) == Source("exchange")


def test_a_recording_is_known_by_its_bytes(places: Places, recording: Path, tmp_path: Path) -> None:
    record(places, choose(places, f"file:{recording}", None, None, NOW)[0])
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(recording.read_bytes())
    assert choose(places, f"file:{copy}", None, None, NOW)[0].path == str(recording)
    other = tmp_path / "other.jsonl"
    other.write_text("{}")
    with pytest.raises(PipelineError, match="keeps data of file:"):
        choose(places, f"file:{other}", None, None, NOW)


def test_a_recording_that_changed_is_refused(places: Places, recording: Path) -> None:
    record(places, choose(places, f"file:{recording}", None, None, NOW)[0])
    recording.write_text("{}")
    with pytest.raises(PipelineError, match="has changed since this home was made"):
        choose(places, None, None, None, NOW)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"kind": "exchange", "colour": "red"}'])
def test_a_broken_record_is_refused(places: Places, text: str) -> None:
    places.home.mkdir()
    places.source_file.write_text(text)
    with pytest.raises(PipelineError, match="is broken: restore it"):
        load(places)


def test_a_record_is_whole_or_not_there(places: Places) -> None:
    record(places, Source("exchange", speed=3))
    assert json.loads(places.source_file.read_text())["speed"] == 3
    assert [path.name for path in places.home.iterdir()] == ["source.json"]
