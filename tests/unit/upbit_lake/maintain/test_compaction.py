"""What the hourly maintenance decides: what to close, when to yield, how long to keep, what a verdict remembers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.twins.clock import HandClock
from tests.twins.database import DatabaseTwin
from tests.twins.engines import twin_engines
from tests.twins.flink import GatewayTwin, JobManagerTwin
from upbit_lake.contract.columns import table_columns
from upbit_lake.contract.reader import load_contract
from upbit_lake.engines.engines import Engines
from upbit_lake.engines.flink.gateway import GatewayError, GatewaySession, Result
from upbit_lake.engines.flink.jobmanager import Cluster, JobSummary
from upbit_lake.engines.flink.slots import BatchYieldsError, StreamingJob, await_slot, disturbed, slot_problem
from upbit_lake.engines.kafka.offsets import group_of
from upbit_lake.engines.postgres import Row
from upbit_lake.hours.closing import Progress
from upbit_lake.hours.hour import Hour
from upbit_lake.hours.partitions import PartitionState, partition_states
from upbit_lake.hours.progress import LakeState
from upbit_lake.maintain import compaction, expiry
from upbit_lake.maintain.compaction import (
    CloseError,
    Compacted,
    CompactionError,
    difference,
)
from upbit_lake.maintain.expiry import RetentionError, is_due, parse_retention
from upbit_lake.maintain.plan import Closing, plan_closing
from upbit_lake.state.verdicts import HourVerdict, Level, Status
from upbit_lake.verify.run import absent, gone_hours, red_reasons, remember_rows, summary

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
NINE = Hour("2026-11-23", "09")
CANDLES = "candle_1m"


def lake_of(*partitions: tuple[str, Hour]) -> LakeState:
    states: dict[str, list[PartitionState]] = {}
    for table, hour in partitions:
        states.setdefault(table, []).append(PartitionState(table, hour, 1, 1, 1, NOW))
    ended = Progress({}, 0, source_ended=True)
    return LakeState(states, dict.fromkeys(states, ended), {}, None, NOW, 120)


def test_candles_are_recomputed_only_where_trades_changed(contract: Any) -> None:
    ten = NINE.shifted(1)
    state = lake_of(("trade", NINE), ("ticker", ten), (CANDLES, ten))
    closing = plan_closing(contract, state, {})
    assert closing.exact == {CANDLES: [NINE]}
    assert closing.compact == {"trade": [NINE], "ticker": [ten], CANDLES: [NINE, ten]}
    # The order of the work: candles are computed from compacted trades, and compacted last.
    assert list(closing.compact) == ["trade", "ticker", CANDLES]


TEN = NINE.shifted(1)


class NotingDatabase(DatabaseTwin):
    """Notes the hours that are remembered as closed among what else is done."""

    def __init__(self, done: list[str]) -> None:
        super().__init__()
        self._done = done

    def query(self, name: str, values: Mapping[str, Any] | None = None) -> list[Row]:
        if name == "hours/set_closed" and values:
            self._done.append(f"closed {values['table']} {values['dt']}T{values['hh']}")
        return super().query(name, values)


class Steps:
    """Notes what is done, in its order; `faults`: table → what its compaction raises or finds broken."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.faults: dict[str, Exception | str] = {}
        self.flink = JobManagerTwin()
        engines = replace(twin_engines(), flink=self.flink, gateway=GatewayTwin(self._runs))
        self.engines = replace(engines, db=NotingDatabase(self.done))

    def close(self, compact: dict[str, list[Hour]], exact: list[Hour] | None = None) -> list[str]:
        """Close hours; `exact`: those whose candles are recomputed."""
        closing = Closing({CANDLES: exact} if exact else {}, compact)
        return compaction.close_hours(self.engines, closing, NOW, self._compacts)

    def _compacts(self, _: Engines, __: GatewaySession, table: str, hours: Sequence[Hour]) -> Compacted:
        self.done.append(f"compact {table}")
        fault = self.faults.get(table)
        if isinstance(fault, Exception):
            raise fault
        if fault == "slots are taken":
            self.flink.slots = 0
        broken = [f"{table} {hours[0]}: {fault}"] if fault == "9 files" else []
        whole = hours[1:] if broken else hours
        return Compacted([PartitionState(table, hour, 1, 1, 1, NOW) for hour in whole], len(whole), broken)

    def _runs(self, statement: str) -> Result:
        if "INSERT INTO" in statement:
            self.done.append("candles")
        return Result((), (), None)


@pytest.fixture
def steps() -> Steps:
    return Steps()


