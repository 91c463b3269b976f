"""Asks the ingester how it is: its supervisor, its `/livez`, its counters and the gaps that it knows of."""

from __future__ import annotations

import logging
from contextlib import suppress

import requests

from upbit_lake.engines.ingester.control import IngesterControl
from upbit_lake.supervise.ingester_health import Counters, Observation, parse_counters

log = logging.getLogger(__name__)

PROBE_TIMEOUT_S = 5.0


def observe(control: IngesterControl, url: str) -> Observation:
    """What can be seen of the ingester at `url`; raises ControlError when its supervisor does not answer."""
    process = control.state()
    if not process.running:
        return Observation(process, live=None)
    live, why = livez(url)
    return Observation(process, live, why, counters(url) if live else None)


def livez(url: str) -> tuple[bool | None, str]:
    """(/livez is green, what a red one says); None when it does not answer."""
    try:
        answer = requests.get(f"{url}/livez", timeout=PROBE_TIMEOUT_S)
    except requests.RequestException:
        return None, ""
    return answer.status_code == 200, " ".join(answer.text.split())[:300]


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
