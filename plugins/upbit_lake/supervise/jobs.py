"""One look at all streaming jobs: judge, restart what is lost or unhealthy within its budget, alarm when it is used up.

What must outlive a run (restart times, restart counters) is in `Memory`, which the caller keeps.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from upbit_lake.contract.model import Job
from upbit_lake.engines.engines import Engines
from upbit_lake.engines.flink.jobmanager import Cluster, FlinkRestError, FlinkUnreachableError, JobSummary
from upbit_lake.jobs.facts import gather, live_jobs
from upbit_lake.jobs.identity import pipeline_name
from upbit_lake.jobs.resume import adopt_unknown, resume
from upbit_lake.jobs.start import wait_for_slot
from upbit_lake.jobs.stop import cancel_all, keep_oldest
from upbit_lake.state import alarms
from upbit_lake.supervise import budget
from upbit_lake.supervise.job_health import RESTART_WINDOW_S, Judgement, Observation, Verdict, judge

log = logging.getLogger(__name__)

CLUSTER = "Flink cluster"
JOBS = "streaming jobs"
# How long one run watches what is not healthy yet: long enough for a new JobManager's LOST_AFTER_S to pass in it.
WATCH_S = 75.0
POLL_S = 3.0
CLUSTER_ALARM_S = 180.0
PATIENT = frozenset({Verdict.WAITING})
RESTART = frozenset({Verdict.LOST, Verdict.UNHEALTHY})


@dataclass
class JobMemory:
    """Of one job: restart times (epoch seconds), and the numRestarts of its Flink job as seen before."""

    restarts: list[float] = field(default_factory=list)
    jid: str = ""
    seen: list[tuple[float, int]] = field(default_factory=list)


@dataclass
class Memory:
    """What outlives a run. `answering_since`: since when the JobManager answers without a break, None while it is away.

    `away_since`: since when it does not. Both epoch seconds.
    """

    answering_since: float | None = None
    away_since: float | None = None
    jobs: dict[str, JobMemory] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: Any) -> Memory:
        """The memory that `to_json` gave, or an empty one."""
        if not isinstance(data, Mapping):
            return cls()
        jobs = {name: _job_memory(item) for name, item in data.get("jobs", {}).items()}
        return cls(data.get("answering_since"), data.get("away_since"), jobs)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        jobs = {
            name: {"restarts": job.restarts, "jid": job.jid, "seen": [list(pair) for pair in job.seen]}
            for name, job in self.jobs.items()
        }
        return {"answering_since": self.answering_since, "away_since": self.away_since, "jobs": jobs}


@dataclass(frozen=True)
class Outcome:
    """What became of a job, in one line; `failed` makes the run fail loudly."""

    text: str
    failed: bool = False


def supervise_jobs(
    engines: Engines,
    memory: Memory,
    leased: Callable[[], AbstractContextManager[str]],
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
    watch_s: float = WATCH_S,
) -> dict[str, Outcome]:
    """Look at every job and act; gives job → outcome. `memory` is changed in place.

    A job that is not healthy yet is watched for up to `watch_s` seconds, so that a loss heals within this run. Watching
    needs no lease: the jobs are looked at again once `leased` gives it, for somebody may have worked meanwhile. It
    gives "" or the reason to keep hands off.
    """
    if not watch(engines, memory, clock, sleep, watch_s):
        return {CLUSTER: _cluster_away(engines, memory, clock())}
    alarms.close_alarm(engines.db, CLUSTER)
    with leased() as hands_off:
        if hands_off:
            return {JOBS: Outcome(f"skipped: {hands_off}")}
        judgements = look(engines, memory, clock())
        if not judgements:
            return {CLUSTER: _cluster_away(engines, memory, clock())}
        with ThreadPoolExecutor(max_workers=len(judgements)) as pool:
            jobs = engines.contract.jobs
            work = {
                name: pool.submit(_act, engines, jobs[name], item, memory.jobs[name], clock())
                for name, item in judgements.items()
            }
            return {name: future.result() for name, future in work.items()}


def watch(
    engines: Engines, memory: Memory, clock: Callable[[], float], sleep: Callable[[float], None], watch_s: float
) -> dict[str, Judgement]:
    """Look until nothing is waited for, or `watch_s` seconds have passed; gives the last look."""
    deadline = clock() + watch_s
    while True:
        judgements = look(engines, memory, clock())
        unsettled = not judgements or any(item.verdict in PATIENT for item in judgements.values())
        if not unsettled or clock() > deadline:
            return judgements
        sleep(POLL_S)


def look(engines: Engines, memory: Memory, now: float) -> dict[str, Judgement]:
    """Judge every job of the contract; empty while the JobManager is away."""
    try:
        return observe_all(engines, memory, now)
    except FlinkUnreachableError as error:
        memory.answering_since = None
        memory.away_since = memory.away_since or now
        log.info("%s", error)
        return {}


def observe_all(engines: Engines, memory: Memory, now: float) -> dict[str, Judgement]:
    """Judge every job of the contract; raises FlinkUnreachableError while the JobManager is away."""
    cluster, jobs = engines.flink.cluster(), engines.flink.jobs()
    answering_since = note_answer(memory, {item.jid for item in jobs}, now)
    judgements = {}
    for name, job in engines.contract.jobs.items():
        known = memory.jobs.setdefault(name, JobMemory())
        mine = tuple(item for item in jobs if item.name == pipeline_name(engines.contract, job))
        try:
            seen = _observe(engines, job, mine, cluster, now - answering_since, known, now)
        except FlinkUnreachableError:
            raise
        except FlinkRestError as error:
            judgements[name] = Judgement(Verdict.WAITING, f"it changed during the look: {error}")
        else:
            judgements[name] = judge(seen, job.freshness_s, now)
    return judgements


def _observe(
    engines: Engines,
    job: Job,
    mine: tuple[JobSummary, ...],
    cluster: Cluster,
    healthy_s: float,
    known: JobMemory,
    now: float,
) -> Observation:
    live = next((item for item in mine if not item.final), None)
    checkpoints = engines.flink.checkpoints(live.jid) if live else None
    if live:
        note_restarts(known, live.jid, engines.flink.restarts(live.jid), now)
    return Observation(mine, cluster, checkpoints, healthy_s, tuple(known.seen), job.parallelism)


def note_answer(memory: Memory, jids: Collection[str], now: float) -> float:
    """Remember that the JobManager answers; gives since when it has been doing so (epoch seconds).

    A JobManager that knows none of the jobs seen before, not even as ended, is another one than at the last look.
    """
    known = {job.jid for job in memory.jobs.values() if job.jid}
    if memory.answering_since is None or (known and not known & set(jids)):
        memory.answering_since = now
        for job in memory.jobs.values():
            job.jid, job.seen = "", []
    memory.away_since = None
    return memory.answering_since


def note_restarts(known: JobMemory, jid: str, count: int, now: float) -> None:
    """Remember a job's restart counter; another job id begins anew."""
    if known.jid != jid:
        known.jid, known.seen = jid, []
    known.seen = [*((at, was) for at, was in known.seen if now - at <= RESTART_WINDOW_S), (now, count)]


