"""The bench from begin to end: install, brokers, sender, runs in turn, report."""

from __future__ import annotations

import os
import platform
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from local.bench import report, subjects
from local.bench.cluster import Topics, brokers
from local.bench.loads import Load, Run, loads
from local.bench.measure import measure
from local.bench.sender import Sender, sender
from local.bench.subjects import Subject
from local.commands.up import refuse_full_disk
from local.errors import PipelineError
from local.home.places import Places
from local.home.setting import Setting
from local.parts import kafka
from local.processes.supervisor import Supervisor
from local.software.install import install, part_of_the_peer, parts_to_run

NEEDED = ("kafka", "java", "ingester", "exchange")


@dataclass(frozen=True)
class Wanted:
    """
    Attributes:
        seconds: about how long each load is sent.
        runs: of each load, of which the median counts.
        rates: mixed frames a second of the paced loads.
        output: folder of the report.
    """

    seconds: int
    runs: int
    rates: tuple[int, ...]
    peer: bool
    output: Path


def bench(places: Places, wanted: Wanted, console: Console) -> None:
    """Runs the bench and leaves no process of it running. Raises PipelineError."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    home = replace(places, home=places.home.with_name(f"{places.home.name}-bench"))
    report.refuse_unwritable(wanted.output)
    install(places, [part for part in parts_to_run(places) if part.name in NEEDED], console)
    without_peer = _install_peer(places, console) if wanted.peer else "--no-peer"
    home.home.mkdir(parents=True, exist_ok=True)
    refuse_full_disk(home, os.environ, to_install=False)
    try:
        with brokers(home, console) as setting, sender(home) as source:
            runs = _runs(setting, source, wanted, without_peer is None, console)
    except KeyboardInterrupt:
        raise PipelineError("interrupted; the brokers of the bench are gone, nothing was reported") from None
    report.write(wanted.output, _conditions(wanted, without_peer), runs, console)


def _install_peer(places: Places, console: Console) -> str | None:
    """Why there is no peer, None when there is one."""
    try:
        install(places, [part_of_the_peer(places)], console)
    except PipelineError as error:
        console.print(f"without cryptofeed: {error}")
        return str(error)
    return None


def _runs(setting: Setting, source: Sender, wanted: Wanted, peer: bool, console: Console) -> list[Run]:
    core = _separate(setting, source)
    folder = setting.places.data / "run"
    measured = [subjects.ingester(setting, source.port, folder)]
    if peer:
        measured.append(subjects.cryptofeed(setting, source.port))
    topics = {subject.name: Topics(setting.kafka_client(), subject.topics) for subject in measured}
    for of_subject in topics.values():
        of_subject.create()
    done = []
    for subject, load in _in_turn(measured, wanted):
        done.append(measure(setting.places, subject, load, source, topics[subject.name], core))
        console.print(f"  {report.sentence(done[-1])}")
    return done


def _in_turn(measured: Sequence[Subject], wanted: Wanted) -> Iterator[tuple[Subject, Load]]:
    """Round by round, so that a machine that is slower for a while is slower for everybody."""
    for _ in range(wanted.runs):
        for subject in measured:
            for load in loads(subject.streams, subject.saturated_frames_s, wanted.rates, wanted.seconds):
                yield subject, load


def _separate(setting: Setting, source: Sender) -> int | None:
    """Give the last core to the subject and the others to brokers and sender; None when there is one core only."""
    cores = psutil.Process().cpu_affinity() or []
    if len(cores) < 2:
        return None
    running = Supervisor(setting.places).processes()
    for pid in (source.pid, *(int(running[name]["pid"]) for name in kafka.NAMES)):
        for thread in psutil.Process(pid).threads():
            os.sched_setaffinity(thread.id, cores[:-1])
    return cores[-1]


def _conditions(wanted: Wanted, without_peer: str | None) -> dict[str, Any]:
    """What a reader must know to judge the figures."""
    load = os.getloadavg()
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average_at_the_end": [round(value, 2) for value in load],
        "seconds": wanted.seconds,
        "runs": wanted.runs,
        "rates": list(wanted.rates),
        "without_peer": without_peer,
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
