"""What the control plane reads and changes of Kafka itself: topics, access rights, users. It decides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)

from upbit_lake.contract.model import Topic
from upbit_lake.contract.settings import KafkaLogin
from upbit_lake.engines.clock import SYSTEM, Clock, wait_until

# Outlasts the loss of the controller, which the brokers notice after 9 s (`broker.session.timeout.ms`) and replace.
ADMIN_TIMEOUT_S = 30.0
# The broker keeps a request until its timeout; its refusal needs a moment to come back.
ANSWER_S = ADMIN_TIMEOUT_S + 5.0
# Brokers learn of a new topic within a second, or after the next controller was elected.
LEADERS_S = 30.0
POLL_S = 0.2
ITERATIONS = 4096  # Kafka's least: these passwords are 128 random bits, there is nothing to guess
CLUSTER = "cluster"
CLUSTER_NAME = "kafka-cluster"  # the one name that Kafka gives to itself as a resource


class TopicError(RuntimeError):
    """Kafka refused a change of a topic or did not answer. One line: which topic, why."""


class AccessError(RuntimeError):
    """Kafka refused to name or to change rights or users, or did not answer. One line."""


@dataclass(frozen=True)
class FoundTopic:
    """A topic as it is. `config` holds every effective setting; a topic that is recreated has another `topic_id`."""

    name: str
    topic_id: str
    partitions: int
    replication: int
    config: Mapping[str, str]


@dataclass(frozen=True)
class Right:
    """One access right: `principal` (`User:name`) may do `operation` on a resource; `allowed` false forbids it.

    `resource` is topic, group, cluster or another of Kafka's kinds; `prefixed`: all names that begin with `name`.
    """

    principal: str
    operation: str
    resource: str
    name: str
    prefixed: bool = False
    host: str = "*"
    allowed: bool = True

    def __str__(self) -> str:
        return f"{self.operation} {self.resource} {self.name}" + ("*" if self.prefixed else "")


class KafkaAdmin(Protocol):
    """What the control plane may ask of Kafka and change in it."""

    def brokers(self) -> int:
        """Kafka returns how many brokers are up; raises TopicError."""

    def topics(self, names: Iterable[str]) -> dict[str, FoundTopic]:
        """Kafka returns those of `names` that exist; raises TopicError."""

    def create_topic(self, topic: Topic) -> None:
        """Kafka creates a topic; one that is there stays as it is. Raises TopicError."""

    def set_topic_config(self, name: str, settings: Mapping[str, str]) -> None:
        """Kafka sets `settings` of a topic and leaves the others; raises TopicError."""

    def grow_topic(self, name: str, partitions: int) -> None:
        """Kafka adds partitions to a topic until it has so many; raises TopicError."""

    def wait_for_leaders(self, partitions: Mapping[str, int]) -> None:
        """Kafka has at least so many partitions of each topic, each with a leader; raises TopicError after 30 s."""

    def rights(self) -> set[Right]:
        """Kafka returns every access right that it knows; raises AccessError."""

    def grant(self, rights: Iterable[Right]) -> None:
        """Kafka adds rights; those that are there stay. Raises AccessError."""

    def take_back(self, rights: Iterable[Right]) -> None:
        """Kafka removes rights; those that are not there are no error. Raises AccessError."""

    def set_passwords(self, passwords: Mapping[str, str]) -> None:
        """Kafka gives each user its password in place of an older one; open connections stay. Raises AccessError."""


class ConfluentAdmin:
    """Kafka through confluent_kafka's AdminClient."""

    def __init__(self, client: AdminClient, clock: Clock = SYSTEM) -> None:
        self._client = client
        self._clock = clock

    @classmethod
    def connect(cls, login: KafkaLogin) -> ConfluentAdmin:
        """A client of `login`, silent in the log; nothing is contacted yet."""
        return cls(AdminClient({**login.client, "log_level": 0}))

    def brokers(self) -> int:
        """Kafka returns how many brokers are up; raises TopicError."""
        return len(self._metadata().brokers)

    def topics(self, names: Iterable[str]) -> dict[str, FoundTopic]:
        """Kafka returns those of `names` that exist; raises TopicError."""
        asked = self._client.describe_topics(TopicCollection(list(names)), request_timeout=ADMIN_TIMEOUT_S)
        answers = {
            name: _topic_result(future, name, KafkaError.UNKNOWN_TOPIC_OR_PART) for name, future in asked.items()
        }
        described = {name: answer for name, answer in answers.items() if answer is not None}
        if not described:
            return {}
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in described]
        configs = {}
        for resource, future in self._client.describe_configs(resources, request_timeout=ADMIN_TIMEOUT_S).items():
            entries = _topic_result(future, resource.name)
            configs[resource.name] = {key: entry.value for key, entry in entries.items()}
        return {name: _found(name, item, configs[name]) for name, item in described.items()}

    def create_topic(self, topic: Topic) -> None:
        """Kafka creates a topic; one that is there stays as it is. Raises TopicError."""
        new = NewTopic(topic.name, topic.partitions, topic.replication, config=dict(topic.config))
        asked = self._client.create_topics([new], request_timeout=ADMIN_TIMEOUT_S)
        _topic_result(asked[topic.name], topic.name, KafkaError.TOPIC_ALREADY_EXISTS)

    def set_topic_config(self, name: str, settings: Mapping[str, str]) -> None:
        """Kafka sets `settings` of a topic and leaves the others; raises TopicError."""
        entries = [
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in settings.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
        for future in self._client.incremental_alter_configs([resource], request_timeout=ADMIN_TIMEOUT_S).values():
            _topic_result(future, name)

    def grow_topic(self, name: str, partitions: int) -> None:
        """Kafka adds partitions to a topic until it has so many; raises TopicError."""
        grown = self._client.create_partitions([NewPartitions(name, partitions)], request_timeout=ADMIN_TIMEOUT_S)
        _topic_result(grown[name], name)

    def wait_for_leaders(self, partitions: Mapping[str, int]) -> None:
        """Kafka has at least so many partitions of each topic, each with a leader; raises TopicError after 30 s.

        The brokers learn of a change one after the other, so that a topic just made may be unknown to the one asked.
        """

        def without_leader() -> list[str]:
            known = self._metadata().topics
            return sorted(
                name
                for name, count in partitions.items()
                if name not in known
                or len(known[name].partitions) < count
                or any(partition.leader < 0 for partition in known[name].partitions.values())
            )

        waiting = wait_until(without_leader, lambda names: not names, LEADERS_S, POLL_S, self._clock)
        if waiting:
            raise TopicError(f"topics {', '.join(waiting)} have no leader after {LEADERS_S:.0f} s")

    def rights(self) -> set[Right]:
        """Kafka returns every access right that it knows; raises AccessError."""
        every: Any = None  # the library's own hints say str
        resources = (ResourceType.ANY, every, ResourcePatternType.ANY)
        everything = AclBindingFilter(*resources, every, every, AclOperation.ANY, AclPermissionType.ANY)
        found = _access_result(self._client.describe_acls(everything, request_timeout=ADMIN_TIMEOUT_S))
        return {_right(binding) for binding in found}

    def grant(self, rights: Iterable[Right]) -> None:
        """Kafka adds rights; those that are there stay. Raises AccessError."""
        if asked := [AclBinding(*_binding(right)) for right in rights]:
            for future in self._client.create_acls(asked, request_timeout=ADMIN_TIMEOUT_S).values():
                _access_result(future)

    def take_back(self, rights: Iterable[Right]) -> None:
        """Kafka removes rights; those that are not there are no error. Raises AccessError."""
        if asked := [AclBindingFilter(*_binding(right)) for right in rights]:
            for future in self._client.delete_acls(asked, request_timeout=ADMIN_TIMEOUT_S).values():
                _access_result(future)

    def set_passwords(self, passwords: Mapping[str, str]) -> None:
        """Kafka gives each user its password in place of an older one; open connections stay. Raises AccessError."""
        how = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, ITERATIONS)
        wanted: list[UserScramCredentialAlteration] = [
            UserScramCredentialUpsertion(name, how, secret.encode()) for name, secret in passwords.items()
        ]
        for future in self._client.alter_user_scram_credentials(wanted, request_timeout=ADMIN_TIMEOUT_S).values():
            _access_result(future)

    def _metadata(self) -> Any:
        try:
            return self._client.list_topics(timeout=ADMIN_TIMEOUT_S)
        except KafkaException as failure:
            raise TopicError(f"Kafka does not answer: {failure.args[0].str()}") from None


