"""What outlives a supervising run: the caller keeps it as JSON and gives it to the next run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from upbit_lake.engines.ingester.counters import Counters
from upbit_lake.supervise.job_health import RESTART_WINDOW_S


@dataclass
class JobMemory:
    """Of one job: restart times (epoch seconds), and the numRestarts of its Flink job as seen before."""

    restarts: list[float] = field(default_factory=list)
    jid: str = ""
    seen: list[tuple[float, int]] = field(default_factory=list)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> JobMemory:
        """The memory that `to_json` gave."""
        seen = [(float(at), int(count)) for at, count in data.get("seen", ())]
        return cls([float(at) for at in data.get("restarts", ())], str(data.get("jid", "")), seen)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"restarts": self.restarts, "jid": self.jid, "seen": [list(pair) for pair in self.seen]}

    def note_restarts(self, jid: str, count: int, now: float) -> None:
        """Remember a job's restart counter; with another job id the counting begins again."""
        if self.jid != jid:
            self.jid, self.seen = jid, []
        self.seen = [*((at, was) for at, was in self.seen if now - at <= RESTART_WINDOW_S), (now, count)]


@dataclass
class JobsMemory:
    """Of the jobs and their JobManager.

    `answering_since`: since when it answers without a break, None while it is away. `away_since`: since when it does
    not. Both epoch seconds.
    """

    answering_since: float | None = None
    away_since: float | None = None
    jobs: dict[str, JobMemory] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: Any) -> JobsMemory:
        """The memory that `to_json` gave, or an empty one."""
        if not isinstance(data, Mapping):
            return cls()
        jobs = {name: JobMemory.from_json(item) for name, item in data.get("jobs", {}).items()}
        return cls(data.get("answering_since"), data.get("away_since"), jobs)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        jobs = {name: job.to_json() for name, job in self.jobs.items()}
        return {"answering_since": self.answering_since, "away_since": self.away_since, "jobs": jobs}

    def note_answer(self, jids: Collection[str], now: float) -> float:
        """Remember that the JobManager answers; gives since when it has been doing so (epoch seconds).

        A JobManager that knows none of the jobs seen before, not even as ended, is another one than at the last look.
        """
        known = {job.jid for job in self.jobs.values() if job.jid}
        if self.answering_since is None or (known and not known & set(jids)):
            self.answering_since = now
            for job in self.jobs.values():
                job.jid, job.seen = "", []
        self.away_since = None
        return self.answering_since

    def note_away(self, now: float) -> None:
        """Remember that the JobManager does not answer."""
        self.answering_since = None
        self.away_since = self.away_since or now


@dataclass
class IngesterMemory:
    """Of the ingester: restart times (epoch seconds) and the counters of the last look."""

    restarts: list[float] = field(default_factory=list)
    counters: Counters | None = None

    @classmethod
    def from_json(cls, data: Any) -> IngesterMemory:
        """The memory that `to_json` gave, or an empty one."""
        if not isinstance(data, Mapping):
            return cls()
        names = {one.name for one in fields(Counters)}
        # Another version may have kept other counters.
        kept = {name: value for name, value in (data.get("counters") or {}).items() if name in names}
        return cls([float(at) for at in data.get("restarts", ())], Counters(**kept) if kept else None)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"restarts": self.restarts, "counters": asdict(self.counters) if self.counters else None}
