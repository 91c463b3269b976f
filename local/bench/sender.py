"""The exchange's frames in a process of their own, which reads from its stdin what to send."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from local.bench.loads import Load
from local.errors import PipelineError
from local.home.environment import for_parts
from local.home.places import Places
from local.processes.supervisor import MARK


class Sender:
    """Speaks to one `upbit_exchange.flood`."""

    def __init__(self, process: subprocess.Popen[str], log: str) -> None:
        self._process, self._log = process, log
        self.port = int(self._answer()["port"])

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, load: Load) -> dict[str, Any]:
        """Sends all of it and returns `sent`, `seconds`, `bytes`. Raises PipelineError when no socket takes it."""
        assert self._process.stdin is not None
        command = {"streams": load.streams, "frames": load.frames, "rate": load.rate}
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": f"it has ended, see {self._log}"}
        if "error" in answer:
            raise PipelineError(f"the sender of frames: {answer['error']}; run the bench again")
        return answer


@contextmanager
def sender(places: Places) -> Iterator[Sender]:
    """A sender for the block. `places`: the bench's home."""
    log = places.logs / "sender.log"
    environment = {**for_parts(os.environ), MARK: str(places.home), "PYTHONPATH": str(places.repository / "exchange")}
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [str(places.python("exchange")), "-m", "upbit_exchange.flood"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment,
        )  # fmt: skip
    try:
        yield Sender(process, str(log))
    finally:
        process.terminate()
        process.wait()
