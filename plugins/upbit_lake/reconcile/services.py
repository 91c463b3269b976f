"""Do all engines answer? The first question of bootstrap: one line a service, what is wrong and what to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from upbit_lake.engines.clock import wait_until
from upbit_lake.engines.engines import Engines

POLL_S = 1.0


class ServiceError(RuntimeError):
    """A service does not answer as it must. One line: which, what it said."""


def wait_for_services(engines: Engines, timeout_s: float) -> dict[str, str]:
    """Wait until every service answers as it must; gives service → what it is.

    Raises:
        ServiceError: some do not within `timeout_s` (seconds); all of them are named.
    """
    answers = wait_until(
        lambda: {name: _ask(check, engines) for name, check in CHECKS.items()},
        lambda answers: all(good for good, _ in answers.values()),
        timeout_s,
        POLL_S,
        engines.clock,
    )
    failed = [f"{name}: {answer}" for name, (good, answer) in answers.items() if not good]
    if failed:
        raise ServiceError("; ".join(failed))
    return {name: answer for name, (_, answer) in answers.items()}


def _ask(check: Callable[[Engines], str], engines: Engines) -> tuple[bool, str]:
    try:
        return True, check(engines)
    except Exception as error:  # each client has exceptions of its own; the text is what counts
        return False, str(error).splitlines()[0] if str(error) else type(error).__name__


def _kafka(engines: Engines) -> str:
    brokers = engines.kafka.brokers()
    wanted = max(topic.replication for topic in engines.contract.topics.values())
    if brokers < wanted:
        raise ServiceError(f"{brokers} brokers are up, the topics' replication needs {wanted}")
    return f"{brokers} brokers"


def _s3(engines: Engines) -> str:
    return f"{len(engines.s3.buckets())} buckets at {engines.settings.s3.endpoint}"


def _flink(engines: Engines) -> str:
    cluster = engines.flink.cluster()
    wanted = sum(job.parallelism for job in engines.contract.jobs.values())
    if cluster.slots_total < wanted:
        raise ServiceError(f"{cluster.slots_total} slots, the streaming jobs need {wanted}; are the TaskManagers up?")
    return f"{cluster.taskmanagers} TaskManagers, {cluster.slots_total} slots"


def _gateway(engines: Engines) -> str:
    return f"Flink {engines.gateway.version()}"


def _database(engines: Engines) -> str:
    # An answer, not what the client knows of itself.
    engines.db.query("versions/newest")
    return f"database {engines.db.name()}"


CHECKS: Mapping[str, Callable[[Engines], str]] = {
    "Kafka": _kafka,
    "S3": _s3,
    "PostgreSQL": _database,
    "Flink": _flink,
    "SQL gateway": _gateway,
}
