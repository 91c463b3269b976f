"""The tasks of `compact_paimon_partitions`: close the hours of the list, expire, say whether to verify."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk.exceptions import AirflowFailException

from upbit_lake.engines.flink.slots import BatchYieldsError
from upbit_lake.hours.progress import read_lake
from upbit_lake.maintain import compaction
from upbit_lake.maintain.compaction import CloseError, CompactionError
from upbit_lake.maintain.expiry import clean_daily, expire_snapshots, parse_retention
from upbit_lake.maintain.plan import plan_closing
from upbit_lake.state.hours import closed
from upbit_lake.state.job_runs import bootstrapped
from upbit_lake.tasks.connections import open_engines
from upbit_lake.tasks.leases import NOTHING_YET
from upbit_lake.tasks.log import conclude


def close_hours() -> bool:
    """Close the hours of the list; True when there were any. Fails when a promise is broken or an engine fails."""
    with open_engines() as engines:
        if not bootstrapped(engines.db):
            conclude(NOTHING_YET)
            return False
        now = datetime.now(UTC)
        state = read_lake(engines, now)
        closing = plan_closing(engines.contract, state, closed(engines.db))
        try:
            lines = compaction.close_hours(engines, closing, now)
        except BatchYieldsError as reason:
            conclude(str(reason))
            return False
        except CompactionError as error:
            # Said last, and not tried again: a second compaction would hide the first one's mistake.
            raise AirflowFailException(conclude(str(error))) from None
        except CloseError as error:
            conclude(str(error))
            raise
    conclude("; ".join(lines) or "nothing to do")
    return bool(lines)


def expire(snapshot_retention: str) -> str:
    """Expire snapshots older than `snapshot_retention` (empty = the contract's), and clean once a day."""
    with open_engines() as engines:
        if not bootstrapped(engines.db):
            return conclude(NOTHING_YET)
        now = datetime.now(UTC)
        hours = timedelta(hours=engines.contract.hours.snapshot_retention_h)
        retention = parse_retention(snapshot_retention) if snapshot_retention.strip() else hours
        try:
            lines = [*expire_snapshots(engines, retention, now), *clean_daily(engines, now)]
        except BatchYieldsError as reason:
            return conclude(str(reason))
    return conclude("; ".join(lines) or "nothing to do")


def hours_were_closed(closed: bool) -> bool:
    """Whether there is something to verify."""
    conclude("verification starts" if closed else "no hour was closed: nothing to verify")
    return closed
