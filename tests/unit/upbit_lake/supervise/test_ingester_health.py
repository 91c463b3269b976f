"""The ingester is restarted when it is dead, red or stuck, and never for what happens around it."""

from __future__ import annotations

import pytest

from upbit_lake.contract.settings import Settings
from upbit_lake.engines.ingester.choice import ingester_control
from upbit_lake.engines.ingester.control import ControlError, ProcessState
from upbit_lake.engines.ingester.counters import Counters
from upbit_lake.engines.ingester.probe import ObservedIngester
from upbit_lake.engines.ingester.supervisord import process_state
from upbit_lake.supervise.ingester_health import IngesterCondition, judge

HEALTHY, WAITING, ALARM, RESTART = IngesterCondition
RUNS = ProcessState(True, "RUNNING", 500.0)
BEFORE = Counters(received={"trade": 100}, handled={"trade": 100})


def counters(received: float = 200, handled: float = 200, **more: object) -> Counters:
    return Counters(received={"trade": received}, handled={"trade": handled}, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("word", ["STOPPED", "EXITED", "FATAL", "BACKOFF", "UNKNOWN"])
def test_what_is_dead_is_restarted(word: str) -> None:
    assert judge(ObservedIngester(ProcessState(False, word), None), None).condition is RESTART


@pytest.mark.parametrize(
    ("seen", "condition"),
    [
        (ObservedIngester(RUNS, True, counters=counters()), HEALTHY),
        (ObservedIngester(RUNS, False, "loop blocked"), RESTART),
        (ObservedIngester(RUNS, None), RESTART),
        (ObservedIngester(ProcessState(True, "STARTING", 3.0), None), WAITING),
        (ObservedIngester(ProcessState(True, "RUNNING", 3.0), False), WAITING),
        (ObservedIngester(RUNS, True, counters=counters(handled=100)), RESTART),
        (ObservedIngester(RUNS, True, counters=counters(received=100, handled=100)), HEALTHY),
        (ObservedIngester(RUNS, True, counters=None), HEALTHY),
        # Kafka is away for three minutes: it spools, so it stays.
        (ObservedIngester(RUNS, True, counters=counters(undelivered=900, undelivered_s=180)), ALARM),
        # A silent exchange or a finished recording.
        (ObservedIngester(RUNS, True, counters=counters(silent_s={"trade": 500})), ALARM),
        (
            ObservedIngester(RUNS, True, counters=counters(silent_s={"trade": 500, "ticker": 200})),
            ALARM,
        ),
        # A few quiet codes: no trade for minutes, while their books move.
        (
            ObservedIngester(RUNS, True, counters=counters(silent_s={"trade": 500, "orderbook": 1})),
            HEALTHY,
        ),
        (
            ObservedIngester(RUNS, True, counters=counters(silent_s={"trade": 5000, "orderbook": 1})),
            ALARM,
        ),
        (ObservedIngester(RUNS, True, counters=counters(dropped={"orderbook": 5})), ALARM),
        (ObservedIngester(RUNS, True, counters=counters(missing={"trade": 1})), ALARM),
        (ObservedIngester(RUNS, True, counters=counters(missing={"trade": 0})), HEALTHY),
    ],
)
def test_conditions(seen: ObservedIngester, condition: IngesterCondition) -> None:
    assert judge(seen, BEFORE).condition is condition


def test_the_alarm_of_a_full_spool_ends_with_the_shedding() -> None:
    seen = ObservedIngester(RUNS, True, counters=counters(dropped={"orderbook": 5}))
    assert judge(seen, Counters(dropped={"orderbook": 5})).condition is HEALTHY
    assert judge(seen, Counters(dropped={"orderbook": 9})).condition is ALARM


def test_a_new_process_counts_from_zero_and_is_not_stuck() -> None:
    seen = ObservedIngester(RUNS, True, counters=counters(received=50, handled=0))
    assert judge(seen, BEFORE).condition is HEALTHY
    assert judge(seen, None).condition is HEALTHY


def test_supervisord_s_words() -> None:
    assert process_state({"statename": "RUNNING", "now": 100, "start": 40}) == ProcessState(True, "RUNNING", 60.0)
    assert process_state({"statename": "FATAL", "now": 100, "start": 40}) == ProcessState(False, "FATAL")


def test_an_unreachable_supervisor_is_one_line(tmp_path: object) -> None:
    secrets = {"S3_ACCESS_KEY": "k", "S3_SECRET_KEY": "s"}
    with pytest.raises(ControlError, match="CONTROL_INGESTER_SUPERVISOR_SOCKET is not set"):
        ingester_control(Settings.from_environment(secrets))
    given = {"CONTROL_INGESTER_SUPERVISOR_SOCKET": f"{tmp_path}/none"}
    control = ingester_control(Settings.from_environment(secrets | given))
    with pytest.raises(ControlError, match="does not answer"):
        control.state()
