"""The ingester's reader of `pipeline.toml`: the streams, their topics and the topic of the dead letters.

Only the parts that the ingester acts on are read; the rest of the contract belongs to its other readers.
"""

import difflib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEFAULT_PATH = Path(__file__).resolve().parents[2] / "pipeline.toml"

_SECTIONS = ("lake", "buckets", "streams", "dead_letter", "topics", "access", "tables", "jobs", "checkpoints", "hours")
_TOP_LEVEL = (*_SECTIONS, "budgets", "schedules")
_STREAM_KEYS = ("topic", "table", "job", "key", "time")
_DEAD_LETTER_KEYS = ("topic", "table", "job")


class ContractError(ValueError):
    """The contract cannot be used; the text names the file, the key's path and the cure."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream of the exchange: its name on the wire and the Kafka topic that keeps it."""

    name: str
    topic: str


@dataclass(frozen=True, slots=True)
class Contract:
    """What the ingester needs of `pipeline.toml`."""

    streams: dict[str, Stream]
    dead_letter_topic: str


def load(path: Path) -> Contract:
    """Read the contract at `path`.

    Raises:
        ContractError: the file is missing or broken, or a key is unknown, missing or of the wrong type.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ContractError(f"{path}: cannot read the contract ({error.strerror}); set PIPELINE_CONTRACT") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ContractError(f"{path}: not valid TOML ({error})") from None
    try:
        return parse(document)
    except ContractError as error:
        raise ContractError(f"{path}: {error}") from None


def parse(document: dict[str, Any]) -> Contract:
    """Turn the parsed TOML into a Contract, refusing unknown and missing keys by their path."""
    _refuse_unknown(document, _TOP_LEVEL, "")
    streams = _table(document, "streams", "streams")
    if not streams:
        raise ContractError("streams: is empty; at least one stream is needed")
    dead_letter = _table(document, "dead_letter", "dead_letter")
    _refuse_unknown(dead_letter, _DEAD_LETTER_KEYS, "dead_letter.")
    return Contract(
        streams={name: _stream(name, _table(streams, name, f"streams.{name}")) for name in streams},
        dead_letter_topic=_text(dead_letter, "topic", "dead_letter.topic"),
    )


def _stream(name: str, section: dict[str, Any]) -> Stream:
    path = f"streams.{name}"
    _refuse_unknown(section, _STREAM_KEYS, f"{path}.")
    for key in _STREAM_KEYS:
        if key not in section:
            raise ContractError(f"{path}.{key}: is missing")
    return Stream(name=name, topic=_text(section, "topic", f"{path}.topic"))


def _table(parent: dict[str, Any], key: str, path: str) -> dict[str, Any]:
    value = parent.get(key)
    if value is None:
        raise ContractError(f"{path}: is missing")
    if not isinstance(value, dict):
        raise ContractError(f"{path}: must be a table")
    return value


def _text(parent: dict[str, Any], key: str, path: str) -> str:
    value = parent.get(key)
    if value is None:
        raise ContractError(f"{path}: is missing")
    if not isinstance(value, str) or not value:
        raise ContractError(f"{path}: must be a text that is not empty")
    return value


def _refuse_unknown(section: dict[str, Any], known: tuple[str, ...], prefix: str) -> None:
    for key in section:
        if key not in known:
            close = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
            raise ContractError(f"{prefix}{key}: unknown key; {hint}")
