"""The three brokers of a home, each also a controller: killed, stopped, frozen, and whole again."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from local.parts.kafka import NAMES, all_brokers_answer
from local.processes.supervisor import Supervisor
from tests.harness.home import Home
from tests.harness.waiting import until


class Brokers:
    """Named as the supervisor names them: kafka-1, kafka-2, kafka-3."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._supervisor = Supervisor(home.places)
        self._admin = home.kafka_admin

    def pid(self, name: str) -> int:
        """0 when it does not run."""
        return int(self._supervisor.processes()[name]["pid"])

    def kill(self, name: str) -> None:
        """SIGKILL; returns when the supervisor itself has started another process in its place."""
        self._home.kill_and_wait(name)

    def stop(self, *names: str) -> None:
        """SIGKILL, for good: an orderly stop of the last one would wait a minute for a quorum that is gone."""
        for name in names or NAMES:
            os.kill(self.pid(name), signal.SIGKILL)
            self._supervisor.stop(name)

    def start(self, *names: str) -> None:
        """Start what was stopped; returns when all three answer."""
        for name in names or NAMES:
            self._supervisor.start_part(name)
        until("the brokers answer", lambda: all_brokers_answer(self._home.setting), 120)

    @contextmanager
    def frozen(self, *names: str) -> Iterator[None]:
        """SIGSTOP for the block."""
        pids = [self.pid(name) for name in names or NAMES]
        try:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def leader(self, topic: str) -> str:
        """Who leads partition 0 of `topic`; waits while no broker does, as after a broker's death."""

        def known() -> int:
            partitions = self._admin.list_topics(topic, timeout=20).topics[topic].partitions
            return partitions[0].leader if 0 in partitions and partitions[0].leader > 0 else 0

        return f"kafka-{until('partition 0 has a leader', known, 60)}"

    def controller(self) -> str:
        """The active controller. The brokers' metadata would name any broker: KRaft's own file tells."""
        folders = (self._home.places.data / name / "__cluster_metadata-0" for name in NAMES)
        states = [json.loads((folder / "quorum-state").read_text()) for folder in folders]
        newest = max((state for state in states if state["leaderId"] > 0), key=lambda state: state["leaderEpoch"])
        return f"kafka-{newest['leaderId']}"

    def in_sync(self, topic: str) -> bool:
        """Every partition of `topic` has all three replicas in sync."""
        partitions = self._admin.list_topics(topic, timeout=20).topics[topic].partitions.values()
        return all(len(partition.isrs) == len(NAMES) for partition in partitions)
