"""The log as JSON lines: one line an event, whatever it says."""

import json
import logging
import time
from pathlib import Path

from upbit_ingester.health.logs import JsonLines


def line(message: str, *values: object, error: Exception | None = None) -> dict[str, object]:
    formatter = JsonLines()
    formatter.converter = time.gmtime
    failure = None if error is None else (type(error), error, error.__traceback__)
    record = logging.LogRecord("upbit_ingester.upbit.session", logging.WARNING, "x.py", 1, message, values, failure)
    record.created, record.msecs = 1_785_369_600.25, 250.0
    text = formatter.format(record)
    assert "\n" not in text
    found: dict[str, object] = json.loads(text)
    return found


def test_an_event_has_its_values_apart() -> None:
    assert line("%s: connection lost (%s); next try in %.1f s", "trade", "close_1006", 0.25) == {
        "time": "2026-07-30T00:00:00.250Z",
        "level": "WARNING",
        "logger": "upbit_ingester.upbit.session",
        "message": "trade: connection lost (close_1006); next try in 0.2 s",
        "event": "%s: connection lost (%s); next try in %.1f s",
        "values": ["trade", "close_1006", 0.25],
    }


def test_anything_can_be_said() -> None:
    assert line("%s: broken\n%s", Path("spool"), ValueError('한글\n"quoted"'))["values"] == ["spool", '한글\n"quoted"']
    assert line("50% of it")["message"] == "50% of it"


def test_a_traceback_stays_in_its_line() -> None:
    try:
        raise OSError("no space left")
    except OSError as error:
        found = line("stopped by an unexpected error (a bug)", error=error)
    assert str(found["exception"]).startswith("Traceback")
    assert str(found["exception"]).endswith("OSError: no space left")
