"""Waits for a condition, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import requests

T = TypeVar("T")


def until(what: str, ask: Callable[[], T], patience_s: float, every_s: float = 1.0) -> T:
    """Asks until the answer is truthy and returns it. Raises AssertionError naming `what` and the last answer."""
    deadline = time.monotonic() + patience_s
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {patience_s:.0f} s, last answer {answer!r}")
        time.sleep(every_s)


def answers(url: str) -> bool:
    """True once a GET is answered well; to be waited for."""
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False