def topic_ids(kafka: KafkaAdmin, names: Iterable[str]) -> dict[str, str]:
    """The ids of those of `names` that exist, by topic; a topic that is recreated has another id."""
    return {name: found.topic_id for name, found in kafka.topics(names).items()}


def _found(name: str, description: Any, config: Mapping[str, str]) -> FoundTopic:
    replication = min(len(partition.replicas) for partition in description.partitions)
    return FoundTopic(name, str(description.topic_id), len(description.partitions), replication, config)


def _topic_result(future: Any, name: str, fine: int | None = None) -> Any:
    """What Kafka answered about a topic, None for the error code that is `fine`: what was wanted is so already."""
    try:
        return future.result(timeout=ANSWER_S)
    except KafkaException as failure:
        if failure.args[0].code() == fine:
            return None
        raise TopicError(f"topic {name}: {failure.args[0].str()}") from None


def _access_result(future: Any) -> Any:
    try:
        return future.result(timeout=ANSWER_S)
    except KafkaException as failure:
        error = failure.args[0]
        # What Kafka says here is a dump of its own request.
        refused = error.code() == KafkaError.CLUSTER_AUTHORIZATION_FAILED
        raise AccessError(f"Kafka's access rights: {'not for this login' if refused else error.str()}") from None


def _right(binding: Any) -> Right:  # the library's own hints leave its enums open
    kind = CLUSTER if binding.restype == ResourceType.BROKER else binding.restype.name.lower()
    prefixed = binding.resource_pattern_type == ResourcePatternType.PREFIXED
    allowed = binding.permission_type == AclPermissionType.ALLOW
    operation = binding.operation.name.lower()
    return Right(binding.principal, operation, kind, binding.name, prefixed, binding.host, allowed)


def _binding(right: Right) -> tuple[Any, ...]:
    """The arguments of an AclBinding, which are those of the filter that finds just this one."""
    kind = ResourceType.BROKER if right.resource == CLUSTER else ResourceType[right.resource.upper()]
    how = ResourcePatternType.PREFIXED if right.prefixed else ResourcePatternType.LITERAL
    permission = AclPermissionType.ALLOW if right.allowed else AclPermissionType.DENY
    return kind, right.name, how, right.principal, right.host, AclOperation[right.operation.upper()], permission
