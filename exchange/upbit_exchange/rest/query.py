"""Parameters of REST requests become values, or Upbit's errors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from upbit_exchange.wire import spelling

Query = Mapping[str, str]


class RestError(Exception):
    """A request that the exchange answers with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


INVALID = (400, "Invalid parameter. Check the given value!")
MISMATCH = (400, "Type mismatch error. Check the parameters type!")
MISSING = (400, "Missing request parameter error. Check the required parameters!")
UNKNOWN_MARKET = (404, "Code not found")


def required(query: Query, name: str) -> str:
    """Returns a parameter that must be there; RestError where it is missing."""
    if not query.get(name):
        raise RestError(*MISSING)
    return query[name]


def integer(query: Query, name: str, default: int, low: int, high: int) -> int:
    """Returns a whole number from `low` to `high`; `default` where it is missing."""
    text = query.get(name)
    if not text:
        return default
    try:
        value = int(text)
    except ValueError:
        raise RestError(*MISMATCH) from None
    if not low <= value <= high:
        raise RestError(*INVALID)
    return value


def level(query: Query) -> int:
    """Returns `level` of the order books in 10^-8 (0 = not gathered)."""
    text = query.get("level") or "0"
    if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,8})?", text):
        raise RestError(*MISMATCH)
    return spelling.units(text)


def moment(text: str) -> int:
    """Returns `to` of the candles in ms: ISO 8601 with `Z`, an offset or nothing (UTC); RestError otherwise."""
    # An unencoded `+09:00` arrives as a space.
    text = re.sub(r" (\d\d:\d\d)$", r"+\1", text) if "T" in text else text
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise RestError(*INVALID) from None
    parsed = parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed
    return (parsed - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def time_of_day(text: str) -> int:
    """Returns `to` of the trades: HHmmss or HH:mm:ss inside the queried day, in ms since midnight. Exclusive."""
    match = re.fullmatch(r"(\d\d):?(\d\d):?(\d\d)", text)
    if not match or int(match[1]) > 23 or int(match[2]) > 59 or int(match[3]) > 59:
        raise RestError(*INVALID)
    return (int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3])) * 1000
