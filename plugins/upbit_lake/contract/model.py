"""Reader of `pipeline.toml`, the one place that names streams, topics, buckets, tables, jobs, bounds and schedules.

The file becomes frozen dataclasses. An unknown or missing key, or a value of the wrong type, is refused with the
key's path and a hint: a misspelt bound that is silently ignored is worse than no bound.
"""

from __future__ import annotations

import difflib
import tomllib
import types
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

CONTRACT_FILE = Path(__file__).resolve().parents[3] / "pipeline.toml"

# As Kafka calls them: https://kafka.apache.org/documentation/#operations_resources_and_protocols
OPERATIONS = ("alter", "alter_configs", "create", "delete", "describe", "describe_configs", "read", "write")

T = TypeVar("T")


class ContractError(ValueError):
    """`pipeline.toml` cannot be used. The message is one line: which key, what is wrong, what to do."""


@dataclass(frozen=True)
class Lake:
    """Where the tables live: catalog name in Flink, database, warehouse URL. `snapshot_max_age_s`: seconds."""

    catalog: str
    database: str
    warehouse: str
    snapshot_max_age_s: int


@dataclass(frozen=True)
class Bucket:
    """An S3 bucket and what it is for."""

    purpose: str
    name: str = ""


@dataclass(frozen=True)
class Stream:
    """A stream of the exchange: its topic, table and job. `time` is the exchange's clock in ms, `key` one event."""

    topic: str
    table: str
    job: str
    key: tuple[str, ...]
    time: str
    name: str = ""


@dataclass(frozen=True)
class DeadLetter:
    """Where records go that no stream can take."""

    topic: str
    table: str
    job: str


@dataclass(frozen=True)
class Topic:
    """A Kafka topic as it should be. Settings not in `config` are the broker's."""

    partitions: int
    replication: int
    config: Mapping[str, str]
    name: str = ""


@dataclass(frozen=True)
class Access:
    """What a principal may do in Kafka: operations on all topics of the contract, on that of the dead letters alone, on
    the consumer groups of our name, on the cluster. Nothing else.
    """

    topics: frozenset[str]
    dead_letter: frozenset[str]
    groups: frozenset[str]
    cluster: frozenset[str]
    name: str = ""


@dataclass(frozen=True)
class Table:
    """Bounds of a lake table; its columns live in `sql/tables/<name>.sql`. `retention_d`: days."""

    retention_d: int
    name: str = ""


@dataclass(frozen=True)
class Job:
    """A streaming job. `sql` is relative to the repository, `freshness_s` bounds the last checkpoint's age (s)."""

    sql: str
    parallelism: int
    freshness_s: int
    name: str = ""


@dataclass(frozen=True)
class Checkpoints:
    """Checkpoint interval and timeout (s) and the S3 URLs of checkpoints and savepoints."""

    interval_s: int
    timeout_s: int
    directory: str
    savepoint_directory: str


@dataclass(frozen=True)
class Hours:
    """Bounds of the hourly work: seconds (`_s`), hours (`_h`), MiB (`_mb`), hours a run (`per_run`)."""

    grace_s: int
    source_ended_s: int
    per_run: int
    snapshot_retention_h: int
    target_file_size_mb: int


@dataclass(frozen=True)
class Budget:
    """Restarts allowed within `window_s`; before restart n > 1 wait first_wait_s * 2^(n-2), at most max_wait_s."""

    restarts: int
    window_s: int
    first_wait_s: int
    max_wait_s: int


@dataclass(frozen=True)
class Contract:
    """The whole of `pipeline.toml`."""

    lake: Lake
    buckets: Mapping[str, Bucket]
    streams: Mapping[str, Stream]
    dead_letter: DeadLetter
    topics: Mapping[str, Topic]
    access: Mapping[str, Access]
    tables: Mapping[str, Table]
    jobs: Mapping[str, Job]
    checkpoints: Checkpoints
    hours: Hours
    budgets: Mapping[str, Budget]
    schedules: Mapping[str, str]
    root: Path = field(default=CONTRACT_FILE.parent)

    def table_path(self, table: str) -> str:
        """The full name of a lake table, e.g. `lake.upbit.trade`."""
        return f"{self.lake.catalog}.{self.lake.database}.{table}"

    def stream_of_table(self, table: str) -> Stream | None:
        """The stream that a table stores, or None (candles, dead letters)."""
        return next((stream for stream in self.streams.values() if stream.table == table), None)

    def topics_of_job(self, job: str) -> tuple[str, ...]:
        """The topics that a job reads, streams first, then the dead letters when it owns them."""
        owned = [stream.topic for stream in self.streams.values() if stream.job == job]
        return (*owned, self.dead_letter.topic) if self.dead_letter.job == job else tuple(owned)