def test_trades_are_closed_only_when_their_candles_hold_them(steps: Steps) -> None:
    steps.close({"trade": [NINE], CANDLES: [NINE]}, exact=[NINE])
    assert steps.done == [
        *("compact trade", "candles", f"closed trade {NINE}"),
        *(f"compact {CANDLES}", f"closed {CANDLES} {NINE}"),
    ]
    assert steps.flink.asked.count("cluster") == 3, "each of the three batch jobs waited for its slot"


def test_a_bad_hour_keeps_no_other_from_its_turn(steps: Steps) -> None:
    steps.faults = {"trade": "9 files", "ticker": GatewayError("no memory")}
    with pytest.raises(CompactionError, match=rf"^trade {NINE}: 9 files; ticker {NINE}: no memory$"):
        steps.close({"trade": [NINE, TEN], "ticker": [NINE], CANDLES: [NINE]}, exact=[NINE])
    assert f"closed trade {TEN}" in steps.done
    assert f"closed {CANDLES} {NINE}" in steps.done
    assert f"closed trade {NINE}" not in steps.done


def test_what_the_engines_failed_with_is_said_at_the_end(steps: Steps) -> None:
    steps.faults = {"ticker": GatewayError("no memory")}
    with pytest.raises(CloseError, match="no memory"):
        steps.close({"ticker": [NINE], "orderbook": [NINE]})
    assert f"closed orderbook {NINE}" in steps.done


def test_a_run_that_is_deferred_keeps_what_it_has_done(steps: Steps) -> None:
    steps.faults = {"ticker": "slots are taken"}
    [closed, deferred] = steps.close({"ticker": [NINE], "orderbook": [NINE]})
    assert closed == f"ticker: {NINE} in 1 files as promised"
    assert deferred.startswith("batch work deferred: no free slot")
    with pytest.raises(BatchYieldsError):
        steps.close({"ticker": [NINE]})


def test_streaming_jobs_that_restart_meanwhile_fail_the_run(steps: Steps) -> None:
    steps.flink.listed = [replace(job("upbit trade"), jid="j1")]

    def restarts(*arguments: object) -> Compacted:
        steps.flink.restarted["j1"] = 1
        return Compacted([], 0, [])

    with pytest.raises(CompactionError, match="streaming jobs were restarted while hours were closed: upbit trade"):
        compaction.close_hours(steps.engines, Closing({}, {"ticker": [NINE]}), NOW, restarts)


def test_a_table_whose_snapshots_do_not_expire_keeps_no_other_from_its_turn(lake: Any) -> None:
    for number in (1, 2):
        lake.trades([(NINE.dt, NINE.hh, "KRW-BTC", number, NINE.start_ms, 1, 1, 0, number)])
    lake.exact_candles(NINE.dt, NINE.hh)
    lake.exact_candles(NINE.dt, NINE.hh)
    tables = list[str]()

    def runs(statement: str) -> Result:
        found = re.search(r"expire_snapshots.*?(trade|candle_1m)", statement, re.DOTALL)
        if found is None:
            return Result((), (), None)
        if found[1] == "trade":
            raise GatewayError("no memory")
        tables.append(found[1])
        return Result(("expired",), ((3,),), None)

    engines = replace(twin_engines(), lake=lake.reader, gateway=GatewayTwin(runs))
    later = datetime.now(UTC) + timedelta(days=1)
    with pytest.raises(expiry.ExpiryError, match=r"^trade: no memory$"):
        expiry.expire_snapshots(engines, timedelta(hours=1), later)
    assert tables == ["candle_1m"], "what has one snapshot is not asked about"


def test_a_second_run_has_nothing_to_do(contract: Any) -> None:
    state = lake_of(("trade", NINE), ("ticker", NINE))
    done = {(item.table, item.hour): item.fingerprint for items in state.states.values() for item in items}
    assert not plan_closing(contract, state, done)


def test_partitions_are_read_from_paimons_names() -> None:
    row = {"name": "dt=2026-11-23/hh=09", "record_count": 5, "file_count": 2, "size_bytes": 9, "updated_at": NOW}
    [found] = partition_states("trade", [row])
    assert (found.hour, found.record_count) == (NINE, 5)


def job(name: str, running: int = 2, state: str = "RUNNING") -> JobSummary:
    return JobSummary("j", name, state, 1, running, 2)


@pytest.mark.parametrize(
    ("slots", "jobs", "yields"),
    [
        (1, [job("trade")], None),
        (0, [job("trade")], "no free slot"),
        (1, [job("trade", running=0)], "trade waits for its slots"),
        (1, [job("trade", state="FAILED")], None),
        (1, [job("compact", running=0)], None),
    ],
)
def test_batch_work_yields_to_streaming_jobs(slots: int, jobs: list[JobSummary], yields: str | None) -> None:
    problem = slot_problem(Cluster(2, 4, slots), jobs, ["trade"])
    assert problem is None if yields is None else yields in (problem or "")


