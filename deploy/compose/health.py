"""Health check of a container: `python health.py ADDRESS` is 0 when it answers, 1 and one line when not.

http://… must say 200, tcp://host:port must accept; no proxy is asked. $NAME comes from the container's environment,
@FILE holds the address.
"""

from __future__ import annotations

import http.client
import os
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

PATIENCE_S = 4


def answers(address: str) -> bool:
    """True when `address` accepts (tcp) or says 200 (http). Raises OSError or HTTPException when nothing listens."""
    parts = urlsplit(address)
    host, port = parts.hostname or "", parts.port or 80
    if parts.scheme == "tcp":
        socket.create_connection((host, port), PATIENCE_S).close()
        return True
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE_S)
    connection.request("GET", parts.path)
    return connection.getresponse().status == 200


if __name__ == "__main__":
    given = os.path.expandvars(sys.argv[1])
    try:
        address = Path(given[1:]).read_text() if given.startswith("@") else given
        sys.exit(not answers(address))
    except (OSError, http.client.HTTPException) as error:
        sys.exit(f"{given}: {error}")