@cache
def load_contract(path: Path = CONTRACT_FILE) -> Contract:
    """Read and check the contract at `path`.

    Raises:
        ContractError: the file is missing, is no TOML, has an unknown, missing or mistyped key, or names a topic,
            table or job that it does not define.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ContractError(
            f"{path}: cannot be read ({error.strerror}); set PIPELINE_CONTRACT to the contract"
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise ContractError(f"{path}: not valid TOML ({error})") from None
    return parse_contract(data, root=path.resolve().parent)


def parse_contract(data: Mapping[str, Any], root: Path = CONTRACT_FILE.parent) -> Contract:
    """Turn parsed TOML into a Contract whose references all resolve; raises ContractError."""
    if "root" in data:
        raise ContractError("root: unknown key; the repository is where pipeline.toml lies")
    contract = _read(Contract, {**data, "root": root}, "")
    _check_references(contract)
    return contract


def _read(kind: type[T], data: Any, path: str) -> T:
    """Build the dataclass `kind` from a TOML table."""
    if not isinstance(data, Mapping):
        raise ContractError(f"{path}: must be a table ([{path}]), not {type(data).__name__}")
    hints = get_type_hints(kind)
    known = {item.name: item for item in fields(kind)}  # type: ignore[arg-type]
    for key in data:
        if key not in known or (key == "name" and path):
            raise ContractError(f"{_join(path, key)}: unknown key{_hint(key, known)}")
    values = {}
    for name, item in known.items():
        if name in data:
            values[name] = _value(hints[name], data[name], _join(path, name))
        elif name == "name":
            values[name] = path.rpartition(".")[2]
        elif item.default is MISSING:
            raise ContractError(f"{_join(path, name)}: missing key; add it to pipeline.toml")
    return kind(**values)


def _value(hint: Any, value: Any, path: str) -> Any:
    if is_dataclass(hint):
        return _read(hint, value, path)  # type: ignore[arg-type]
    if get_origin(hint) is tuple:
        if not isinstance(value, list) or not value:
            raise ContractError(f"{path}: must be a list with at least one text")
        return tuple(_value(str, item, f"{path}[{index}]") for index, item in enumerate(value))
    if get_origin(hint) is frozenset:
        return frozenset(_value(str, item, path) for item in _value(list, value, path))
    if hint is not Path and get_args(hint):
        return _mapping(get_args(hint)[1], value, path)
    if not isinstance(value, hint) or isinstance(value, bool):
        raise ContractError(f"{path}: must be {hint.__name__}, not {type(value).__name__} ({value!r})")
    if isinstance(value, int) and value < 0:
        raise ContractError(f"{path}: must not be negative ({value})")
    return value


def _mapping(hint: Any, value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not value:
        raise ContractError(f"{path}: must be a table with at least one entry")
    # A key may hold dots (topic settings): it is quoted in the path as TOML would.
    return types.MappingProxyType({key: _value(hint, item, _join(path, _quoted(key))) for key, item in value.items()})


def _check_references(contract: Contract) -> None:
    owners: list[tuple[str, Stream | DeadLetter]] = [
        (f"streams.{name}", item) for name, item in contract.streams.items()
    ]
    for path, owner in [*owners, ("dead_letter", contract.dead_letter)]:
        for key, known in (("topic", contract.topics), ("table", contract.tables), ("job", contract.jobs)):
            name = getattr(owner, key)
            if name not in known:
                raise ContractError(f"{path}.{key}: {name!r} is not defined; add [{key}s.{name}]{_hint(name, known)}")
    for name, access in contract.access.items():
        _check_operations(f"access.{name}", access)
    for name, job in contract.jobs.items():
        if not (contract.root / job.sql).is_file():
            raise ContractError(f"jobs.{name}.sql: no file {job.sql} below {contract.root}")
    for name in contract.tables:
        if not (contract.root / "sql" / "tables" / f"{name}.sql").is_file():
            raise ContractError(f"tables.{name}: no file sql/tables/{name}.sql; columns and types live there")


def _check_operations(path: str, access: Access) -> None:
    for operation in access.topics | access.dead_letter | access.groups | access.cluster:
        if operation not in OPERATIONS:
            raise ContractError(f"{path}: unknown operation {operation!r}{_hint(operation, dict.fromkeys(OPERATIONS))}")


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _quoted(key: str) -> str:
    return f'"{key}"' if "." in key else key


def _hint(key: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known here: {', '.join(k for k in known if k != 'root')}"
