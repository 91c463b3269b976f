"""What a task says at its end: what changed, and a failure that is not tried again."""

from __future__ import annotations

import logging

import pytest
from airflow.sdk.exceptions import AirflowFailException

from upbit_lake.reconcile.outcome import CREATED, UNCHANGED
from upbit_lake.tasks.log import conclude_report, summary


def test_the_outcome_names_only_what_changed() -> None:
    assert summary({"a": UNCHANGED, "b": UNCHANGED}) == "unchanged"
    assert summary({"a": UNCHANGED, "b": CREATED}) == "b created"


def test_a_report_that_failed_ends_the_run_with_its_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert conclude_report("healthy", failed=False) == "healthy"
        with pytest.raises(AirflowFailException, match="it is dead"):
            conclude_report("it is dead", failed=True)
    assert caplog.messages == ["outcome: healthy", "outcome: it is dead"]
