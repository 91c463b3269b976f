"""The task of `verify_paimon_partitions`: verdicts on the hours of the list, an alarm while one of them is red."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk.exceptions import AirflowFailException

from upbit_lake.hours.hour import Hour
from upbit_lake.state.alarms import close_alarm, open_alarm
from upbit_lake.state.job_runs import bootstrapped
from upbit_lake.state.verdicts import Status, read_verdicts
from upbit_lake.tasks.connections import open_engines
from upbit_lake.tasks.leases import NOTHING_YET
from upbit_lake.tasks.log import conclude
from upbit_lake.verify.run import Verification, absent, red_reasons, summary

RED_ALARM = "verification"


def verify_hours(hour: str) -> str:
    """Verify the list, or `hour`; a red verdict fails the run at once."""
    only = Hour.parse(hour) if hour.strip() else None
    with open_engines() as engines:
        db = engines.db
        if not bootstrapped(db):
            return conclude(NOTHING_YET)
        verdicts = Verification(engines).run(datetime.now(UTC), only)
        red = red_reasons(verdicts)
        if red:
            open_alarm(db, RED_ALARM, red)
        elif not any(verdict.status is Status.RED for verdict in read_verdicts(db)):
            close_alarm(db, RED_ALARM)
    problem = red or absent(only, verdicts)
    if problem:
        raise AirflowFailException(conclude(problem))
    return conclude(summary(verdicts))
