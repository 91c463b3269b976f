"""Order of starts and what happens when one fails, on a supervisor in memory and processes that take no time."""

from __future__ import annotations

import socket
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from local.errors import PipelineError
from local.home.places import Places
from local.home.ports import Ports
from local.parts.part import Part
from local.processes import start
from local.processes.start import Starter, last_line


class Twin:
    """supervisord in memory: what it was asked to start, and a state for each."""

    def __init__(self, *names: str) -> None:
        self.started: list[str] = []
        self.records: dict[str, dict[str, Any]] = {name: {"statename": "STOPPED", "start": 0} for name in names}
        self.outcome: dict[str, str] = {}
        self._clock = 100
        self._lock = threading.Lock()

    def processes(self) -> dict[str, dict[str, Any]]:
        with self._lock:
            self._clock += 1
            for name, record in self.records.items():
                if self.outcome.get(name) == "dies" and record["statename"] != "STOPPED":
                    record.update(start=self._clock)  # supervisord has started it once more
            return {name: dict(record) for name, record in self.records.items()}

    def start_part(self, name: str) -> None:
        with self._lock:
            self.started.append(name)
            state = "FATAL" if self.outcome.get(name) == "fatal" else "RUNNING"
            self.records[name].update(statename=state, start=self._clock)

    def runs(self, name: str) -> bool:
        return name in self.started and self.outcome.get(name) is None


class Bench:
    """A starter over the twin, and a note of what became ready."""

    def __init__(self, places: Places) -> None:
        self.parts: dict[str, Part] = {}
        self.ready: list[str] = []
        self.twin = Twin()
        self._places = places

    def start(self, ports: Ports | None = None) -> None:
        places = self._places
        Starter(places, ports or Ports({}), self.twin, lambda name, _: self.ready.append(name)).start(self.parts)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "POLL_S", 0.001)


def _bench(places: Places, needs: dict[str, tuple[str, ...]], **options: Any) -> Bench:
    bench = Bench(places)
    bench.twin = twin = Twin(*needs)
    for name, needed in needs.items():
        bench.parts[name] = Part(name, ("/bin/true",), ready=partial(twin.runs, name), needs=needed, **options)
    return bench


def test_what_is_needed_is_ready_first(places: Places) -> None:
    bench = _bench(places, {"api": ("db",), "scheduler": ("api",), "db": (), "s3": ()})
    bench.start()
    assert sorted(bench.ready) == ["api", "db", "s3", "scheduler"]
    order = bench.twin.started.index
    assert order("db") < order("api") < order("scheduler")


def test_a_need_outside_of_the_chosen_parts_is_taken_for_ready(places: Places) -> None:
    bench = _bench(places, {"api": ("db",)})
    bench.start()
    assert bench.ready == ["api"]


def test_parts_that_need_nothing_of_each_other_start_together(places: Places) -> None:
    both = threading.Barrier(2, timeout=20)
    bench = _bench(places, {"left": (), "right": ()}, prepare=both.wait)
    bench.start()
    assert sorted(bench.ready) == ["left", "right"]


def test_a_running_part_is_neither_prepared_nor_started_again(places: Places) -> None:
    prepared: list[str] = []
    bench = _bench(places, {"db": ()}, prepare=lambda: prepared.append("db"))
    bench.start()
    bench.start()
    assert (prepared, bench.twin.started, bench.ready) == (["db"], ["db"], ["db", "db"])


def test_a_part_is_settled_once_it_is_ready(places: Places) -> None:
    seen: list[bool] = []
    bench: Bench = _bench(places, {"db": ()}, settle=lambda: seen.append("db" in bench.twin.started))
    bench.start()
    assert seen == [True]


def test_a_part_that_the_supervisor_gave_up_is_reported_with_its_last_words(places: Places) -> None:
    bench = _bench(places, {"db": (), "api": ("db",)})
    bench.twin.outcome["db"] = "fatal"
    places.logs.mkdir(parents=True)
    (places.logs / "db.log").write_text("starting\nFATAL error: no space left\nbye\n")
    with pytest.raises(PipelineError, match="db does not stay up: FATAL error: no space left"):
        bench.start()
    assert bench.twin.started == ["db"], "what needs it is not started"


def test_a_part_that_dies_again_and_again_is_not_waited_for(places: Places) -> None:
    bench = _bench(places, {"db": ()}, patience_s=600)
    bench.twin.outcome["db"] = "dies"
    with pytest.raises(PipelineError, match="db does not stay up: no log"):
        bench.start()


def test_a_part_that_is_never_ready_is_given_up_after_its_patience(places: Places) -> None:
    bench = _bench(places, {"db": ()}, patience_s=0)
    bench.twin.outcome["db"] = "hangs"
    with pytest.raises(PipelineError, match="db is not ready after 0 s"):
        bench.start()


def test_others_are_not_waited_for_when_one_has_failed(places: Places) -> None:
    bench = _bench(places, {"slow": (), "db": ()})
    bench.twin.outcome.update(slow="hangs", db="fatal")
    with pytest.raises(PipelineError, match="db does not stay up"):
        bench.start()


def test_a_taken_port_is_refused_before_anything_is_prepared(places: Places) -> None:
    bench = _bench(places, {"db": ()}, ports=("postgres",), prepare=lambda: pytest.fail("prepared"))
    with socket.create_server(("127.0.0.1", 0)) as neighbour:
        number = neighbour.getsockname()[1]
        with pytest.raises(PipelineError, match=f"port {number} for postgres is taken"):
            bench.start(Ports({"postgres": number}))
    assert bench.twin.started == []


@pytest.mark.parametrize(
    ("log", "line"),
    [
        ("one\ntwo\n", "two"),
        ("java.net.BindException: in use\n\tat a.b.C\n\tat d.e.F\nshutting down\n", "java.net.BindException: in use"),
        ("", "an empty log"),
        ("x" * 400, "x" * 300),
    ],
)
def test_the_last_line_that_says_something(tmp_path: Path, log: str, line: str) -> None:
    (tmp_path / "a.log").write_text(log)
    assert last_line(tmp_path / "a.log") == line


def test_no_log_is_said() -> None:
    assert last_line(Path("/nowhere/a.log")) == "no log"
