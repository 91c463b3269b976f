"""Health check of a container: `python health.py URL` is 0 when the address answers.

http://… must answer 200, tcp://host:port must accept. Asked on the same network: no proxy, and one line when it fails.
"""

from __future__ import annotations

import http.client
import socket
import sys
from urllib.parse import urlsplit

PATIENCE_S = 4


def answers(address: str) -> bool:
    """True when `address` accepts (tcp) or says 200 (http). Raises OSError or HTTPException when nobody is there."""
    parts = urlsplit(address)
    host, port = parts.hostname or "", parts.port or 80
    if parts.scheme == "tcp":
        socket.create_connection((host, port), PATIENCE_S).close()
        return True
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE_S)
    connection.request("GET", parts.path)
    return connection.getresponse().status == 200


if __name__ == "__main__":
    try:
        sys.exit(not answers(sys.argv[1]))
    except (OSError, http.client.HTTPException) as error:
        sys.exit(f"{sys.argv[1]}: {error}")
