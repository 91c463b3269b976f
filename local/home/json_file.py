"""A home's JSON file is either whole or not there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write(path: Path, value: Mapping[str, Any]) -> None:
    """Writes `path` so that a killed run leaves the old content or the new."""
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(dict(value), indent=1))
    temporary.replace(path)
