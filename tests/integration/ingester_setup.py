"""Topics, an exchange and an ingester of a test's own on the session's brokers, and what must hold between them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import requests
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import NewTopic

from tests.harness import ingester_metrics, recorded_gaps
from tests.harness.home import Home
from tests.harness.truth import Key, key_of
from tests.harness.waiting import answers, until
from tests.integration.access import grant_rights
from tests.integration.fault_switch import FaultSwitch
from upbit_exchange.journal import ledger
from upbit_exchange.wire.names import MICROSECONDS_ABOVE
from upbit_lake.contract.reader import parse_contract

REPOSITORY = Path(__file__).resolve().parents[2]
STREAMS = ("ticker", "trade", "orderbook")

# What a partition answers while its new leader catches up, and the client while a broker has just come back.
ELECTING = (
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError._DESTROY_BROKER,
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def end_offset(consumer: Consumer, place: TopicPartition) -> tuple[int, ...]:
    """(end offset,) of a partition; () while its new leader catches up, as it does after an outage."""
    try:
        return (int(consumer.get_watermark_offsets(place, timeout=20)[1]),)
    except KafkaException as error:
        if error.args[0].code() not in ELECTING:
            raise
        return ()


class Place(NamedTuple):
    """Where a frame stood on the wire: of which start of an ingester, on its how-manieth connection, as which frame."""

    run: int
    connection: int
    frame: int


def place_of(headers: dict[str, bytes]) -> Place | None:
    """The place that a record's headers name; None for a trade fetched by REST."""
    if headers["source"] == b"rest":
        return None
    run, *_, connection = headers["conn"].decode().split("-")
    return Place(int(run, 16), int(connection), int(headers["frame"]))


@dataclass
class Kept:
    """What the topics hold of a stream: REALTIME keys, the raw bytes of each, and who brought them."""

    values: dict[Key, set[bytes]] = field(default_factory=dict)
    sources: set[str] = field(default_factory=set)
    null_keys: int = 0
    order: dict[str, list[Place]] = field(default_factory=dict)  # per code, as the topic holds what sockets brought
    live: dict[Place, Key] = field(default_factory=dict)  # the REALTIME ones of these


