"""The ingester is restarted when it is dead, red or stuck, and never for what happens around it."""

from __future__ import annotations

import pytest

from upbit_lake.contract.settings import Settings
from upbit_lake.engines.ingester.choice import ingester_control
from upbit_lake.engines.ingester.control import ControlError, ProcessState
from upbit_lake.engines.ingester.supervisord import process_state
from upbit_lake.supervise.ingester_health import Counters, Observation, Verdict, judge, parse_counters

RUNS = ProcessState(True, "RUNNING", 500.0)
BEFORE = Counters(received={"trade": 100}, handled={"trade": 100})


def counters(received: float = 200, handled: float = 200, **more: object) -> Counters:
    return Counters(received={"trade": received}, handled={"trade": handled}, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("word", ["STOPPED", "EXITED", "FATAL", "BACKOFF", "UNKNOWN"])
def test_what_is_dead_is_restarted(word: str) -> None:
    assert judge(Observation(ProcessState(False, word), None), None).verdict is Verdict.RESTART


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [
        (Observation(RUNS, True, counters=counters()), Verdict.HEALTHY),
        (Observation(RUNS, False, "loop blocked"), Verdict.RESTART),
        (Observation(RUNS, None), Verdict.RESTART),
        (Observation(ProcessState(True, "STARTING", 3.0), None), Verdict.WAITING),
        (Observation(ProcessState(True, "RUNNING", 3.0), False), Verdict.WAITING),
        (Observation(RUNS, True, counters=counters(handled=100)), Verdict.RESTART),
        (Observation(RUNS, True, counters=counters(received=100, handled=100)), Verdict.HEALTHY),
        (Observation(RUNS, True, counters=None), Verdict.HEALTHY),
        # Kafka is away for three minutes: it spools, so it stays.
        (Observation(RUNS, True, counters=counters(undelivered=900, undelivered_s=180)), Verdict.ALARM),
        # A silent exchange or a finished recording.
        (Observation(RUNS, True, counters=counters(silent_s={"trade": 500})), Verdict.ALARM),
        (Observation(RUNS, True, counters=counters(silent_s={"trade": 500, "ticker": 200})), Verdict.ALARM),
        # A few quiet codes: no trade for minutes, while their books move.
        (Observation(RUNS, True, counters=counters(silent_s={"trade": 500, "orderbook": 1})), Verdict.HEALTHY),
        (Observation(RUNS, True, counters=counters(silent_s={"trade": 5000, "orderbook": 1})), Verdict.ALARM),
        (Observation(RUNS, True, counters=counters(dropped={"orderbook": 5})), Verdict.ALARM),
        (Observation(RUNS, True, counters=counters(missing={"trade": 1})), Verdict.ALARM),
        (Observation(RUNS, True, counters=counters(missing={"trade": 0})), Verdict.HEALTHY),
    ],
)
def test_verdicts(seen: Observation, verdict: Verdict) -> None:
    assert judge(seen, BEFORE).verdict is verdict


def test_the_alarm_of_a_full_spool_ends_with_the_shedding() -> None:
    seen = Observation(RUNS, True, counters=counters(dropped={"orderbook": 5}))
    assert judge(seen, Counters(dropped={"orderbook": 5})).verdict is Verdict.HEALTHY
    assert judge(seen, Counters(dropped={"orderbook": 9})).verdict is Verdict.ALARM


def test_a_new_process_counts_from_zero_and_is_not_stuck() -> None:
    seen = Observation(RUNS, True, counters=counters(received=50, handled=0))
    assert judge(seen, BEFORE).verdict is Verdict.HEALTHY
    assert judge(seen, None).verdict is Verdict.HEALTHY


def test_frames_that_all_go_to_the_dead_letters_are_handled() -> None:
    text = "\n".join(
        [
            "# HELP upbit_ingester_received_total Frames",
            'upbit_ingester_received_total{stream="trade"} 12.0',
            'upbit_ingester_spooled_total{stream="trade"} 2.0',
            'upbit_ingester_dead_lettered_total{stream="trade"} 10.0',
            'upbit_ingester_reconnects_total{cause="reset",stream="trade"} 1.0',
            'upbit_ingester_last_received_age_seconds{stream="trade"} 0.5',
            'upbit_ingester_shed_total{stream="orderbook"} 3.0',
            'upbit_ingester_expired_total{stream="orderbook"} 4.0',
            'upbit_ingester_missing_snapshots{stream="ticker"} 2.0',
            "upbit_ingester_spool_records 7.0",
            "upbit_ingester_spool_oldest_seconds 1.5e+00",
        ]
    )
    found = parse_counters(text)
    assert found.received == {"trade": 12.0}
    assert found.handled == {"trade": 12.0, "orderbook": 3.0}
    assert (found.undelivered, found.undelivered_s) == (7.0, 1.5)
    assert found.silent_s == {"trade": 0.5}
    assert (found.dropped, found.missing) == ({"orderbook": 7.0}, {"ticker": 2.0})


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
