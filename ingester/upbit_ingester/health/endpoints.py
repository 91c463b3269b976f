"""/livez, /readyz, /metrics and /gaps, answered by a thread of their own: they speak even when the event loop hangs."""

import logging
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

log = logging.getLogger(__name__)


class Health(msgspec.Struct, frozen=True):
    """An answer of /livez or /readyz: green or not, and each check with what it saw."""

    ok: bool
    checks: dict[str, str]


class Endpoints:
    """The HTTP server. `live`, `ready` and `gaps` are called from its threads."""

    def __init__(
        self,
        host: str,
        port: int,
        live: Callable[[], Health],
        ready: Callable[[], Health],
        gaps: Callable[[], Sequence[msgspec.Struct]],
        registry: CollectorRegistry,
    ) -> None:
        """Bind at once.

        Raises:
            OSError: the address cannot be bound.
        """

        # http.server makes one handler a request and gives it nothing: what it must know it takes from this scope.
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                if path == "/metrics":
                    self._answer(200, CONTENT_TYPE_LATEST, generate_latest(registry))
                elif path in ("/livez", "/readyz"):
                    health = live() if path == "/livez" else ready()
                    self._answer(200 if health.ok else 503, "application/json", msgspec.json.encode(health) + b"\n")
                elif path == "/gaps":
                    self._answer(200, "application/json", msgspec.json.encode(gaps()) + b"\n")
                else:
                    self._answer(404, "text/plain", b"known: /livez /readyz /metrics /gaps\n")

            def _answer(self, status: int, content_type: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: object) -> None:
                log.debug("http: " + format, *arguments)

        self._server = ThreadingHTTPServer((host, port), Handler)
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, name="http", daemon=True)

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()
