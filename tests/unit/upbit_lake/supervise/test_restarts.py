"""What a supervisor says about a restart: it may happen, it waits, or restarts do not help."""

from __future__ import annotations

from upbit_lake.contract.model import Budget
from upbit_lake.supervise.restarts import Attempt, Delayed, Report, UsedUp, first_line, plan_restart

BOUNDS = Budget(restarts=2, window_s=3600, first_wait_s=15, max_wait_s=100)


def test_a_restart_within_the_budget_is_numbered_and_remembered() -> None:
    plan = plan_restart("it is dead", [], BOUNDS, 1000.0, "its log")
    assert plan == Attempt("it is dead; restart 1 of 2", [1000.0])
    assert plan.worked("it runs") == Report("it is dead; restart 1 of 2: it runs")
    assert plan.failed(ValueError("no\nway")) == Report("it is dead; restart 1 of 2 failed: no", failed=True)


def test_a_restart_before_its_time_waits() -> None:
    plan = plan_restart("it is dead", [1000.0], BOUNDS, 1005.0, "its log")
    assert plan == Delayed(Report("it is dead; restart 2 of 2 in 10 s"))


def test_a_budget_that_is_used_up_says_where_to_look() -> None:
    plan = plan_restart("it is dead", [1000.0, 1020.0], BOUNDS, 1100.0, "its log")
    text = (
        "it is dead; 2 restarts within 3600 s did not help, the budget is used up: see its log, "
        "then run bootstrap_pipeline"
    )
    assert plan == UsedUp(Report(text, failed=True))


def test_an_error_without_words_is_named_by_its_kind() -> None:
    assert first_line(KeyError()) == "KeyError"
