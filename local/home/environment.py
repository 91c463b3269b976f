"""The runner and the parts see little of the user's environment.

So no setting of another program is taken for one of ours. Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

# What a process needs to find its programs, its account, the network and its certificates.
KEPT = frozenset(
    {
        "PATH", "HOME", "USER", "LOGNAME", "SHELL", "TZ", "LD_LIBRARY_PATH",
        "http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY",
        "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
    }
)  # fmt: skip
LOCAL = "127.0.0.1,localhost"


def for_the_runner(environment: Mapping[str, str], repository: Path) -> dict[str, str]:
    """Returns the user's environment without another Python's settings."""
    kept = {name: value for name, value in environment.items() if not name.startswith("PYTHON")}
    kept.pop("VIRTUAL_ENV", None)
    return {**kept, **_no_proxy(environment), "PYTHONPATH": str(repository), "PYTHONSAFEPATH": "1"}


def for_parts(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns what every supervised process starts from; its own settings stand in its launch script."""
    kept = {name: value for name, value in environment.items() if name in KEPT}
    # A path with Korean letters is unreadable for Java under the C locale.
    return {**kept, **_no_proxy(environment), "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}


def _no_proxy(environment: Mapping[str, str]) -> dict[str, str]:
    """Everything of ours is on this machine: a proxy could not reach it."""
    given = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    value = f"{given},{LOCAL}" if given and LOCAL not in given else given or LOCAL
    return {"no_proxy": value, "NO_PROXY": value}
