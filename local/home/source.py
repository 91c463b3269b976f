"""A home's source is where its data comes from. The first `up` fixes it: two sources are never mixed in one lake."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import requests

from local.errors import PipelineError
from local.home import json_file
from local.home.places import Places

LIVE_WEBSOCKET = "wss://api.upbit.com/websocket/v1"
LIVE_REST = "https://api.upbit.com/v1"

# Settings of the local market that are fixed with the source, and what the exchange takes.
MARKET: dict[str, tuple[type[int] | type[float], float, float]] = {
    "EXCHANGE_CODES": (int, 1, 2000),
    "EXCHANGE_RATE": (float, 0.001, 100_000),
    "EXCHANGE_SEED": (int, 0, 1 << 62),
    "EXCHANGE_LEDGER_KEEP_GB": (float, 0, 1e6),
}


@dataclass(frozen=True)
class Source:
    """The source of a home's data.

    Attributes:
        kind: "live", "exchange" (the local market) or "file" (a recording played by the local exchange).
        path, sha256: the recording, for "file".
        speed: exchange seconds in a wall second, until the exchange's clock reaches the present.
        start: ISO 8601 start of the exchange's clock, "" = now (for a recording: its first frame).
        market: EXCHANGE_* settings (codes, rate, seed, size of the ledger) given at the first `up`.
    """

    kind: str
    path: str = ""
    sha256: str = ""
    speed: float = 1.0
    start: str = ""
    market: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_local(self) -> bool:
        return self.kind != "live"

    def __str__(self) -> str:
        return f"file:{self.path}" if self.kind == "file" else self.kind


def load(places: Places) -> Source | None:
    """Returns the home's recorded source, None before the first `up`."""
    if not os.path.lexists(places.source_file):
        return None
    try:
        return Source(**json.loads(places.source_file.read_text()))
    except OSError as error:
        raise PipelineError(f"{places.source_file}: {error.strerror}: run as the account that made this home") from None
    except (ValueError, TypeError):
        raise PipelineError(f"{places.source_file} is broken: restore it, or `./pipeline down --purge`") from None


def choose(
    places: Places, wanted: str | None, speed: float | None, start: str | None, now: datetime
) -> tuple[Source, str]:
    """Returns the home's source and one sentence about the choice; `record` makes it permanent.

    Raises:
        PipelineError: another source than this home's, an unknown one, an unreadable recording, a bad start.
    """
    _refuse_unknown_market(os.environ)
    recorded = load(places)
    if recorded is not None:
        _refuse_other(places, recorded, wanted, speed, _checked_start(start, now))
        if recorded.kind == "file" and _digest(Path(recorded.path)) != recorded.sha256:
            raise PipelineError(f"recording {recorded.path} has changed since this home was made: restore it")
        return recorded, f"source: {recorded} (as recorded in this home)"
    if wanted is None:
        alive = upbit_answers()
        kind, why = ("live", "Upbit answers") if alive else ("exchange", "Upbit does not answer from here")
        text = f"source: {kind} ({why}; from now on fixed for this home, --source chooses otherwise)"
    else:
        kind, text = wanted, f"source: {wanted} (from now on fixed for this home)"
    chosen = _new(kind, speed, _checked_start(start, now))
    if wanted == "live" and not upbit_answers():
        raise PipelineError(f"{LIVE_REST} does not answer: check the network, or use --source exchange")
    return chosen, text


def record(places: Places, source: Source) -> None:
    places.home.mkdir(parents=True, exist_ok=True)
    json_file.write(places.source_file, asdict(source))


def upbit_answers() -> bool:
    try:
        return requests.get(f"{LIVE_REST}/market/all", timeout=5).ok
    except requests.RequestException:
        return False


def _new(wanted: str, speed: float | None, start: str) -> Source:
    if wanted == "live":
        if speed is not None or start:
            raise PipelineError("--speed and --start are for the local exchange: the live one has its own clock")
        return Source("live")
    if speed is not None and not 0 < speed <= 1000:
        raise PipelineError(f"--speed {speed:g} is outside 0..1000")
    settings = {"speed": speed or 1.0, "start": start, "market": _market(os.environ)}
    if wanted == "exchange":
        return Source("exchange", **settings)  # type: ignore[arg-type]
    if wanted.startswith("file:"):
        path = Path(wanted.removeprefix("file:")).expanduser().absolute()
        return Source("file", path=str(path), sha256=_digest(path), **settings)  # type: ignore[arg-type]
    raise PipelineError(f"--source {wanted!r} is unknown: use live, exchange or file:PATH")


def _market(environment: Mapping[str, str]) -> dict[str, str]:
    """EXCHANGE_* as given. Refused here, not by the exchange: what a home has recorded cannot be corrected."""
    market = {name: text for name, text in environment.items() if name in MARKET and text}
    for name, text in market.items():
        kind, low, high = MARKET[name]
        try:
            value = kind(text)
        except ValueError:
            value = -1
        if not low <= value <= high:
            raise PipelineError(f"{name}={text!r} is not a number from {low:g} to {high:g}: change it")
    return market


def _refuse_unknown_market(environment: Mapping[str, str]) -> None:
    """A misspelt setting would be ignored in silence."""
    for name in environment:
        if name.startswith("EXCHANGE_") and name not in MARKET:
            raise PipelineError(f"{name} is unknown: use {', '.join(MARKET)}, or unset it")


def _checked_start(start: str | None, now: datetime) -> str:
    if not start:
        return ""
    try:
        moment = datetime.fromisoformat(start)
    except ValueError:
        raise PipelineError(f"--start {start!r} is not ISO 8601: use for example 2026-11-23T08:00:00Z") from None
    if moment.tzinfo is None:
        raise PipelineError(f"--start {start!r} has no time zone: add Z for UTC or +09:00 for Korea")
    if moment > now:
        raise PipelineError(f"--start {start!r} lies in the future: give a time that has passed")
    return moment.astimezone(UTC).isoformat()


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        raise PipelineError(f"recording {path}: {error.strerror}: give --source file:PATH of a readable file") from None


def _refuse_other(places: Places, recorded: Source, wanted: str | None, speed: float | None, start: str) -> None:
    cure = "use another PIPELINE_HOME, or end this one with `./pipeline down --purge`"
    if wanted is not None:
        same_file = (
            wanted.startswith("file:")
            and recorded.kind == "file"
            and _digest(Path(wanted.removeprefix("file:")).expanduser().absolute()) == recorded.sha256
        )
        if wanted != recorded.kind and not same_file:
            raise PipelineError(f"this home ({places.home}) keeps data of {recorded}, not of {wanted}: {cure}")
    if speed is not None and speed != recorded.speed:
        raise PipelineError(f"this home ({places.home}) runs at --speed {recorded.speed:g}, not {speed:g}: {cure}")
    if start and start != recorded.start:
        raise PipelineError(f"this home ({places.home}) started at {recorded.start or 'now'}, not {start}: {cure}")
