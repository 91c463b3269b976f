"""An attempt to start a job that fails leaves nothing behind that a later start would trust."""

from __future__ import annotations

import pytest

from tests.twins.engines import twin_engines
from tests.unit.upbit_lake.jobs.job_facts import NEW, facts
from upbit_lake.contract.reader import load_contract
from upbit_lake.jobs import ladder, start
from upbit_lake.jobs.identity import written_tables
from upbit_lake.jobs.restore_points import RestorePoint
from upbit_lake.state import job_runs


@pytest.mark.parametrize("leaves_state", [True, False])
def test_an_attempt_that_left_no_state_is_forgotten(monkeypatch: pytest.MonkeyPatch, leaves_state: bool) -> None:
    def fails(*_: object) -> None:
        raise start.JobStartError("not running")

    monkeypatch.setattr(start, "submit", lambda *_: NEW.job_id)
    monkeypatch.setattr(start, "wait_running", fails)
    engines = twin_engines()
    job_runs.remember(engines.db, NEW)
    points = {NEW.job_id: RestorePoint("checkpoint", "s3://flink/new/chk-1", 8.0, 1)} if leaves_state else {}
    with pytest.raises(start.JobStartError, match="job trade: all 1 restart points failed; last error: not running"):
        start.start(engines, facts(points=points), ladder.first_start())
    assert job_runs.runs_of(engines.db, NEW.name) == ([NEW] if leaves_state else [])


def test_a_job_writes_its_derived_tables_too() -> None:
    contract = load_contract()
    written = {name: written_tables(contract, job) for name, job in contract.jobs.items()}
    assert written["trade"] == ["trade", "candle_1m", "dead_letter"]
    others = {stream.job: [stream.table] for stream in contract.streams.values() if stream.job != "trade"}
    assert written == {"trade": written["trade"], **others}