class Setup:
    """Topics, an exchange and an ingester of one test's own, on the session's brokers."""

    def __init__(self, home: Home, folder: Path, *source: str) -> None:
        """`source`: the exchange's options."""
        self.home, self.folder, self.prefix = home, folder, f"t{free_port()}"
        self.contract = folder / "pipeline.toml"
        text = (REPOSITORY / "pipeline.toml").read_text(encoding="utf-8")
        self.contract.write_text(re.sub(r'(["\.])upbit-', rf"\1{self.prefix}-", text), encoding="utf-8")
        self.exchange_port, self.admin_port, self.port = free_port(), free_port(), free_port()
        self.faults = FaultSwitch(self.admin_port, folder / "ledger")
        self.ingester: subprocess.Popen[bytes] | None = None
        self.processes: list[subprocess.Popen[bytes]] = []
        self.create_topics()
        ports = ("--port", str(self.exchange_port), "--admin-port", str(self.admin_port))
        options = (*ports, "--ledger", str(folder / "ledger"), "--no-rate-limit")
        self.exchange = self._start("upbit_exchange", "exchange", *options, *source)
        url = f"http://127.0.0.1:{self.exchange_port}/v1/market/all"
        until("the exchange answers", lambda: answers(url), 30, every_s=0.2)

    def create_topics(self, *streams: str) -> None:
        admin = self.home.kafka_admin
        config = {"min.insync.replicas": "2", "max.message.bytes": "9437184"}
        wanted = [NewTopic(self.topic(s), 3, 3, config=config) for s in streams or (*STREAMS, "dead-letter")]
        for created in admin.create_topics(wanted).values():
            created.result()
        contract = tomllib.loads(self.contract.read_text(encoding="utf-8"))
        grant_rights(self.home, parse_contract(contract, REPOSITORY))

    def topic(self, stream: str) -> str:
        return f"{self.prefix}-{stream}"

    def _start(self, package: str, folder: str, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        source = "exchange" if package == "upbit_exchange" else "ingester"
        own = {name: value for name, value in os.environ.items() if not name.startswith(("UPBIT_", "INGESTER_"))}
        with (self.folder / f"{folder}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", package, *arguments],
                env={**own, "PYTHONPATH": str(REPOSITORY / source), **environment},
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)
        return process

    def start_ingester(self, **environment: str) -> None:
        """Start it and wait until it brings data."""
        self.launch_ingester(**environment)
        until("every stream brings data", lambda: all(self.metric("received_total", s) for s in STREAMS), 60, 0.5)

    def launch_ingester(self, **environment: str) -> None:
        """Without waiting until it works."""
        ours = {
            "UPBIT_WEBSOCKET_URL": f"ws://127.0.0.1:{self.exchange_port}/websocket/v1",
            "UPBIT_REST_URL": f"http://127.0.0.1:{self.exchange_port}/v1",
            **self.home.setting.kafka_environment("ingester"),
            "PIPELINE_CONTRACT": str(self.contract),
            "INGESTER_HTTP_PORT": str(self.port),
            "INGESTER_SPOOL_DIR": str(self.folder / "spool"),
        }
        self.ingester = self._start("upbit_ingester", "ingester", **{**ours, **environment})

    def get(self, path: str) -> tuple[int, str]:
        try:
            answer = requests.get(f"http://127.0.0.1:{self.port}{path}", timeout=5)
        except requests.RequestException:
            return 0, ""
        return answer.status_code, answer.text

    def metric(self, name: str, stream: str | None = None) -> float:
        return ingester_metrics.value(self.get("/metrics")[1], name, stream) or 0.0

    def losses(self, cause: str) -> int:
        """How often each stream's socket was lost for this cause: the fewest of the three."""
        pattern = rf'_reconnects_total\{{cause="{cause}",stream="\w+"\}} (\S+)'
        found = re.findall(pattern, self.get("/metrics")[1])
        return int(min(map(float, found))) if len(found) == len(STREAMS) else 0

    def silences(self) -> int:
        """How often each stream's socket was given up because nothing came."""
        return self.losses("silence")

    def fault_acts(self, fault: str) -> list[int]:
        """When (ms) the exchange did this fault, without the switching."""
        found = [entry for entry in self.faults.log() if entry["fault"] == fault]
        return [entry["ms"] for entry in found if not entry["what"].startswith("switched ")]

    def _exchange_status(self) -> dict[str, Any]:
        answer = requests.get(f"http://127.0.0.1:{self.exchange_port}/_local/status", timeout=5)
        return dict(answer.json())

    def ended(self) -> bool:
        """The recording was published to its last line."""
        return bool(self._exchange_status()["ended"])

    def clock_ms(self) -> int:
        """The exchange's clock."""
        return int(self._exchange_status()["clock_ms"])

    def let_pass(self, seconds: float) -> None:
        """Return when the exchange has published for `seconds` more."""
        end_ms = self.clock_ms() + seconds * 1000
        until(f"{seconds:.0f} s of the exchange", lambda: self.clock_ms() >= end_ms, seconds + 60, 0.2)

    def stop_ingester(self) -> int:
        assert self.ingester is not None
        self.ingester.send_signal(signal.SIGTERM)
        return self.ingester.wait(timeout=25)

    def kill_ingester(self) -> None:
        assert self.ingester is not None
        self.ingester.kill()
        self.ingester.wait()

    def stop_exchange(self) -> None:
        self.exchange.terminate()
        self.exchange.wait(timeout=30)

    def published(self, stream: str, kind: str = "realtime") -> dict[Key, bytes]:
        """`initial`: what each code showed before its first event, of trades one that REST holds too."""
        entries = (e for e in ledger.read(self.folder / "ledger") if e.kind == kind and e.stream == stream)
        return {key_of(stream, {**entry.key, "code": entry.code}): bytes(entry.frame) for entry in entries}

    def records(self, stream: str) -> Iterator[Any]:
        consumer = Consumer({**self.home.setting.kafka_client(), "group.id": "test", "enable.auto.commit": False})
        try:
            for partition in range(3):
                place = TopicPartition(self.topic(stream), partition, 0)
                ask = partial(end_offset, consumer, place)
                (end,) = until(f"the leader of {place} knows its end", ask, 60)
                consumer.assign([place])
                offset = 0
                while offset < end:
                    message = consumer.poll(20)
                    assert message is not None, f"{place} ends before its end offset {end}"
                    assert message.error() is None, message.error()
                    offset = int(message.offset() or 0) + 1
                    yield message
        finally:
            consumer.close()

    def kept(self, stream: str) -> Kept:
        kept = Kept()
        for message in self.records(stream):
            frame = json.loads(message.value(), parse_float=Decimal)
            kept.null_keys += message.key() is None
            assert message.key() == frame["code"].encode()
            headers = dict(message.headers())
            assert set(headers) == {"source", "conn", "frame", "recv_ns"}
            if frame["stream_type"] == "REALTIME":
                kept.values.setdefault(key_of(stream, frame), set()).add(message.value())
                kept.sources.add(headers["source"].decode())
            self._note_place(kept, stream, headers, frame)
        return kept

    @staticmethod
    def _note_place(kept: Kept, stream: str, headers: dict[str, bytes], frame: dict[str, Any]) -> None:
        if (place := place_of(headers)) is None:
            return
        kept.order.setdefault(frame["code"], []).append(place)
        if frame["stream_type"] == "REALTIME":
            kept.live[place] = key_of(stream, frame)

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()


