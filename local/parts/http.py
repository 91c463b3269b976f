"""The runner asks a running part over HTTP whether it is ready, and what it does."""

from __future__ import annotations

from typing import Any

import requests


def answers(url: str) -> bool:
    """Returns whether `url` answers with success, within 2 s."""
    try:
        return requests.get(url, timeout=2).ok
    except requests.RequestException:
        return False


def get_json(url: str) -> dict[str, Any] | None:
    """Returns the JSON object at `url`, None when it does not answer with one within 3 s."""
    try:
        answer = requests.get(url, timeout=3)
        return dict(answer.json()) if answer.ok else None
    except (requests.RequestException, ValueError, TypeError):
        return None