def test_waiting_for_a_slot_ends_in_a_sentence() -> None:
    with pytest.raises(BatchYieldsError, match="the next run retries"):
        await_slot(JobManagerTwin(slots=0), ["trade"], 3, HandClock())


def test_a_restarted_job_is_noticed() -> None:
    before = {"trade": StreamingJob("a", 1, 0), "ticker": StreamingJob("b", 1, 0)}
    assert disturbed(before, {"trade": StreamingJob("a", 1, 1), "ticker": before["ticker"]}) == ["trade"]
    assert disturbed(before, {"trade": before["trade"]}) == ["ticker"]


@pytest.mark.parametrize(("text", "value"), [("24h", timedelta(hours=24)), (" 45 s", timedelta(seconds=45))])
def test_retentions(text: str, value: timedelta) -> None:
    assert parse_retention(text) == value


def test_a_retention_that_is_none_is_refused() -> None:
    with pytest.raises(RetentionError, match=r"is not a duration; use e\.g\. 24h"):
        parse_retention("a while")


def test_daily_work_is_due_once_a_day() -> None:
    assert is_due(None, NOW)
    assert not is_due(NOW - timedelta(hours=23), NOW)
    assert is_due(NOW - timedelta(hours=24), NOW)


def test_the_first_changed_total_is_named() -> None:
    assert difference({"a": 1, "b": 2}, {"a": 1, "b": 3}) == "the compaction changed b from 2 to 3"


def test_columns_come_from_the_declaration(contract: Any) -> None:
    book = table_columns(contract, "orderbook")
    by_name = {column.name: column for column in book.columns}
    assert book.identity == ("code", "timestamp")
    assert by_name["orderbook_units"].required
    assert by_name["orderbook_units"].type.startswith("ARRAY<ROW<")
    assert not by_name["level"].required
    assert by_name["total_ask_size"].total == 'sum(CAST("total_ask_size" AS DECIMAL(38, 8)))'


@pytest.mark.parametrize("source", [*(stream.sql_name for stream in load_contract().streams.values()), "dead_letter"])
def test_the_consumer_groups_are_those_of_the_sources(contract: Any, source: str) -> None:
    text = (contract.root / "sql" / "sources" / f"kafka_{source}.sql").read_text(encoding="utf-8")
    assert f"'properties.group.id' = '{group_of(source)}'" in text


def verdict(status: Status, rows: int = 10) -> HourVerdict:
    return HourVerdict(Level.STRUCTURAL, "trade", NINE, status, f"trade {NINE}: x", {"rows": rows})


def test_an_hour_with_fewer_rows_than_before_is_red() -> None:
    found = remember_rows(verdict(Status.GREEN, 9), most=10)
    assert found.status is Status.RED
    assert "1 fewer than when it was verified before" in found.reason
    # And stays so until the row is back.
    assert remember_rows(verdict(Status.GREEN, 9), found.details["most_rows"]).status is Status.RED
    assert remember_rows(verdict(Status.GREEN, 10), found.details["most_rows"]).status is Status.GREEN


def test_rows_of_a_red_hour_are_not_the_measure() -> None:
    assert remember_rows(verdict(Status.RED, 11), most=10).details["most_rows"] == 10


def test_an_hour_that_was_verified_and_is_gone_is_named_whatever_its_date(contract: Any) -> None:
    old = Hour("2020-01-01", "00")
    fresh = PartitionState("trade", old, 1, 1, 1, NOW - timedelta(days=1))
    stale = PartitionState("orderbook", old, 1, 1, 1, NOW - timedelta(days=31))
    verified = {(item.table, item.hour): item.fingerprint for item in (fresh, stale)}
    # Written yesterday, the recording cannot have been expired; the books were written longer ago than their retention.
    assert gone_hours(contract, lake_of(), verified) == [("trade", old)]
    assert gone_hours(contract, lake_of(("trade", old)), verified) == []


def test_an_hour_that_was_asked_for_and_is_not_there_is_no_success() -> None:
    assert absent(NINE, []) == f"{NINE}: no table of the lake has this hour"
    assert absent(NINE, [verdict(Status.GREEN)]) is None
    assert absent(None, []) is None


def test_the_last_line_names_what_is_red() -> None:
    verdicts = [verdict(Status.GREEN), verdict(Status.RED)]
    assert red_reasons(verdicts) == "1 red: [structural] trade 2026-11-23T09: x"
    assert red_reasons(verdicts[:1]) is None
    assert summary(verdicts) == "1 green, 1 red"
    assert summary([]) == "nothing to do"
