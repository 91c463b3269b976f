"""Rights of a test's own topics, known to every broker when the test goes on."""

from __future__ import annotations

from collections.abc import Set
from functools import partial

from confluent_kafka.admin import AdminClient

from tests.harness.home import Home
from tests.harness.waiting import until
from upbit_lake.contract.model import Contract
from upbit_lake.engines.kafka.admin import ConfluentAdmin, Right
from upbit_lake.reconcile.access import wanted_rights


def grant_rights(home: Home, contract: Contract) -> None:
    """What `up` does for the repository's contract."""
    grant(home, wanted_rights(contract))


def grant(home: Home, rights: Set[Right]) -> None:
    """Grant `rights` and wait for every broker: it learns of a right a moment after it was granted."""
    login = home.setting.kafka_client()
    ConfluentAdmin(home.kafka_admin).grant(rights)

    def knows(server: str) -> bool:
        # A new client asks the broker that it was given, for it knows no other yet.
        client = AdminClient({**login, "bootstrap.servers": server, "log_level": 0})
        return rights <= ConfluentAdmin(client).rights()

    for server in login["bootstrap.servers"].split(","):
        until(f"{server} knows the rights", partial(knows, server), 30, 0.2)
