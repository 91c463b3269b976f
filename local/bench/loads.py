"""Loads say what a bench sends, figures what its runs come to. No clock, no process, no file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

STREAMS = ("trade", "ticker", "orderbook")
# The local exchange's mix of frames: what is left of a rate for a subject that takes some streams only.
SHARES = {"trade": 0.15, "ticker": 0.25, "orderbook": 0.60}


@dataclass(frozen=True)
class Load:
    """
    Attributes:
        name: what the report calls it.
        rate: frames a second, 0 = as fast as they are taken.
    """

    name: str
    streams: tuple[str, ...]
    frames: int
    rate: float = 0.0


@dataclass(frozen=True)
class Run:
    """One subject under one load, once.

    Attributes:
        acknowledged: frames that Kafka holds at the end, of those sent.
        send_s: until the subject's sockets had taken every frame; seconds: until Kafka had the last one.
        cpu_s: user + system time of the subject's process meanwhile.
        pss_mb: its largest proportional set size, MiB.
        p50_ms, p99_ms: from receive to Kafka's acknowledgement; None when nothing was acknowledged.
    """

    subject: str
    load: str
    sent: int
    acknowledged: int
    send_s: float
    seconds: float
    cpu_s: float
    pss_mb: float
    p50_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True)
class Figures:
    """The medians of the runs of one subject under one load."""

    subject: str
    load: str
    runs: int
    frames_s: float
    cpu_us: float | None
    cpu_percent: float
    pss_mb: float
    p50_ms: float | None
    p99_ms: float | None
    missing: int


def loads(
    streams: Sequence[str], saturated_frames_s: dict[str, int], rates: Sequence[int], seconds: int
) -> Iterable[Load]:
    """All loads for a subject that takes `streams` and about so many saturated frames a second of each."""
    for stream in streams:
        yield Load(f"{stream}, saturated", (stream,), saturated_frames_s[stream] * seconds)
    share = sum(SHARES[stream] for stream in streams)
    for rate in rates:
        yield Load(f"mixed, {rate:,}/s", tuple(streams), round(rate * share) * seconds, rate * share)


def figures(runs: Sequence[Run]) -> list[Figures]:
    """One line for each subject and load, in the order of the runs."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.subject, run.load), []).append(run)
    return [_figures(subject, load, group) for (subject, load), group in groups.items()]


def _figures(subject: str, load: str, runs: Sequence[Run]) -> Figures:
    return Figures(
        subject=subject,
        load=load,
        runs=len(runs),
        frames_s=median(run.acknowledged / run.seconds for run in runs),
        cpu_us=_median(run.cpu_s / run.acknowledged * 1e6 if run.acknowledged else None for run in runs),
        cpu_percent=median(run.cpu_s / run.seconds * 100 for run in runs),
        pss_mb=median(run.pss_mb for run in runs),
        p50_ms=_median(run.p50_ms for run in runs),
        p99_ms=_median(run.p99_ms for run in runs),
        missing=max(run.sent - run.acknowledged for run in runs),
    )


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def ratios(lines: Sequence[Figures], ours: str, peer: str) -> dict[str, float]:
    """CPU of the peer for a frame, in that of ours, by load."""
    by_name = {(line.subject, line.load): line.cpu_us for line in lines}
    found = {}
    for (subject, load), cpu_us in by_name.items():
        theirs = by_name.get((peer, load))
        if subject == ours and cpu_us and theirs:
            found[load] = theirs / cpu_us
    return found


def percentile(values: Sequence[float], share: float) -> float | None:
    """The value below which `share` of the sorted values lie; None of nothing."""
    return values[min(len(values) - 1, int(len(values) * share))] if values else None
