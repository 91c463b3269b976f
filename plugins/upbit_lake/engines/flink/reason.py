"""Why Flink failed, in one line out of a stack trace of kilobytes."""

from __future__ import annotations

import json
import re
from contextlib import suppress


def reason_of(text: str) -> str:
    """The one line that says why: the last `Caused by:` of a stack of kilobytes, else its first line."""
    with suppress(ValueError, TypeError, KeyError):
        text = "\n".join(str(item) for item in json.loads(text)["errors"])
    causes = re.findall(r"Caused by: (.+)", text)
    if causes:
        return _short(causes[-1])
    lines = [line.strip("<> \t") for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if line != "Internal server error." and not line.startswith("at ")]
    return _short(re.sub(r"^Exception on server side:\s*", "", telling[-1] if telling else "no reason given"))


def _short(line: str, width: int = 400) -> str:
    plain = re.sub(r"^(?:[\w$]+\.)+([\w$]+(?:Exception|Error)): ", r"\1: ", line.strip("<> \t"))
    return plain if len(plain) <= width else plain[: width - 1] + "…"
