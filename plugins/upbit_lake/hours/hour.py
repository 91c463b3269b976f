"""An hour of the exchange's clock, and a time of the exchange as milliseconds.

An hour belongs to the exchange's clock, never to ours: an exchange that runs faster than real time, a recording of
years ago and a partition without trades all close by the same rule (docs/decisions/0010).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

HOUR_MS = 3_600_000
KEY_FORMAT = "%Y-%m-%dT%H"
# An exchange's time above this is in microseconds, as some order books have it (docs/upbit.md#microseconds).
MICROSECONDS_FROM = 1_000_000_000_000_000


class HourError(ValueError):
    """A text is not an hour. One line with the form to use."""


@dataclass(frozen=True, order=True)
class Hour:
    """One hour in UTC, the lake's partition (dt, hh). Written `2026-11-23T09`."""

    dt: str
    hh: str

    @classmethod
    def parse(cls, text: str) -> Hour:
        """The hour written as `2026-11-23T09`; raises HourError."""
        try:
            return cls.of(datetime.strptime(text.strip(), KEY_FORMAT).replace(tzinfo=UTC))
        except ValueError:
            raise HourError(f"{text!r} is not an hour; use UTC, e.g. 2026-11-23T09") from None

    @classmethod
    def of_partition(cls, name: str) -> Hour:
        """The hour of a partition as Paimon names it: `dt=2026-11-23/hh=09`."""
        fields = dict(part.split("=", 1) for part in name.split("/"))
        return cls(fields["dt"], fields["hh"])

    @classmethod
    def of(cls, moment: datetime) -> Hour:
        """The hour that holds `moment` (time zone aware)."""
        utc = moment.astimezone(UTC)
        return cls(utc.strftime("%Y-%m-%d"), utc.strftime("%H"))

    @classmethod
    def of_ms(cls, epoch_ms: int) -> Hour:
        """The hour that holds `epoch_ms` (milliseconds since the epoch)."""
        return cls.of(datetime.fromtimestamp(epoch_ms // 1000, UTC))

    @property
    def start(self) -> datetime:
        """Its first moment, UTC."""
        return datetime.strptime(f"{self.dt}T{self.hh}", KEY_FORMAT).replace(tzinfo=UTC)

    @property
    def start_ms(self) -> int:
        """Its first moment in milliseconds since the epoch."""
        return int(self.start.timestamp()) * 1000

    @property
    def end_ms(self) -> int:
        """The first moment after it in milliseconds since the epoch."""
        return self.start_ms + HOUR_MS

    def shifted(self, hours: int) -> Hour:
        """The hour `hours` later (or earlier)."""
        return Hour.of(self.start + timedelta(hours=hours))

    def __str__(self) -> str:
        return f"{self.dt}T{self.hh}"


def event_ms(value: int) -> int:
    """A time of the exchange in milliseconds, whether it was sent in milliseconds or in microseconds."""
    return value // 1000 if value > MICROSECONDS_FROM else value


def neighbours(hour: Hour, present: Iterable[Hour]) -> tuple[list[Hour], list[Hour]]:
    """Of the hours that a table has: the last one before `hour`, and the first two after it."""
    hours = sorted(set(present))
    return [other for other in hours if other < hour][-1:], [other for other in hours if other > hour][:2]
