"""Brings a job that ran before to run again: from its own state, else from where the lake ends, else from the start.

`reconcile` and `supervise` both stand on it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from upbit_lake.contract.model import Job
from upbit_lake.engines.engines import Engines
from upbit_lake.jobs import ladder
from upbit_lake.jobs.facts import JobFacts, gather, remembered_runs
from upbit_lake.jobs.identity import streams_of
from upbit_lake.jobs.ladder import Rung
from upbit_lake.jobs.lost_hours import name_lost_hours
from upbit_lake.jobs.replay_point import replay_from_ms
from upbit_lake.jobs.start import Started, remember, start

log = logging.getLogger(__name__)


def recreated_reason(recreated: list[str]) -> str:
    """The reason to renew a job, in words: what was deleted and created again."""
    return f"{', '.join(recreated)} {'was' if len(recreated) == 1 else 'were'} recreated"


def resume(engines: Engines, facts: JobFacts) -> Started:
    """Start a job by the restart ladder; without its old state when its topics or tables were recreated.

    The facts may be older than the end of its last Flink job: what that left is listed when it is needed.
    """
    newest = next(iter(facts.runs), None)
    if newest is None:
        return start(engines, facts, ladder.first_start())
    if recreated := facts.recreated_since(newest):
        return renew(engines, facts, recreated_reason(recreated))[0]
    return start(engines, facts, rungs(engines, facts))


def rungs(engines: Engines, facts: JobFacts) -> Iterator[Rung]:
    """The rungs of a job that ran before. The last one asks the lake, which is dear: only when it is needed."""
    yield from ladder.restored(facts.restore_points)
    if len(facts.valid_runs) < len(facts.runs):
        # The lake holds rows of the older topic too: their offsets say nothing about the present one.
        yield from ladder.from_earliest("older runs stood on other topics or tables")
        return
    times = [replay_from_ms(engines, stream) for stream in streams_of(engines.contract, facts.job)]
    certain = [time for time in times if time is not None]
    yield ladder.replayed(min(certain) if len(certain) == len(times) else None)


def renew(engines: Engines, facts: JobFacts, reason: str) -> tuple[Started, list[str]]:
    """Start a job without state from the earliest retained record; gives it and the hours that cannot be refilled.

    The lake is asked before the start: afterwards its newest event is one of the new topic.
    """
    lost = [name_lost_hours(engines, stream) for stream in streams_of(engines.contract, facts.job)]
    for line in lost:
        log.warning(line)
    return start(engines, facts, ladder.from_earliest(reason)), lost


def adopt(engines: Engines, facts: JobFacts, jid: str) -> None:
    """Remember the live Flink job `jid` as a run of the job: it was submitted by hand, or its submitter died."""
    remember(engines, facts, jid, "adopted")


def adopt_unknown(engines: Engines, job: Job, jid: str) -> bool:
    """Adopt the live Flink job `jid` unless it is remembered; True when it was not."""
    if any(run.job_id == jid for run in remembered_runs(engines, job)):
        return False
    adopt(engines, gather(engines, job), jid)
    return True
