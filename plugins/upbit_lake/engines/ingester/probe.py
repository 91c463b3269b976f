"""Asks the ingester how it is: its supervisor, its `/livez`, its counters and the gaps that it knows of."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass

import requests

from upbit_lake.engines.clock import SYSTEM, Clock, wait_until
from upbit_lake.engines.ingester.control import ControlError, IngesterControl, ProcessState
from upbit_lake.engines.ingester.counters import Counters, parse_counters

log = logging.getLogger(__name__)

# The endpoints answer from memory; one that needs longer is stuck.
PROBE_TIMEOUT_S = 5.0
# The 10 s of supervisord and a start of the ingester, with some to spare.
LIVE_TIMEOUT_S = 60.0
POLL_S = 0.3


@dataclass(frozen=True)
class ObservedIngester:
    """What was seen of it. `live`: /livez said yes, no, or did not answer (None); `why`: the words of a red /livez."""

    process: ProcessState
    live: bool | None
    why: str = ""
    counters: Counters | None = None


def observe(control: IngesterControl, url: str) -> ObservedIngester:
    """What can be seen of the ingester at `url`; raises ControlError when its supervisor does not answer."""
    process = control.state()
    if not process.running:
        return ObservedIngester(process, live=None)
    live, why = livez(url)
    return ObservedIngester(process, live, why, counters(url) if live else None)


def livez(url: str) -> tuple[bool | None, str]:
    """(/livez is green, what a red one says); None when it does not answer."""
    try:
        answer = requests.get(f"{url}/livez", timeout=PROBE_TIMEOUT_S)
    except requests.RequestException:
        return None, ""
    return answer.status_code == 200, " ".join(answer.text.split())[:300]


def wait_live(
    control: IngesterControl,
    url: str,
    timeout_s: float = LIVE_TIMEOUT_S,
    clock: Clock = SYSTEM,
) -> None:
    """Wait until `/livez` is green; raises ControlError after `timeout_s` (seconds)."""
    live, why = wait_until(lambda: livez(url), lambda answer: bool(answer[0]), timeout_s, POLL_S, clock)
    if not live:
        said = f"/livez is red: {why}" if live is False else f"/livez at {url} does not answer"
        raise ControlError(f"the ingester is {control.state().word}, but {said}; see its log")


def counters(url: str) -> Counters | None:
    """The ingester's counters, or None when `/metrics` does not answer."""
    with suppress(requests.RequestException):
        answer = requests.get(f"{url}/metrics", timeout=PROBE_TIMEOUT_S)
        if answer.status_code == 200:
            return parse_counters(answer.text)
    return None


def reported_gaps(url: str) -> str | None:
    """The JSON array of the gaps that the ingester knows of, or None when it does not answer."""
    try:
        answer = requests.get(f"{url}/gaps", timeout=PROBE_TIMEOUT_S)
    except requests.RequestException as error:
        log.warning("the ingester's gaps: %s", error)
        return None
    return answer.text if answer.status_code == 200 else None
