"""Health check of Airflow's four processes: 0 when the API server answers and says that this one is well.

Which one: the argument, or the command that the container was started with.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

PATIENCE_S = 8
# A command of `airflow`, and what the API server calls the process; itself it does not name.
COMPONENTS = {"scheduler": "scheduler", "dag-processor": "dag_processor", "triggerer": "triggerer"}


def status(command: list[str], api: str) -> str:
    """ "healthy", or what else is said of the process that `command` started. `api` is the execution API's URL.

    Raises OSError, HTTPException or ValueError when the API server has no answer.
    """
    parts = urlsplit(api)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=PATIENCE_S)
    connection.request("GET", "/api/v2/monitor/health")
    answer = json.loads(connection.getresponse().read())
    component = next((COMPONENTS[word] for word in command if word in COMPONENTS), "metadatabase")
    return str(answer[component]["status"])


if __name__ == "__main__":
    try:
        words = sys.argv[1:] or Path("/proc/1/cmdline").read_text().split("\0")
        said = status(words, os.environ["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"])
    except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    sys.exit(None if said == "healthy" else said)
