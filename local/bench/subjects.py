"""The bench's subjects are the ingester and its peer, each started as its users start it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from local.bench.cluster import contract_topics
from local.bench.loads import STREAMS
from local.home.setting import BROKER, Setting

INGESTER, CRYPTOFEED = "ingester", "cryptofeed"
PROBES = Path(__file__).resolve().parent / "probes"


@dataclass(frozen=True)
class Subject:
    """
    Attributes:
        command, environment: how it is started. `BENCH_LATENCIES` names the file that its probe writes at the end.
        streams: what it takes of the exchange.
        topics: where it puts it.
        saturated_frames_s: about how many frames a second it takes, so that a saturated load lasts as asked.
    """

    name: str
    command: tuple[str, ...]
    streams: tuple[str, ...]
    topics: tuple[str, ...]
    saturated_frames_s: dict[str, int]
    environment: Mapping[str, str] = field(default_factory=dict)


def ingester(setting: Setting, port: int, folder: Path) -> Subject:
    """The pipeline's own, with a fresh spool below `folder`."""
    places = setting.places
    return Subject(
        INGESTER,
        (str(places.python("ingester")), str(PROBES / "ingester_probe.py")),
        STREAMS,
        contract_topics(setting.contract, STREAMS),
        {"trade": 30_000, "ticker": 20_000, "orderbook": 10_000},
        {
            "PYTHONPATH": str(places.repository / "ingester"),
            "PIPELINE_CONTRACT": str(setting.contract),
            "UPBIT_WEBSOCKET_URL": f"ws://127.0.0.1:{port}/websocket/v1",
            "UPBIT_REST_URL": f"http://127.0.0.1:{port}/v1",
            **setting.kafka_environment("ingester"),
            "INGESTER_HTTP_PORT": str(setting.ports["ingester"]),
            "INGESTER_SPOOL_DIR": str(folder / "spool"),
        },
    )


def cryptofeed(setting: Setting, port: int) -> Subject:
    """Trades and books: its Upbit feed knows no tickers."""
    return Subject(
        CRYPTOFEED,
        (str(setting.places.python(CRYPTOFEED)), str(PROBES / "cryptofeed_probe.py")),
        ("trade", "orderbook"),
        ("peer-trades", "peer-book"),
        {"trade": 500, "orderbook": 400},
        {"BENCH_PORT": str(port), **setting.kafka_environment(BROKER)},
    )
