"""What the ingester answers over HTTP."""

import json
import socket
from collections.abc import Iterator

import pytest
import requests
from prometheus_client import CollectorRegistry

from upbit_ingester.health.endpoints import Endpoints, Health
from upbit_ingester.health.metrics import Collector, Metrics, SpoolGauges
from upbit_ingester.spool.gap_log import Gap


@pytest.fixture
def url() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    registry = CollectorRegistry()
    registry.register(Collector(Metrics(), lambda: SpoolGauges(11, 0, 0.0, 0), lambda: 0.0))
    endpoints = Endpoints(
        "127.0.0.1",
        port,
        live=lambda: Health(True, {"pump": "ok: moved"}),
        ready=lambda: Health(False, {"trade": "failed: connected 0"}),
        gaps=lambda: [Gap("trade", 1, "refetch", 5, 0, 0, 0, "KRW-BTC"), Gap("ticker", 3, "down", 1, 9, 2, 10)],
        registry=registry,
    )
    endpoints.start()
    yield f"http://127.0.0.1:{port}"
    endpoints.stop()


def test_health_is_in_the_status_and_in_words(url: str) -> None:
    live, ready = requests.get(f"{url}/livez", timeout=5), requests.get(f"{url}/readyz?verbose", timeout=5)
    assert (live.status_code, live.json()) == (200, {"ok": True, "checks": {"pump": "ok: moved"}})
    assert (ready.status_code, ready.json()["checks"]) == (503, {"trade": "failed: connected 0"})


def test_metrics_and_nothing_else(url: str) -> None:
    assert "\nupbit_ingester_spool_bytes 11.0\n" in requests.get(f"{url}/metrics", timeout=5).text
    assert requests.get(f"{url}/", timeout=5).status_code == 404


def test_gaps_are_what_the_control_plane_takes_over(url: str) -> None:
    answer = requests.get(f"{url}/gaps", timeout=5)
    times = {"last_received_ms": 0, "first_received_ms": 0}
    assert json.loads(answer.content) == [
        {"stream": "trade", "codes": 1, "cause": "refetch", "last_seen_ms": 5, "first_seen_ms": 0, **times}
        | {"code": "KRW-BTC"},
        {"stream": "ticker", "codes": 3, "cause": "down", "last_seen_ms": 1, "first_seen_ms": 9}
        | {"last_received_ms": 2, "first_received_ms": 10},
    ]
