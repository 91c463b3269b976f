"""The ingester's process under a real supervisord: given up on, stopped, red; each comes back within its budget."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.harness.home import Home
from tests.harness.waiting import until
from upbit_lake.contract.model import Budget
from upbit_lake.engines.ingester.control import ControlError
from upbit_lake.engines.ingester.supervisord import SupervisorControl
from upbit_lake.engines.postgres import Connection
from upbit_lake.reconcile.ingester import ensure_running
from upbit_lake.reconcile.outcome import UNCHANGED
from upbit_lake.state import alarms
from upbit_lake.state.ingester_gaps import IngesterGap, missing
from upbit_lake.state.schema import open_database
from upbit_lake.supervise.ingester import SUBJECT, supervise_ingester
from upbit_lake.supervise.memory import IngesterMemory

pytestmark = pytest.mark.engines

BOUNDS = Budget(restarts=2, window_s=3600, first_wait_s=0, max_wait_s=0)

# Stands for the ingester: it answers /livez with what a file says, and dies at once while another file exists.
PROCESS = """
import http.server, pathlib, sys
folder = pathlib.Path(sys.argv[1])
if (folder / "dies").exists():
    sys.exit(3)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/metrics":
            self.send_response(200); self.end_headers(); self.wfile.write((folder / "metrics").read_bytes())
            return
        if self.path == "/gaps":
            self.send_response(200); self.end_headers(); self.wfile.write((folder / "gaps").read_bytes())
            return
        red = (folder / "red").exists()
        self.send_response(503 if red else 200); self.end_headers(); self.wfile.write(b"loop blocked" if red else b"ok")
    def log_message(self, *args):
        pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
