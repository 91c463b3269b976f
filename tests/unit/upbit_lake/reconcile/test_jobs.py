"""What is done about a job, decided from the facts about it alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.unit.upbit_lake.jobs.job_facts import NEW, OLD, facts
from upbit_lake.engines.flink.jobmanager import JobSummary
from upbit_lake.reconcile.jobs import Action, plan_job
from upbit_lake.state.job_runs import JobRun

LIVE = JobSummary(NEW.job_id, "upbit trade", "RUNNING", 0, 6, 6)
UNKNOWN = replace(LIVE, jid="c" * 32)
OTHER_TABLE = replace(NEW, table_ids={"trade": 99})


@pytest.mark.parametrize(
    ("live", "runs", "wanted", "action"),
    [
        ([], [], "f", Action.START),
        ([LIVE], [], "f", Action.ADOPT),
        ([LIVE], [NEW], "f", Action.KEEP),
        ([LIVE], [NEW], "f2", Action.REPLACE),
        ([replace(LIVE, jid=OLD.job_id)], [OLD], "f2", Action.RENEW),
        ([], [NEW], "f", Action.RESUME),
        ([], [OTHER_TABLE], "f", Action.RENEW),
        ([UNKNOWN], [NEW], "f", Action.ADOPT),
        # The live job's own run counts, not a newer one that died.
        ([LIVE], [replace(OLD, job_id="d" * 32), NEW], "f", Action.KEEP),
        # Of two live ones the oldest is decided about.
        ([LIVE, UNKNOWN], [NEW], "f", Action.KEEP),
    ],
)
def test_what_to_do_about_a_job(
    live: Sequence[JobSummary], runs: Sequence[JobRun], wanted: str, action: Action
) -> None:
    assert plan_job(facts(*runs, live=live, fingerprint=wanted)).action is action


def test_the_reason_says_what_was_recreated() -> None:
    assert plan_job(facts(OLD)).reason == "topic upbit-trade was recreated"
