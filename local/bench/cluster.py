"""The bench starts three real brokers in a home and on ports of its own, and removes them at the end."""

from __future__ import annotations

import os
import time
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec
from rich.console import Console

from local.commands.down import down
from local.commands.up import adopt_or_start
from local.errors import PipelineError
from local.home import credentials
from local.home.exclusive import exclusive
from local.home.places import Places
from local.home.ports import Ports
from local.home.setting import Setting
from local.home.source import Source
from local.parts import kafka
from local.processes.start import Starter
from local.software import java

PORT_OFFSET = 5000  # beyond the pipeline's own ports and those of its tests
PARTITIONS = 3
PATIENCE_S = 30.0
POLL_S = 0.2


@contextmanager
def brokers(places: Places, console: Console) -> Iterator[Setting]:
    """Yields the bench's brokers and deletes their home at the end. Raises PipelineError when they do not start."""
    if places.home.exists():
        down(places, console, purge=True, confirmed=True)  # what a killed bench left behind
    try:
        with exclusive(places):
            setting = Setting(places, _ports(), credentials.load_or_create(places), Source("exchange"), _java(places))
            parts = {part.name: part for part in kafka.parts(setting)}
            supervisor, _ = adopt_or_start(places, parts, console)
            ready = Starter(places, setting.ports, supervisor, lambda name, s: console.print(f"  {name}: {s:.0f} s"))
            ready.start(parts)
            yield setting
    finally:
        down(places, console, purge=True, confirmed=True)


def _ports() -> Ports:
    offset = int(os.environ.get("PIPELINE_PORT_OFFSET") or 0) + PORT_OFFSET
    return Ports.choose({**os.environ, "PIPELINE_PORT_OFFSET": str(offset)})


def _java(places: Places) -> Path:
    return java.home(places, os.environ)


class Topics:
    """The topics of one subject."""

    def __init__(self, kafka: Mapping[str, str], names: tuple[str, ...]) -> None:
        self._admin = AdminClient({**kafka, "log_level": 0})
        self._places = [TopicPartition(name, number) for name in names for number in range(PARTITIONS)]
        self._names = names

    def create(self) -> None:
        """Creates the topics as the contract has them: three replicas, two of which acknowledge a record."""
        config = {"min.insync.replicas": "2", "message.timestamp.type": "LogAppendTime", "max.message.bytes": "9437184"}
        wanted = [NewTopic(name, PARTITIONS, 3, config=config) for name in self._names]
        for created in self._admin.create_topics(wanted).values():
            created.result()

    def records(self) -> int:
        """Returns how many records all in-sync replicas hold. Raises PipelineError when no broker answers."""
        give_up_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                asked = self._admin.list_offsets({place: OffsetSpec.latest() for place in self._places})  # type: ignore[no-untyped-call]
                return sum(int(answer.result().offset) for answer in asked.values())
            except KafkaException as error:  # a new topic has no leader at first
                if time.monotonic() >= give_up_s:
                    raise PipelineError(f"the brokers of the bench: {error.args[0].str()}; run it again") from None
                time.sleep(POLL_S)


def contract_topics(contract: Path, streams: tuple[str, ...]) -> tuple[str, ...]:
    """The topics of the contract for these streams and its dead letters."""
    document = tomllib.loads(contract.read_text(encoding="utf-8"))
    return (*(str(document["streams"][name]["topic"]) for name in streams), str(document["dead_letter"]["topic"]))
