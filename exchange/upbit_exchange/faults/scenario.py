"""A scenario is a file that says when which fault is switched on or off, one JSON object a line.

    {"at": 10, "set": "drop", "stream": "trade"}
    {"at": 12.5, "set": "silence", "code": "KRW-BTC", "duration": 5}
    {"at": 30, "clear": "all"}

`at` = wall seconds since the market began (the exchange's clock was let go). Empty lines and lines that begin with `#`
are skipped; the order of lines does not matter.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec

from upbit_exchange.faults.catalogue import KINDS, FaultError, Order, order
from upbit_exchange.settings import SettingsError


class ScenarioError(SettingsError):
    """A scenario that cannot be played; the text names file, line, reason and cure."""


class Step(msgspec.Struct, frozen=True):
    """At `at` seconds: a fault goes on (`order`), or off (`clear`: a name or `all`)."""

    at: float
    order: Order | None = None
    clear: str = ""


def load(path: Path, listed: Collection[str], replayed: bool = False) -> list[Step]:
    """Returns the steps by time. ScenarioError for a file that cannot be read or the first line that makes no sense."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise ScenarioError(f"{path}: {error.strerror}; give --scenario a readable file") from None
    steps: list[Step] = []
    codes = set(listed)
    for at, number, fields in sorted(_timed(path, lines), key=lambda line: line[:2]):
        try:
            steps.append(_step(at, fields, codes, replayed))
        except FaultError as error:
            raise ScenarioError(f"{path} line {number}: {error}") from None
        _follow(steps[-1], codes)
    return steps


def _timed(path: Path, lines: list[bytes]) -> list[tuple[float, int, dict[str, Any]]]:
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith(b"#"):
            continue
        try:
            fields = msgspec.json.decode(line, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise ScenarioError(f"{path} line {number}: {error}; write {_EXAMPLE}") from None
        at = fields.pop("at", None)
        if isinstance(at, bool) or not isinstance(at, int | float) or at < 0:
            raise ScenarioError(f"{path} line {number}: `at` is not a number of seconds; write {_EXAMPLE}")
        found.append((float(at), number, fields))
    return found


_EXAMPLE = 'a JSON object such as {"at": 10, "set": "drop", "stream": "trade"}'


def _step(at: float, fields: dict[str, Any], codes: Collection[str], replayed: bool) -> Step:
    if "clear" not in fields:
        return Step(at, order(fields, codes, replayed))
    if len(fields) > 1:
        raise FaultError("`clear` stands alone; write a line of its own for the rest")
    if fields["clear"] != "all" and fields["clear"] not in KINDS:
        raise FaultError(f'clear {str(fields["clear"])[:40]!r} is not a fault; write its name or "all"')
    return Step(at, clear=str(fields["clear"]))


def _follow(step: Step, codes: set[str]) -> None:
    """Later lines may name what an earlier one listed."""
    if step.order and step.order.code:
        if step.order.name == "list":
            codes.add(step.order.code)
        elif step.order.name == "delist":
            codes.discard(step.order.code)
