"""Users and access rights of Kafka as the contract's [access] says: read, compare (pure), act, report.

`python -m upbit_lake access` makes both, logged in by KAFKA_* as a super user: each service has its password from
KAFKA_<NAME>_PASSWORD. The control plane, which may not change rights, only names what differs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)

from upbit_lake.contract.model import CONTRACT_FILE, Access, Contract, ContractError
from upbit_lake.contract.reader import load_contract
from upbit_lake.contract.settings import PLAINTEXT, KafkaLogin, SettingsError
from upbit_lake.engines.kafka.offsets import GROUP_PREFIX
from upbit_lake.reconcile.outcome import CREATED, UNCHANGED, Outcome, State
from upbit_lake.reconcile.topics import ADMIN_TIMEOUT_S

_KINDS = {ResourceType.TOPIC: "topic", ResourceType.GROUP: "group", ResourceType.BROKER: "cluster"}
CLUSTER = "kafka-cluster"  # the one name that Kafka gives to itself as a resource
ITERATIONS = 4096  # Kafka's least: these passwords are 128 random bits, there is nothing to guess


class AccessError(RuntimeError):
    """Kafka refused to tell or to change rights. One line."""


def wanted_rights(contract: Contract) -> set[AclBinding]:
    """Every right that the contract grants."""
    return {right for access in contract.access.values() for right in _rights(contract, access)}


@dataclass(frozen=True)
class Difference:
    """What a principal lacks and what it has too much; `new`: it has no right at all."""

    missing: frozenset[AclBinding]
    extra: frozenset[AclBinding]
    new: bool

    def __bool__(self) -> bool:
        return bool(self.missing or self.extra)

    def __str__(self) -> str:
        said = [f"may not {text}" for text in _texts(self.missing)] + [f"may {text}" for text in _texts(self.extra)]
        return ", ".join(said)


def differences(contract: Contract, found: set[AclBinding]) -> dict[str, Difference]:
    """Principal of the contract → what differs from it. Rights of others are not ours to judge."""
    judged = {}
    for name, access in contract.access.items():
        wanted = frozenset(_rights(contract, access))
        own = frozenset(right for right in found if right.principal == f"User:{name}")
        judged[name] = Difference(wanted - own, own - wanted, not own)
    return judged


def reconcile_access(admin: AdminClient, contract: Contract) -> dict[str, Outcome]:
    """Grant what is missing and take back what the contract does not name; gives `access of <name>` → outcome.

    Raises:
        AccessError: Kafka refused or did not answer.
    """
    found = differences(contract, found_rights(admin))
    grant(admin, (right for difference in found.values() for right in difference.missing))
    _take_back(admin, (right for difference in found.values() for right in difference.extra))
    return {f"access of {name}": _repaired(difference) for name, difference in found.items()}


def access_drift(admin: AdminClient, contract: Contract, login: KafkaLogin) -> dict[str, Outcome]:
    """The same without changing anything; nothing for a Kafka that asks for no login. Raises AccessError."""
    if login.security_protocol == PLAINTEXT:
        return {}
    found = differences(contract, found_rights(admin))
    return {f"access of {name}": _drift(difference) for name, difference in found.items()}


def _repaired(difference: Difference) -> Outcome:
    if not difference:
        return UNCHANGED
    return CREATED if difference.new else Outcome(State.REPAIRED, (str(difference),))


def _drift(difference: Difference) -> Outcome:
    return Outcome(State.DRIFT, drift=(str(difference),), note="./pipeline up repairs it") if difference else UNCHANGED


def found_rights(admin: AdminClient) -> set[AclBinding]:
    """Every right that Kafka knows."""
    every: Any = None  # the library's own hints say str
    resources = (ResourceType.ANY, every, ResourcePatternType.ANY)
    everything = AclBindingFilter(*resources, every, every, AclOperation.ANY, AclPermissionType.ANY)
    return set(_result(admin.describe_acls(everything, request_timeout=ADMIN_TIMEOUT_S)))


def grant(admin: AdminClient, rights: Iterable[AclBinding]) -> None:
    """Add rights; those that are there already stay. Raises AccessError."""
    if asked := list(rights):
        for future in admin.create_acls(asked, request_timeout=ADMIN_TIMEOUT_S).values():
            _result(future)


def make_users(admin: AdminClient, passwords: Mapping[str, str]) -> None:
    """Give each user its password, an old one is replaced; open connections stay. Raises AccessError."""
    how = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, ITERATIONS)
    wanted: list[UserScramCredentialAlteration] = [
        UserScramCredentialUpsertion(name, how, secret.encode()) for name, secret in passwords.items()
    ]
    for future in admin.alter_user_scram_credentials(wanted, request_timeout=ADMIN_TIMEOUT_S).values():
        _result(future)


def _rights(contract: Contract, access: Access) -> list[AclBinding]:
    topics, literal = [(name, access.topics) for name in contract.topics], ResourcePatternType.LITERAL
    asked = [
        *((ResourceType.TOPIC, name, literal, operations) for name, operations in topics),
        (ResourceType.TOPIC, contract.dead_letter.topic, literal, access.dead_letter),
        (ResourceType.GROUP, GROUP_PREFIX, ResourcePatternType.PREFIXED, access.groups),
        (ResourceType.BROKER, CLUSTER, literal, access.cluster),
    ]
    user, allow = f"User:{access.name}", AclPermissionType.ALLOW
    return [
        AclBinding(kind, name, how, user, "*", AclOperation[operation.upper()], allow)
        for kind, name, how, operations in asked
        for operation in operations
    ]


def _texts(rights: Iterable[Any]) -> list[str]:
    return sorted(
        f"{right.operation.name.lower()} {_KINDS[right.restype]} {right.name}"
        + ("*" if right.resource_pattern_type == ResourcePatternType.PREFIXED else "")
        for right in rights
    )


def _take_back(admin: AdminClient, rights: Iterable[AclBinding]) -> None:
    def only(r: AclBinding) -> AclBindingFilter:
        resource = (r.restype, r.name, r.resource_pattern_type)
        return AclBindingFilter(*resource, r.principal, r.host, r.operation, r.permission_type)

    if asked := [only(right) for right in rights]:
        for future in admin.delete_acls(asked, request_timeout=ADMIN_TIMEOUT_S).values():
            _result(future)


def _result(future: Any) -> Any:
    try:
        return future.result(timeout=ADMIN_TIMEOUT_S + 5)
    except KafkaException as failure:
        error = failure.args[0]
        # What Kafka says here is a dump of its own request.
        refused = error.code() == KafkaError.CLUSTER_AUTHORIZATION_FAILED
        raise AccessError(f"Kafka's access rights: {'not for this login' if refused else error.str()}") from None


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
        admin = AdminClient({**KafkaLogin.from_environment(os.environ).client, "log_level": 0})
        outcomes = reconcile_access(admin, contract)
        make_users(admin, passwords)
    except (AccessError, ContractError, SettingsError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for name, outcome in outcomes.items():
        if outcome.state not in (State.UNCHANGED, State.CREATED):
            sys.stdout.write(f"  Kafka: {name} {outcome}\n")
    return 0
