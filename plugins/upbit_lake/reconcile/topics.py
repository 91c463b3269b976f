"""Reconciles Kafka's topics with the contract: describe, plan (pure), act, report.

The provider's operator knows neither configuration nor drift (it warns that a topic exists and goes on), so the plan
is ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from upbit_lake.contract.model import Topic
from upbit_lake.engines.kafka.admin import FoundTopic, KafkaAdmin
from upbit_lake.reconcile.outcome import Outcome, created


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
    kafka: KafkaAdmin, topics: Iterable[Topic], repair: bool = True, grow: bool = False, dry_run: bool = False
) -> dict[str, Outcome]:
    """Create missing topics and repair settings; gives topic → outcome.

    Args:
        repair: set settings that differ (loses nothing); without it drift is only reported.

    Raises:
        TopicError: Kafka refused or did not answer.
    """
    wanted = list(topics)
    found = kafka.topics([topic.name for topic in wanted])
    outcome = {}
    changing: dict[str, int] = {}
    for topic in wanted:
        plan = plan_topic(topic, found.get(topic.name), grow)
        acted = not dry_run and not plan.unchanged and (plan.create or repair)
        if acted:
            _act(kafka, plan)
        if acted and (plan.create or plan.grow_to):
            changing[topic.name] = plan.grow_to or 1
        outcome[topic.name] = topic_outcome(plan, found.get(topic.name), acted)
    if changing:
        kafka.wait_for_leaders(changing)
    return outcome


def _act(kafka: KafkaAdmin, plan: TopicPlan) -> None:
    if plan.create:
        kafka.create_topic(plan.topic)
    if plan.settings:
        kafka.set_topic_config(plan.topic.name, plan.settings)
    if plan.grow_to:
        kafka.grow_topic(plan.topic.name, plan.grow_to)
