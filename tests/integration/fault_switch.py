"""The admin port of a local exchange: faults are set, cleared and listed, and what they did is read."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.harness.waiting import until


class FaultSwitch:
    """Switches the faults of the exchange whose `--admin-port` and `--ledger` these are.

    Every call raises urllib.error.HTTPError where the exchange refuses the request.
    """

    def __init__(self, admin_port: int, ledger: Path) -> None:
        self._url = f"http://127.0.0.1:{admin_port}/_local/faults"
        self._log = ledger / "faults.jsonl"

    def _ask(self, **query: Any) -> Any:
        with urllib.request.urlopen(f"{self._url}?{urlencode(query)}", timeout=10) as answer:
            return json.load(answer)

    def set(self, fault: str, **options: Any) -> int | None:
        """Switch a fault on; its number, None for what is done at once. Names and options: exchange/README.md."""
        number: int | None = self._ask(set=fault, **options)["on"]
        return number

    def clear(self, what: str | int = "all") -> int:
        """Switch off by name, by number or all; how many were on."""
        cleared: int = self._ask(clear=what)["cleared"]
        return cleared

    def listed(self) -> list[dict[str, Any]]:
        """What is on."""
        on: list[dict[str, Any]] = self._ask()["on"]
        return on

    def counts(self) -> dict[str, int]:
        """How often each fault has acted since the exchange started."""
        counts: dict[str, int] = self._ask()["counts"]
        return counts

    def acted(self, fault: str, times: int = 1) -> None:
        """Wait until a fault has acted so often since the exchange started."""
        until(f"{fault} acts", lambda: self.counts().get(fault, 0) >= times, 15, 0.02)

    def ended(self) -> None:
        """Wait until nothing is on any more."""
        until("no fault is on", lambda: not self.listed(), 15, 0.02)

    def log(self) -> list[dict[str, Any]]:
        """What was switched and what was done: `ms` since the epoch, `fault`, `what`."""
        return [json.loads(line) for line in self._log.read_text(encoding="utf-8").splitlines()]
