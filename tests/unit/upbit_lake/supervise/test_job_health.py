"""A job's health: RUNNING proves nothing, an empty list proves little, a stale checkpoint proves much."""

from __future__ import annotations

from dataclasses import replace

import pytest

from upbit_lake.engines.flink.jobmanager import Checkpoint, CheckpointStatus, Cluster, JobSummary
from upbit_lake.supervise.job_health import JobCondition, ObservedJob, judge, restarts_within

HEALTHY, WAITING, BLOCKED, UNHEALTHY, LOST, DOUBLED = JobCondition
NOW = 10_000.0
CLUSTER = Cluster(2, 4, 1)
JOB = JobSummary("a" * 32, "upbit trade", "RUNNING", int((NOW - 3000) * 1000), 6, 6)


def checkpoints(age_s: float) -> CheckpointStatus:
    return CheckpointStatus(10, 0, Checkpoint("s3://flink/x/chk-10", int((NOW - age_s) * 1000)), None)


def seen(*jobs: JobSummary, age_s: float = 5, healthy_s: float = 1000, cluster: Cluster = CLUSTER) -> ObservedJob:
    return ObservedJob(tuple(jobs), cluster, checkpoints(age_s), healthy_s)


def cancelling(for_s: float) -> JobSummary:
    return replace(JOB, state="CANCELLING", tasks_running=0, changed_ms=int((NOW - for_s) * 1000))


@pytest.mark.parametrize(
    ("observed", "condition"),
    [
        (seen(JOB), HEALTHY),
        (seen(JOB, age_s=119), HEALTHY),
        (seen(JOB, age_s=121), UNHEALTHY),
        (seen(replace(JOB, tasks_running=5)), WAITING),
        (seen(replace(JOB, tasks_running=5), age_s=500), UNHEALTHY),
        (seen(replace(JOB, state="RESTARTING", tasks_running=0)), WAITING),
        (seen(replace(JOB, state="RESTARTING", tasks_running=0), age_s=500), UNHEALTHY),
        (seen(replace(JOB, tasks_running=0), age_s=500, cluster=Cluster(0, 0, 0)), BLOCKED),
        # A TaskManager is gone: whoever cancels the job cannot start another in its place.
        (
            seen(replace(JOB, state="RESTARTING", tasks_running=0), age_s=500, cluster=Cluster(1, 2, 0)),
            BLOCKED,
        ),
        # A running task holds a slot, which a cancel would free.
        (seen(replace(JOB, tasks_running=5), age_s=500, cluster=Cluster(1, 2, 0)), UNHEALTHY),
        (seen(cancelling(119), age_s=500), WAITING),
        (seen(cancelling(121), age_s=500), UNHEALTHY),
        (seen(healthy_s=59), WAITING),
        (seen(healthy_s=60), LOST),
        (seen(replace(JOB, state="CANCELED"), healthy_s=1), LOST),
        (seen(replace(JOB, state="FAILED"), JOB), HEALTHY),
        (seen(JOB, replace(JOB, jid="b" * 32)), DOUBLED),
    ],
)
def test_conditions(observed: ObservedJob, condition: JobCondition) -> None:
    assert judge(observed, 120, NOW).condition is condition


def test_a_young_job_has_time_for_its_first_checkpoint() -> None:
    young = replace(JOB, start_ms=int((NOW - 30) * 1000))
    assert judge(ObservedJob((young,), CLUSTER, None, 1000), 120, NOW).condition is HEALTHY
    assert judge(ObservedJob((JOB,), CLUSTER, None, 1000), 120, NOW).condition is UNHEALTHY


def test_a_job_that_restarts_all_the_time_is_unhealthy_though_it_runs() -> None:
    looping = replace(seen(JOB), restarts=((NOW - 60, 3), (NOW, 14)))
    assert judge(looping, 120, NOW).condition is UNHEALTHY


def test_a_job_needs_as_many_slots_as_its_parallelism() -> None:
    wide = replace(seen(replace(JOB, tasks_running=0), age_s=500), slots_needed=2)
    assert judge(wide, 120, NOW).condition is BLOCKED


def test_a_falling_restart_counter_is_a_new_baseline() -> None:
    assert restarts_within([(NOW - 30, 50), (NOW - 20, 0), (NOW, 2)], NOW) == 2
    assert restarts_within([(NOW - 10_000, 0), (NOW - 20, 50), (NOW, 51)], NOW) == 1