def _cluster_away(engines: Engines, memory: Memory, now: float) -> Outcome:
    away_s = now - (memory.away_since or now)
    text = f"the JobManager has not answered for {away_s:.0f} s; its supervisor restarts it"
    if away_s < CLUSTER_ALARM_S:
        return Outcome(text)
    alarms.open_alarm(engines.db, CLUSTER, text)
    return Outcome(text, failed=True)


def _act(engines: Engines, job: Job, judgement: Judgement, known: JobMemory, now: float) -> Outcome:
    subject = f"job {job.name}"
    if judgement.verdict is Verdict.HEALTHY:
        alarms.close_alarm(engines.db, subject)
        adopted = "; this run was not remembered: adopted" if adopt_unknown(engines, job, known.jid) else ""
        return Outcome(f"healthy: {judgement.reason}{adopted}")
    if judgement.verdict is Verdict.WAITING:
        return Outcome(f"waiting: {judgement.reason}")
    if judgement.verdict is Verdict.BLOCKED:
        alarms.open_alarm(engines.db, subject, judgement.reason)
        return Outcome(f"cannot run: {judgement.reason}", failed=True)
    if judgement.verdict is Verdict.DOUBLED:
        kept = keep_oldest(engines, job, live_jobs(engines, job))
        return Outcome(f"{judgement.reason}: kept {kept[0].jid if kept else 'none'}, cancelled the others")
    return _restart_within_budget(engines, job, judgement, known, now)


def _restart_within_budget(engines: Engines, job: Job, judgement: Judgement, known: JobMemory, now: float) -> Outcome:
    bounds = engines.contract.budgets["job"]
    decision = budget.decide(known.restarts, bounds, now)
    if isinstance(decision, budget.Exhausted):
        text = (
            f"{judgement.reason}; {decision.restarts} restarts within {bounds.window_s} s did not help, "
            "the budget is used up: see the job's exceptions, then run bootstrap_pipeline"
        )
        alarms.open_alarm(engines.db, f"job {job.name}", text)
        return Outcome(text, failed=True)
    if isinstance(decision, budget.Wait):
        wait = decision.until - now
        return Outcome(f"{judgement.reason}; restart {decision.number} of {bounds.restarts} in {wait:.0f} s")
    return _restart(engines, job, judgement, known, decision.number, now)


def _restart(engines: Engines, job: Job, judgement: Judgement, known: JobMemory, number: int, now: float) -> Outcome:
    bounds = engines.contract.budgets["job"]
    attempt = f"{judgement.reason}; restart {number} of {bounds.restarts}"
    try:
        # Before anything is cancelled: without Kafka, S3 and a slot nothing can be started in its place.
        facts = gather(engines, job)
        live = keep_oldest(engines, job, facts.live)
        if not live:
            wait_for_slot(engines, job)
    except Exception as error:  # each client has exceptions of its own; the text is what counts
        text = f"{judgement.reason}; it cannot be restarted now: {_line(error)}"
        alarms.open_alarm(engines.db, f"job {job.name}", text)
        return Outcome(text, failed=True)
    known.restarts = [*budget.recent(known.restarts, bounds, now), now]
    try:
        cancel_all(engines, live)
        started = resume(engines, facts)
    except Exception as error:  # as above: a run that judged three jobs must not die of one
        return Outcome(f"{attempt} failed: {_line(error)}", failed=True)
    return Outcome(f"{attempt}: job {started.job_id} from {started.started_from}")


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _job_memory(data: Mapping[str, Any]) -> JobMemory:
    seen = [(float(at), int(count)) for at, count in data.get("seen", ())]
    return JobMemory([float(at) for at in data.get("restarts", ())], str(data.get("jid", "")), seen)