SECOND_OF_IDS = 10_000_000  # a sequential_id is the match time in ms times 10,000


def after_the_start(published: dict[Key, bytes], kept: Kept) -> set[Key]:
    """The published trades that came after the ingester's first one; what was before is before its time."""
    first = min(key[1] for key in kept.values if key in published)
    return {key for key in published if key[1] > first + SECOND_OF_IDS}


def wait_for_every_trade(setup: Setup) -> Kept:
    """Every trade published until now reaches Kafka, and none that was not published."""
    published = setup.published("trade")
    found: list[Kept] = []

    def complete() -> bool:
        found.append(setup.kept("trade"))
        if not found[-1].values.keys() & published.keys():  # the topic was recreated
            return False
        wanted = after_the_start(published, found[-1])
        if len(wanted) <= 100:  # too few to prove anything, the ingester came late: what follows counts too
            published.update(setup.published("trade"))
            return False
        return not wanted - found[-1].values.keys()

    until("every published trade in Kafka", complete, 120, every_s=3)
    known = setup.published("trade").keys() | setup.published("trade", "initial").keys()
    assert found[-1].values.keys() - known == set()
    return found[-1]


def gaps_of(setup: Setup, stream: str) -> list[tuple[int, int]]:
    return recorded_gaps.of_stream(setup.folder / "spool", stream)


def time_ms(key: Key) -> int:
    """The time in the key of a ticker or a book, which may be stamped in microseconds."""
    return int(key[1]) // 1000 if key[1] > MICROSECONDS_ABOVE else int(key[1])


def assert_missing_only_in_gaps(setup: Setup, stream: str) -> None:
    """Books and tickers cannot be had again: what is missing lies inside the recorded gaps (ingester stopped)."""
    kept = setup.kept(stream).values
    published = list(setup.published(stream))
    places = [place for place, key in enumerate(published) if key in kept]
    missing = [key for key in published[places[0] : places[-1]] if key not in kept]
    windows = gaps_of(setup, stream)
    outside = [key for key in missing if not recorded_gaps.cover(windows, time_ms(key))]
    assert outside == []


def assert_bytes_are_the_exchanges(setup: Setup, stream: str) -> None:
    kept = setup.kept(stream).values
    published = setup.published(stream)  # read after Kafka: the exchange goes on
    for key, values in kept.items():
        assert values == {published[key]}, key
