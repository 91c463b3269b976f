"""One value of what the ingester's `/metrics` says."""

from __future__ import annotations

import re


def value(text: str, name: str, stream: str | None = None) -> float | None:
    """Of `upbit_ingester_<name>`, of one stream or without labels; None when it is not there."""
    label = "" if stream is None else re.escape(f'{{stream="{stream}"}}')
    found = re.search(rf"^upbit_ingester_{name}{label} (\S+)$", text, re.MULTILINE)
    return float(found.group(1)) if found else None
