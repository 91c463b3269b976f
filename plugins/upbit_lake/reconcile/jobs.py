"""Brings a streaming job to what the contract says: started once, resumed where it stopped, renewed when it must be."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum

from upbit_lake.contract.model import Job, Stream
from upbit_lake.engines.engines import Engines
from upbit_lake.engines.flink.jobmanager import JobSummary
from upbit_lake.engines.flink.session import BATCH, lake_session
from upbit_lake.jobs import ladder as restart_ladder
from upbit_lake.jobs.ladder import Rung
from upbit_lake.jobs.lost_hours import hours_after_new_topic
from upbit_lake.jobs.replay_point import replay_from_ms
from upbit_lake.jobs.start import (
    Started,
    cancel_all,
    fingerprint,
    identities,
    live_jobs,
    remember,
    restore_points_of,
    runs,
    start,
    stop_keeping_state,
)
from upbit_lake.reconcile.outcome import UNCHANGED, Outcome, State
from upbit_lake.state.job_runs import JobRun

log = logging.getLogger(__name__)


class Action(StrEnum):
    """What to do about one job."""

    KEEP = "keep"
    ADOPT = "adopt"  # it runs, but was not submitted by us: remember it
    START = "start"  # it never ran
    RESUME = "resume"  # it ran before and does not now
    REPLACE = "replace"  # its SQL or settings changed: stop with its state, start anew from it
    RENEW = "renew"  # what it reads or writes was made anew: its state is void


@dataclass(frozen=True)
class JobPlan:
    """An action and its reason in one line."""

    action: Action
    reason: str


def plan_job(live: JobSummary | None, last: JobRun | None, wanted: str, anew: Sequence[str]) -> JobPlan:
    """Decide about one job.

    Args:
        live: its running Flink job, if any.
        last: its newest remembered run; when the live job is remembered, that run.
        wanted: the fingerprint of its SQL and settings as they are in the repository.
        anew: what of its topics and tables was made anew since `last`, in words.
    """
    if last is None:
        return (
            JobPlan(Action.ADOPT, "it runs, but no run is remembered") if live else JobPlan(Action.START, "never ran")
        )
    if anew:
        return JobPlan(Action.RENEW, f"{', '.join(anew)} was made anew")
    if live is None:
        return JobPlan(Action.RESUME, f"no job runs; the last was {last.job_id}")
    if live.jid != last.job_id:
        return JobPlan(Action.ADOPT, "it runs, but this run is not remembered")
    if last.fingerprint != wanted:
        return JobPlan(Action.REPLACE, "its SQL or settings changed")
    return JobPlan(Action.KEEP, "runs")


def reconcile_jobs(engines: Engines, repair: bool = True, dry_run: bool = False) -> dict[str, Outcome]:
    """Bring every job of the contract to what it should be; gives job → outcome.

    The jobs are worked side by side: planning one is mostly waiting for the gateway.

    Raises:
        JobStartError: a job does not start.
        GatewayError, FlinkRestError: the cluster does not answer.
    """
    jobs = list(engines.contract.jobs.values())
    with ThreadPoolExecutor(max_workers=len(jobs)) as pool:
        outcomes = pool.map(lambda job: reconcile_job(engines, job, repair, dry_run), jobs)
        return dict(zip((job.name for job in jobs), outcomes, strict=True))


def reconcile_job(engines: Engines, job: Job, repair: bool = True, dry_run: bool = False) -> Outcome:
    """Bring one job to what it should be; gives the outcome."""
    act = not dry_run
    live = single_live(engines, job, act and repair)
    known = runs(engines, job)
    last = next((run for run in known if live and run.job_id == live.jid), known[0] if known else None)
    topics, tables = identities(engines, job)
    anew = restart_ladder.made_anew(last, topics, tables) if last else []
    plan = plan_job(live, last, fingerprint(engines.contract, job), anew)
    if plan.action is Action.KEEP and live is not None:
        return UNCHANGED if live.all_running else Outcome(State.UNCHANGED, note=f"{live.state}: Flink is restarting it")
    if plan.action is Action.START:
        return _first_start(engines, job) if act else Outcome(State.WOULD_START)
    if not (act and repair):
        return Outcome(State.DRIFT, drift=(plan.reason,), note="dry run" if dry_run else "repair is off")
    return Outcome(State.REPAIRED, (plan.reason, *_carry_out(engines, job, plan, live)))


def single_live(engines: Engines, job: Job, act: bool = True) -> JobSummary | None:
    """The live job of that name. Of several the oldest stays and the others are cancelled: two write twice."""
    live = live_jobs(engines, job)
    if len(live) > 1 and act:
        log.warning("job %s runs %d times: cancelling all but the oldest", job.name, len(live))
        cancel_all(engines, live[1:])
    return live[0] if live else None


def resume(engines: Engines, job: Job) -> Started:
    """Start a job that ran before by the restart ladder, or anew when its topics or tables were made anew."""
    known = runs(engines, job)
    if not known:
        return start(engines, job, restart_ladder.first_start())
    present = identities(engines, job)
    anew = restart_ladder.made_anew(known[0], *present)
    if anew:
        return renew(engines, job, f"{', '.join(anew)} was made anew")[0]
    return start(engines, job, ladder(engines, job, known, restart_ladder.runs_on(known, *present)))


def adopt_unknown(engines: Engines, job: Job, jid: str) -> bool:
    """Remember the live Flink job `jid` unless it is (its submitter died in between); True when it was not."""
    if any(run.job_id == jid for run in runs(engines, job)):
        return False
    remember(engines, job, jid, "adopted")
    return True


def renew(engines: Engines, job: Job, reason: str) -> tuple[Started, list[str]]:
    """Start a job without state from the earliest retained record; gives it and the hours that cannot be refilled.

    The lake is asked before the start: afterwards its newest event is one of the new topic.
    """
    lost = name_lost_hours(engines, job)
    return start(engines, job, restart_ladder.from_earliest(reason)), lost


def ladder(engines: Engines, job: Job, known: Sequence[JobRun], valid: Sequence[JobRun]) -> Iterator[Rung]:
    """The rungs of a job that ran before. The last one asks the lake, which is dear: only when it is needed.

    Args:
        valid: those of the `known` runs whose state is not void.
    """
    yield from restart_ladder.restored(restore_points_of(engines, [run.job_id for run in valid]))
    if len(valid) < len(known):
        # The lake holds rows of the older topic too: their offsets say nothing about the present one.
        yield from restart_ladder.from_earliest("older runs stood on other topics or tables")
        return
    streams = [stream for stream in engines.contract.streams.values() if stream.job == job.name]
    times = [replay_from_ms(engines, stream) for stream in streams]
    certain = [time for time in times if time is not None]
    yield restart_ladder.replayed(min(certain) if len(certain) == len(times) else None)


def _first_start(engines: Engines, job: Job) -> Outcome:
    started = start(engines, job, restart_ladder.first_start())
    return Outcome(State.CREATED, (f"job {started.job_id} from {started.started_from}",))


def _carry_out(engines: Engines, job: Job, plan: JobPlan, live: JobSummary | None) -> list[str]:
    if plan.action is Action.ADOPT and live is not None:
        remember(engines, job, live.jid, "adopted")
        return [f"job {live.jid} adopted"]
    if plan.action is Action.REPLACE and live is not None:
        stop_keeping_state(engines, live)
    lost: list[str] = []
    if plan.action is Action.RENEW:
        cancel_all(engines, [live] if live else [])
        started, lost = renew(engines, job, plan.reason)
    else:
        started = resume(engines, job)
    return [f"job {started.job_id} started from {started.started_from}", *lost]


def name_lost_hours(engines: Engines, job: Job) -> list[str]:
    """One line a stream table of a renewed job: the hours that cannot be refilled."""
    lines = []
    for stream in engines.contract.streams.values():
        if stream.job == job.name:
            lines.append(_lost_hours(engines, stream))
            log.warning(lines[-1])
    return lines


def _lost_hours(engines: Engines, stream: Stream) -> str:
    contract, settings = engines.contract, engines.settings
    try:
        with lake_session(engines.gateway, contract, settings, "lost hours", BATCH) as session:
            return hours_after_new_topic(session, contract, stream, settings.kafka)
    except Exception as error:  # whatever it is: a job that was cancelled must be started all the same
        return f"{stream.table}: the hours that cannot be refilled are unknown ({error})"
