"""One run: a fresh process of the subject, a warm-up, the load, until Kafka holds everything or patience ends."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil

from local.bench.cluster import Topics
from local.bench.loads import Load, Run, percentile
from local.bench.sender import Sender
from local.bench.subjects import Subject
from local.errors import PipelineError
from local.home.environment import for_parts
from local.home.places import Places
from local.processes.start import last_line
from local.processes.supervisor import MARK

WARM_UP_FRAMES = 2000
DRAIN_S = 60.0  # after the last frame is sent; what is not in Kafka by then is reported as missing
STOP_S = 30.0
POLL_S = 0.1


def measure(places: Places, subject: Subject, load: Load, sender: Sender, topics: Topics, core: int | None) -> Run:
    """Measures one run. Raises PipelineError when the subject does not take the warm-up. `core`: where it must run."""
    folder = places.data / "run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    latencies = folder / "latencies.json"
    with _running(places, subject, folder, latencies) as process:
        if core is not None:
            process.cpu_affinity([core])
        warm_up = replace(load, frames=min(WARM_UP_FRAMES, load.frames), rate=0.0)
        _warm_up(places, subject, warm_up, sender, topics)
        memory = _Memory(process)
        memory.start()
        before, cpu_before, began_ns, began = topics.records(), _cpu_s(process), time.time_ns(), time.monotonic()
        send_s = float(sender.send(load)["seconds"])
        taken = _wait(topics, before + load.frames) - before
        seconds, cpu_s = time.monotonic() - began, _cpu_s(process) - cpu_before
        peak = memory.stop()
    waits = _latencies_ms(latencies, began_ns)
    return Run(
        subject.name, load.name, load.frames, taken, send_s, seconds, cpu_s, peak,
        percentile(waits, 0.5), percentile(waits, 0.99),
    )  # fmt: skip


@contextmanager
def _running(places: Places, subject: Subject, folder: Path, latencies: Path) -> Iterator[psutil.Process]:
    environment = {**for_parts(os.environ), MARK: str(places.home), **subject.environment}
    environment["BENCH_LATENCIES"] = str(latencies)
    log = places.logs / f"{subject.name}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(subject.command, env=environment, cwd=folder, stdout=output, stderr=output)
    try:
        yield psutil.Process(process.pid)
    except psutil.NoSuchProcess:
        raise PipelineError(f"{subject.name} has ended: {last_line(log)} (see {log})") from None
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _warm_up(places: Places, subject: Subject, load: Load, sender: Sender, topics: Topics) -> None:
    before = topics.records()
    sender.send(load)
    taken = _wait(topics, before + load.frames) - before
    if taken != load.frames:
        log = places.logs / f"{subject.name}.log"
        raise PipelineError(
            f"{subject.name} brought {taken} of {load.frames} frames to Kafka: {last_line(log)} ({log})"
        )


def _wait(topics: Topics, wanted: int) -> int:
    """Until the topics hold `wanted` records, or patience ends; how many they hold."""
    deadline = time.monotonic() + DRAIN_S
    while (there := topics.records()) < wanted and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return there


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _latencies_ms(path: Path, since_ns: int) -> list[float]:
    """What the probe noted of frames received since `since_ns`, sorted."""
    try:
        notes = json.loads(path.read_text())
    except (OSError, ValueError):
        return []  # killed before it could write
    return sorted((acknowledged - received) / 1e6 for received, acknowledged in notes if received >= since_ns)


class _Memory(threading.Thread):
    """Follows a process's proportional set size (MiB); reading it costs a millisecond or two."""

    def __init__(self, process: psutil.Process) -> None:
        super().__init__(daemon=True)
        self._process = process
        self._stopped = threading.Event()
        self._peak = 0.0

    def run(self) -> None:
        while not self._stopped.wait(0.5):
            self._look()

    def stop(self) -> float:
        """The largest size seen."""
        self._stopped.set()
        self.join()
        self._look()
        return self._peak

    def _look(self) -> None:
        try:
            self._peak = max(self._peak, self._process.memory_full_info().pss / 2**20)
        except psutil.Error:
            self._stopped.set()
