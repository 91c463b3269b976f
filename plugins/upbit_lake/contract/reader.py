"""Strict reader of `pipeline.toml`.

An unknown or missing key, or a value of the wrong type, is refused with the key's path and a hint: a misspelt bound
that is silently ignored is worse than no bound. A key that came after the first contract has a default: what the
pipeline did before the key existed.
"""

from __future__ import annotations

import difflib
import tomllib
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from upbit_lake.contract.model import CONTRACT_FILE, Access, Contract, ContractError, DeadLetter, Stream

# As Kafka calls them: https://kafka.apache.org/documentation/#operations_resources_and_protocols
OPERATIONS = ("alter", "alter_configs", "create", "delete", "describe", "describe_configs", "read", "write")

# What the pipeline did with its first streams before these keys existed.
FIRST_STREAMS: Mapping[str, Mapping[str, Any]] = {
    "ticker": {"expires": True},
    "trade": {"snapshots": "never", "refetch": "trades"},
    "orderbook": {"sheddable": True, "expires": True, "quiet_after_s": 120},
}
FIRST_DERIVED: Mapping[str, Mapping[str, Any]] = {"candle_1m": {"from": "trade", "time": "candle_start"}}

T = TypeVar("T")


@cache
def load_contract(path: Path = CONTRACT_FILE) -> Contract:
    """Read and check the contract at `path`.

    Raises:
        ContractError: the file is missing, is not TOML, has an unknown, missing or mistyped key, or names a topic,
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
    contract = _read(Contract, {**_with_first(data), "root": root}, "")
    _check_references(contract)
    return contract


def _with_first(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """`data` with what the first contracts did not say of their streams."""
    computed = {
        name: item
        for name, item in FIRST_DERIVED.items()
        if name in data.get("tables", ()) and item["from"] in data.get("streams", ())
    }
    filled = {**data, "derived": data.get("derived", computed)}
    for section, first in (("streams", FIRST_STREAMS), ("derived", FIRST_DERIVED)):
        if isinstance(filled.get(section), Mapping):
            filled[section] = {name: _filled(item, first.get(name, {})) for name, item in filled[section].items()}
    if filled["derived"] == {}:
        del filled["derived"]
    return filled


def _filled(section: Any, first: Mapping[str, Any]) -> Any:
    """`section` with the keys of `first` that it does not give; the reader refuses what is not a table."""
    return {**first, **section} if isinstance(section, Mapping) else section


def _read(kind: type[T], data: Any, path: str, own_name: str = "") -> T:
    """Build the dataclass `kind` from a TOML table."""
    if not isinstance(data, Mapping):
        raise ContractError(f"{path}: must be a table ([{path}]), not {type(data).__name__}")
    hints = get_type_hints(kind)
    items = fields(kind)  # type: ignore[arg-type]
    known = {item.metadata.get("key", item.name): item for item in items if item.name != "name"}
    for key in data:
        if key not in known:
            raise ContractError(f"{_join(path, key)}: unknown key{_hint(key, known)}")
    values = {}
    for key, item in known.items():
        if key in data:
            values[item.name] = _value(hints[item.name], data[key], _join(path, key))
        elif item.default is MISSING and item.default_factory is MISSING:
            raise ContractError(f"{_join(path, key)}: missing key; add it to pipeline.toml")
    if "name" in hints:
        values["name"] = own_name
    return kind(**values)


def _value(hint: Any, value: Any, path: str, own_name: str = "") -> Any:
    if is_dataclass(hint):
        return _read(hint, value, path, own_name)  # type: ignore[arg-type]
    choices = _choices(hint)
    if choices:
        if value not in choices:
            raise ContractError(f"{path}: must be {' or '.join(map(repr, choices))}, not {value!r}")
        return value
    if get_origin(hint) is tuple:
        if not isinstance(value, list) or not value:
            raise ContractError(f"{path}: must be a list with at least one text")
        return tuple(_value(str, item, f"{path}[{index}]") for index, item in enumerate(value))
    if get_origin(hint) is frozenset:
        return frozenset(_value(str, item, path) for item in _value(list, value, path))
    if hint is not Path and get_args(hint):
        return _mapping(get_args(hint)[1], value, path)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise ContractError(f"{path}: must be {hint.__name__}, not {type(value).__name__} ({value!r})")
    if isinstance(value, int) and value < 0:
        raise ContractError(f"{path}: must not be negative ({value})")
    return value


def _mapping(hint: Any, value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not value:
        raise ContractError(f"{path}: must be a table with at least one entry")
    # A key may hold dots (topic settings): it is quoted in the path as TOML would.
    return types.MappingProxyType(
        {key: _value(hint, item, _join(path, _quoted(key)), key) for key, item in value.items()}
    )


def _choices(hint: Any) -> tuple[Any, ...]:
    """The values of a Literal, optional or not; none for any other type."""
    literal = next((part for part in (hint, *get_args(hint)) if get_origin(part) is Literal), None)
    return get_args(literal) if literal is not None else ()


def _check_references(contract: Contract) -> None:
    # A name that leads nowhere would be met by a DAG hours later: each is followed here, the first wrong one is said.
    owners: list[tuple[str, Stream | DeadLetter]] = [
        (f"streams.{name}", item) for name, item in contract.streams.items()
    ]
    for path, owner in [*owners, ("dead_letter", contract.dead_letter)]:
        for key, known in (("topic", contract.topics), ("table", contract.tables), ("job", contract.jobs)):
            name = getattr(owner, key)
            if name not in known:
                raise ContractError(f"{path}.{key}: {name!r} is not defined; add [{key}s.{name}]{_hint(name, known)}")
    refetched = [name for name, stream in contract.streams.items() if stream.refetch]
    if len(refetched) > 1:
        raise ContractError(f"streams.{refetched[1]}.refetch: only one stream holds the trades, {refetched[0]} does")
    for name, derived in contract.derived.items():
        if derived.source not in contract.streams:
            near = _hint(derived.source, contract.streams)
            raise ContractError(f"derived.{name}.from: {derived.source!r} is not a stream; add [streams.…]{near}")
    _check_tables(contract)
    for name, access in contract.access.items():
        _check_operations(f"access.{name}", access)
    for name, job in contract.jobs.items():
        if not (contract.root / job.sql).is_file():
            raise ContractError(f"jobs.{name}.sql: no file {job.sql} below {contract.root}")


def _check_tables(contract: Contract) -> None:
    # A table without a stream or a rule that computes it would never be closed nor verified.
    stored = {stream.table for stream in contract.streams.values()} | {contract.dead_letter.table}
    for name in contract.tables:
        if not (contract.root / "sql" / "tables" / f"{name}.sql").is_file():
            raise ContractError(f"tables.{name}: no file sql/tables/{name}.sql; columns and types live there")
        if name not in stored and name not in contract.derived:
            raise ContractError(f"tables.{name}: no stream is stored in it; add [derived.{name}] if it is computed")
    for name in contract.derived:
        if name not in contract.tables:
            raise ContractError(f"derived.{name}: no such table; add [tables.{name}]{_hint(name, contract.tables)}")
        for folder in ("maintenance", "lake/verify"):
            if not (contract.root / "sql" / folder / f"exact_{name}.sql").is_file():
                raise ContractError(f"derived.{name}: no file sql/{folder}/exact_{name}.sql")


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