"""


@dataclass
class Supervised:
    """A supervisord with one process, and the switches of that process."""

    folder: Path
    url: str
    control: SupervisorControl

    def switch(self, name: str, on: bool) -> None:
        path = self.folder / name
        path.touch() if on else path.unlink(missing_ok=True)

    def count(self, received: int, spooled: int) -> None:
        (self.folder / "metrics").write_text(
            f'upbit_ingester_received_total{{stream="trade"}} {received}\n'
            f'upbit_ingester_spooled_total{{stream="trade"}} {spooled}\n'
            "upbit_ingester_spool_records 5\nupbit_ingester_spool_oldest_seconds 1\n"
        )

    def report(self, *gaps: dict[str, Any]) -> None:
        (self.folder / "gaps").write_text(json.dumps(gaps))

    def word(self) -> str:
        return self.control.state().word


@pytest.fixture
def supervised(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervised]:
    # A unix socket's path has 107 bytes at most.
    folder = tmp_path_factory.mktemp("s")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "process.py").write_text(PROCESS)
    (folder / "supervisord.conf").write_text(
        f"[supervisord]\nlogfile={folder}/log\npidfile={folder}/pid\nnodaemon=true\n"
        f"[unix_http_server]\nfile={folder}/sock\n"
        "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
        f"[program:ingester]\ncommand={sys.executable} {folder}/process.py {folder} {port}\n"
        "startsecs=1\nstartretries=1\nautorestart=true\n"
    )
    daemon = subprocess.Popen(
        [sys.executable, "-m", "supervisor.supervisord", "-c", str(folder / "supervisord.conf")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    control = SupervisorControl(str(folder / "sock"), "ingester")
    made = Supervised(folder, f"http://127.0.0.1:{port}", control)
    made.count(1, 1)
    made.report()
    until("supervisord runs the process", lambda: _runs(made), 30, every_s=0.2)
    yield made
    daemon.terminate()
    daemon.wait(30)


def _runs(made: Supervised) -> bool:
    try:
        return made.word() == "RUNNING"
    except ControlError:
        return False


@pytest.fixture
def db(engines: Home) -> Iterator[Connection]:
    with open_database(engines.task_environment["AIRFLOW_CONN_PIPELINE_DB"]) as connection:
        yield connection
        alarms.close_alarm(connection, SUBJECT)


def open_incidents(db: Connection) -> list[str]:
    return [row["text"] for row in alarms.open_alarms(db) if row["subject"] == SUBJECT]


def kill_until_given_up(supervised: Supervised) -> None:
    supervised.switch("dies", True)
    with suppress(ControlError):
        supervised.control.restart()
    until("supervisord gives up", lambda: supervised.word() == "FATAL", 30, every_s=0.2)


def test_what_its_supervisor_gave_up_on_comes_back(supervised: Supervised, db: Connection) -> None:
    kill_until_given_up(supervised)
    supervised.switch("dies", False)
    memory = IngesterMemory()
    outcome = supervise_ingester(supervised.control, supervised.url, BOUNDS, db, memory)
    assert outcome.text == "the process is FATAL; restart 1 of 2: it runs and /livez is green"
    assert supervised.word() == "RUNNING"
    assert len(memory.restarts) == 1


def test_a_supervisor_that_does_not_answer_is_an_alarm(supervised: Supervised, db: Connection) -> None:
    away = SupervisorControl(str(supervised.folder / "none"), "ingester")
    for _ in range(2):
        outcome = supervise_ingester(away, supervised.url, BOUNDS, db, IngesterMemory())
        assert outcome.failed
        assert "does not answer" in outcome.text
    assert len(open_incidents(db)) == 1
    assert supervise_ingester(supervised.control, supervised.url, BOUNDS, db, IngesterMemory()).text.startswith(
        "healthy: "
    )
    assert open_incidents(db) == []


def test_a_red_livez_is_restarted_and_a_stuck_one_too(supervised: Supervised, db: Connection) -> None:
    memory = IngesterMemory()
    supervised.count(100, 100)
    assert supervise_ingester(supervised.control, supervised.url, BOUNDS, db, memory).text.startswith("healthy: ")
    pid_age = supervised.control.state().age_s
    assert pid_age is not None
    supervised.count(200, 100)
    outcome = supervise_ingester(supervised.control, supervised.url, BOUNDS, db, memory)
    assert outcome.text.startswith("trade: frames are received but not spooled; restart 1 of 2: it runs")


def test_a_process_that_always_dies_exhausts_its_budget_with_one_alarm(supervised: Supervised, db: Connection) -> None:
    kill_until_given_up(supervised)
    memory = IngesterMemory()
    outcomes = [supervise_ingester(supervised.control, supervised.url, BOUNDS, db, memory) for _ in range(4)]
    assert all(outcome.failed for outcome in outcomes)
    assert "restart 1 of 2 failed" in outcomes[0].text
    assert "the budget is used up" in outcomes[3].text
    assert len(open_incidents(db)) == 1
    supervised.switch("dies", False)
    outcome = ensure_running(supervised.control, supervised.url)
    assert str(outcome) == "repaired: the process is FATAL; it runs now"
    assert ensure_running(supervised.control, supervised.url) == UNCHANGED
    assert supervise_ingester(supervised.control, supervised.url, BOUNDS, db, IngesterMemory()).text.startswith(
        "healthy: "
    )
    assert open_incidents(db) == []


def gap(stream: str, cause: str, last_seen_ms: int, first_seen_ms: int = 0, **more: str) -> dict[str, Any]:
    """As the ingester reports it; 0 = still open."""
    return {
        "stream": stream,
        "codes": 3,
        "cause": cause,
        "last_seen_ms": last_seen_ms,
        "first_seen_ms": first_seen_ms,
        "last_received_ms": last_seen_ms + 5,
        "first_received_ms": first_seen_ms + 5,
        **more,
    }


def test_what_the_ingester_missed_is_where_the_verification_finds_it(supervised: Supervised, db: Connection) -> None:
    db.execute("TRUNCATE ingester_gap")

    def missed(stream: str, *gaps: dict[str, Any]) -> list[IngesterGap]:
        supervised.report(*gaps)
        for _ in range(2):  # the second time nothing is new
            supervise_ingester(supervised.control, supervised.url, BOUNDS, db, IngesterMemory())
        return missing(db, stream)

    opened, closed = gap("ticker", "silence", 1000), gap("ticker", "silence", 1000, 4000)
    assert missed("ticker", opened) == [IngesterGap("", 1000, None, "silence")]
    assert missed("ticker", closed, closed) == [IngesterGap("", 1000, 4000, "silence")]
    assert missed("ticker", closed, gap("ticker", "connect", 5000)) == [
        IngesterGap("", 1000, 4000, "silence"),
        IngesterGap("", 5000, None, "connect"),
    ]
    assert missed("ticker", closed) == [IngesterGap("", 1000, 4000, "silence")], "nothing was missed after all"
    assert missed("ticker", closed, gap("ticker", "connect", 5000))[1:] == [IngesterGap("", 5000, None, "connect")]
    refetch = gap("trade", "refetch", 1000, code="KRW-BTC")
    assert missed("trade", gap("trade", "down", 1000), refetch) == [
        IngesterGap("", 1000, None, "down"),
        IngesterGap("KRW-BTC", 1000, None, "refetch"),
    ]
    over = gap("trade", "down", 1000, 4000)
    assert missed("trade", over, refetch) == [IngesterGap("KRW-BTC", 1000, None, "refetch")]
    assert missed("trade", over, gap("trade", "unreachable", 1000, 3000, code="KRW-BTC")) == [
        IngesterGap("KRW-BTC", 1000, 3000, "unreachable")
    ]
    assert missed("trade", over) == [IngesterGap("KRW-BTC", 1000, 3000, "unreachable")], "the report ends somewhere"
    db.execute("TRUNCATE ingester_gap")
