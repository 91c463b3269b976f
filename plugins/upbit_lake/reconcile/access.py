"""Users and access rights of Kafka as the contract's [access] says: read, compare (pure), act, report.

`python -m upbit_lake access` makes both, logged in by KAFKA_* as a super user: each service has its password from
KAFKA_<NAME>_PASSWORD. The control plane, which may not change rights, only names what differs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from upbit_lake.contract.model import CONTRACT_FILE, Access, Contract, ContractError
from upbit_lake.contract.reader import load_contract
from upbit_lake.contract.settings import PLAINTEXT, KafkaLogin, SettingsError
from upbit_lake.engines.kafka.admin import CLUSTER, CLUSTER_NAME, AccessError, ConfluentAdmin, KafkaAdmin, Right
from upbit_lake.engines.kafka.offsets import GROUP_PREFIX
from upbit_lake.reconcile.outcome import CREATED, UNCHANGED, Outcome, State


def wanted_rights(contract: Contract) -> set[Right]:
    """Every right that the contract grants."""
    return {right for access in contract.access.values() for right in _rights(contract, access)}


@dataclass(frozen=True)
class Difference:
    """What a principal lacks and what it has too much; `new`: it has no right at all."""

    missing: frozenset[Right]
    extra: frozenset[Right]
    new: bool

    def __bool__(self) -> bool:
        return bool(self.missing or self.extra)

    def __str__(self) -> str:
        lacks = sorted(f"may not {right}" for right in self.missing)
        return ", ".join([*lacks, *sorted(f"may {right}" for right in self.extra)])


def differences(contract: Contract, found: set[Right]) -> dict[str, Difference]:
    """Principal of the contract → what differs from it. Rights of others are not ours to judge."""
    judged = {}
    for name, access in contract.access.items():
        wanted = frozenset(_rights(contract, access))
        own = frozenset(right for right in found if right.principal == f"User:{name}")
        judged[name] = Difference(wanted - own, own - wanted, not own)
    return judged


def reconcile_access(kafka: KafkaAdmin, contract: Contract) -> dict[str, Outcome]:
    """Grant what is missing and take back what the contract does not name; gives `access of <name>` → outcome.

    Raises:
        AccessError: Kafka refused or did not answer.
    """
    found = differences(contract, kafka.rights())
    kafka.grant(right for difference in found.values() for right in difference.missing)
    kafka.take_back(right for difference in found.values() for right in difference.extra)
    return {f"access of {name}": _repaired(difference) for name, difference in found.items()}


def access_drift(kafka: KafkaAdmin, contract: Contract, login: KafkaLogin) -> dict[str, Outcome]:
    """The same without changing anything; nothing for a Kafka that asks for no login. Raises AccessError."""
    if login.security_protocol == PLAINTEXT:
        return {}
    found = differences(contract, kafka.rights())
    return {f"access of {name}": _drift(difference) for name, difference in found.items()}


def _repaired(difference: Difference) -> Outcome:
    if not difference:
        return UNCHANGED
    return CREATED if difference.new else Outcome(State.REPAIRED, (str(difference),))


def _drift(difference: Difference) -> Outcome:
    return Outcome(State.DRIFT, drift=(str(difference),), note="./pipeline up repairs it") if difference else UNCHANGED


def _rights(contract: Contract, access: Access) -> list[Right]:
    topics = [("topic", name, False, access.topics) for name in contract.topics]
    resources = [
        *topics,
        ("topic", contract.dead_letter.topic, False, access.dead_letter),
        ("group", GROUP_PREFIX, True, access.groups),
        (CLUSTER, CLUSTER_NAME, False, access.cluster),
    ]
    return [
        Right(f"User:{access.name}", operation, kind, name, prefixed)
        for kind, name, prefixed, operations in resources
        for operation in operations
    ]


def _passwords(contract: Contract, environment: Mapping[str, str]) -> dict[str, str]:
    found = {name: environment.get(f"KAFKA_{name.upper()}_PASSWORD", "") for name in contract.access}
    for name, password in found.items():
        if not password:
            raise SettingsError(f"KAFKA_{name.upper()}_PASSWORD is not set; each principal of [access] needs its own")
    return found


def main() -> int:
    """Rights before users: who can log in has them. Says what was not as it should be."""
    try:
        contract = load_contract(Path(os.environ.get("PIPELINE_CONTRACT") or CONTRACT_FILE))
        passwords = _passwords(contract, os.environ)
        kafka = ConfluentAdmin.connect(KafkaLogin.from_environment(os.environ))
        outcomes = reconcile_access(kafka, contract)
        kafka.set_passwords(passwords)
    except (AccessError, ContractError, SettingsError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for name, outcome in outcomes.items():
        if outcome.state not in (State.UNCHANGED, State.CREATED):
            sys.stdout.write(f"  Kafka: {name} {outcome}\n")
    return 0
