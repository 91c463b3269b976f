"""Reconciles Kafka's topics with the contract: describe, plan (pure), act, report.

The provider's operator knows neither configuration nor drift (it warns that a topic exists and goes on), so the plan
is ours; the AdminClient is the one of the provider's hook.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from upbit_lake.contract.model import Topic
from upbit_lake.engines.clock import SYSTEM, Clock, wait_until
from upbit_lake.reconcile.outcome import Outcome, created

ADMIN_TIMEOUT_S = 30.0


class TopicError(RuntimeError):
    """Kafka refused a change or did not answer. One line: which topic, why."""


@dataclass(frozen=True)
class FoundTopic:
    """A topic as it is. `config` holds every effective setting, `topic_id` changes when a topic is recreated."""

    name: str
    topic_id: str
    partitions: int
    replication: int
    config: Mapping[str, str]


@dataclass(frozen=True)
class TopicPlan:
    """What to do about one topic. `drift` names what is not repaired, `settings` what is to be set."""

    topic: Topic
    create: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)
    grow_to: int | None = None
    drift: tuple[str, ...] = ()

    @property
    def unchanged(self) -> bool:
        """True when the topic is as the contract says."""
        return not (self.create or self.settings or self.grow_to or self.drift)


def plan_topic(wanted: Topic, found: FoundTopic | None, grow: bool = False) -> TopicPlan:
    """Compare a topic with the contract.

    Args:
        grow: allow more partitions. Off by default: it changes which partition a key goes to.
    """
    if found is None:
        return TopicPlan(wanted, create=True)
    settings = {key: value for key, value in wanted.config.items() if found.config.get(key) != value}
    drift = []
    grow_to = None
    if found.partitions < wanted.partitions and grow:
        grow_to = wanted.partitions
    elif found.partitions != wanted.partitions:
        cure = "allow growing them" if found.partitions < wanted.partitions else "Kafka cannot take partitions away"
        drift.append(f"{found.partitions} partitions, the contract says {wanted.partitions} ({cure})")
    if found.replication != wanted.replication:
        drift.append(f"replication {found.replication}, the contract says {wanted.replication} (reassign by hand)")
    return TopicPlan(wanted, settings=settings, grow_to=grow_to, drift=tuple(drift))


def topic_outcome(plan: TopicPlan, found: FoundTopic | None, acted: bool) -> Outcome:
    """The outcome of one topic. `acted`: its plan was carried out."""
    if plan.create:
        return created(dry_run=not acted)
    before = found.config if found else {}
    changes = [f"{key} was {before.get(key)}, the contract says {value}" for key, value in plan.settings.items()]
    if plan.grow_to and found:
        changes.append(f"{found.partitions} partitions, the contract says {plan.grow_to}")
    return Outcome.of(plan.drift, tuple(changes)) if acted else Outcome.of((*plan.drift, *changes), ())


def reconcile_topics(
    admin: Any, topics: Iterable[Topic], repair: bool = True, grow: bool = False, dry_run: bool = False
) -> dict[str, Outcome]:
    """Create missing topics and repair settings; gives topic → outcome.

    Args:
        admin: a confluent_kafka AdminClient.
        repair: set settings that differ (loses nothing); without it drift is only reported.

    Raises:
        TopicError: Kafka refused or did not answer.
    """
    wanted = list(topics)
    found = describe_topics(admin, [topic.name for topic in wanted])
    outcome = {}
    changing: dict[str, int] = {}
    for topic in wanted:
        plan = plan_topic(topic, found.get(topic.name), grow)
        acted = not dry_run and not plan.unchanged and (plan.create or repair)
        if acted:
            _act(admin, plan)
        if acted and (plan.create or plan.grow_to):
            changing[topic.name] = plan.grow_to or 1
        outcome[topic.name] = topic_outcome(plan, found.get(topic.name), acted)
    if changing:
        wait_for_leaders(admin, changing)
    return outcome


def describe_topics(admin: Any, names: Iterable[str]) -> dict[str, FoundTopic]:
    """The topics of `names` that exist, with id, partitions, replication and effective settings."""
    from confluent_kafka import TopicCollection
    from confluent_kafka.admin import ConfigResource, ResourceType

    described = {}
    for name, future in admin.describe_topics(TopicCollection(list(names)), request_timeout=ADMIN_TIMEOUT_S).items():
        description = _result(future, f"topic {name}", missing_ok=True)
        if description is not None:
            described[name] = description
    if not described:
        return {}
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in described]
    configs = {}
    for resource, future in admin.describe_configs(resources, request_timeout=ADMIN_TIMEOUT_S).items():
        entries = _result(future, f"topic {resource.name}")
        configs[resource.name] = {key: entry.value for key, entry in entries.items()}
    return {name: _found(name, item, configs[name]) for name, item in described.items()}


def topic_ids(admin: Any, names: Iterable[str]) -> dict[str, str]:
    """Topic → id; a topic that was deleted and created again has another id."""
    return {name: found.topic_id for name, found in describe_topics(admin, names).items()}


def wait_for_leaders(admin: Any, partitions: Mapping[str, int], timeout_s: float = 30.0, clock: Clock = SYSTEM) -> None:
    """Wait until the topics have at least so many `partitions`, each with a leader: brokers learn of a change late."""

    def without_leader() -> list[str]:
        metadata = admin.list_topics(timeout=ADMIN_TIMEOUT_S).topics
        return sorted(
            name
            for name, count in partitions.items()
            if name not in metadata
            or len(metadata[name].partitions) < count
            or any(partition.leader < 0 for partition in metadata[name].partitions.values())
        )

    waiting = wait_until(without_leader, lambda names: not names, timeout_s, 0.2, clock)
    if waiting:
        raise TopicError(f"topics {', '.join(waiting)} have no leader after {timeout_s:.0f} s")


def _found(name: str, description: Any, config: Mapping[str, str]) -> FoundTopic:
    replication = min(len(partition.replicas) for partition in description.partitions)
    return FoundTopic(name, str(description.topic_id), len(description.partitions), replication, config)


def _act(admin: Any, plan: TopicPlan) -> None:
    from confluent_kafka.admin import (
        AlterConfigOpType,
        ConfigEntry,
        ConfigResource,
        NewPartitions,
        NewTopic,
        ResourceType,
    )

    topic, name = plan.topic, plan.topic.name
    if plan.create:
        new = NewTopic(name, topic.partitions, topic.replication, config=dict(topic.config))
        _result(admin.create_topics([new], request_timeout=ADMIN_TIMEOUT_S)[name], f"topic {name}", present_ok=True)
    if plan.settings:
        entries = [
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in plan.settings.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
        for future in admin.incremental_alter_configs([resource], request_timeout=ADMIN_TIMEOUT_S).values():
            _result(future, f"topic {name}")
    if plan.grow_to:
        grown = admin.create_partitions([NewPartitions(name, plan.grow_to)], request_timeout=ADMIN_TIMEOUT_S)
        _result(grown[name], f"topic {name}")


def _result(future: Any, what: str, missing_ok: bool = False, present_ok: bool = False) -> Any:
    from confluent_kafka import KafkaError, KafkaException

    try:
        return future.result(timeout=ADMIN_TIMEOUT_S + 5)
    except KafkaException as error:
        code = error.args[0].code()
        if missing_ok and code == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return None
        # It was created since the look: that is what was wanted.
        if present_ok and code == KafkaError.TOPIC_ALREADY_EXISTS:
            return None
        raise TopicError(f"{what}: {error.args[0].str()}") from None
