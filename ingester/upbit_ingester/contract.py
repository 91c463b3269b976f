"""The ingester's reader of `pipeline.toml`: the streams, their topics and the topic of the dead letters.

The reader refuses only what is wrong in the keys that the ingester acts on. The control plane's reader judges the whole
contract (`./pipeline up` asks it first), so a section or a key that is new there stops no ingester.
"""

import difflib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEFAULT_PATH = Path(__file__).resolve().parents[2] / "pipeline.toml"


class ContractError(ValueError):
    """The contract cannot be used; the text names the file, the key's path and the cure."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream of the exchange: its name on the wire, the Kafka topic that keeps it, and what is special about it."""

    name: str
    topic: str
    sheddable: bool  # its frames are dropped when the spool nears its bound, so that others find room
    expires: bool  # what has waited in the spool for too long is dropped
    quiet_after_s: int  # a code without a live frame for so long is quiet
    refetch: bool  # its events are trades: what was missed of them is fetched again by REST


# What holds where a section does not say it. The three streams of the first contracts differ by these keys alone.
_USUAL: dict[str, Any] = {"sheddable": False, "expires": False, "quiet_after_s": 3600, "refetch": None}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "ticker": {**_USUAL, "expires": True},
    "trade": {**_USUAL, "refetch": "trades"},
    # A book moves whenever a quote does; trades, and tickers which follow them, may pause.
    "orderbook": {**_USUAL, "expires": True, "sheddable": True, "quiet_after_s": 120},
}


@dataclass(frozen=True, slots=True)
class Contract:
    """The contract holds what the ingester reads of `pipeline.toml`."""

    streams: dict[str, Stream]
    dead_letter_topic: str

    @property
    def trades(self) -> Stream | None:
        """The stream of the trades, which are fetched again by REST; None when the contract has none."""
        return next((stream for stream in self.streams.values() if stream.refetch), None)


def load(path: Path) -> Contract:
    """Read the contract at `path`.

    Raises:
        ContractError: the file is missing or broken, or a key that the ingester reads is missing or of the wrong type.
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
    """Turn the parsed TOML into a Contract, refusing by its path a key that is missing or of the wrong type."""
    streams = _table(document, "streams", "")
    if not streams:
        raise ContractError("streams: is empty; at least one stream is needed")
    contract = Contract(
        streams={name: _stream(name, _table(streams, name, "streams.")) for name in streams},
        dead_letter_topic=_text(_table(document, "dead_letter", ""), "topic", "dead_letter."),
    )
    refetched = [stream.name for stream in contract.streams.values() if stream.refetch]
    if len(refetched) > 1:
        raise ContractError(f"streams.{refetched[1]}.refetch: only one stream holds the trades, {refetched[0]} does")
    return contract


def _stream(name: str, section: dict[str, Any]) -> Stream:
    prefix = f"streams.{name}."
    special = {**_DEFAULTS.get(name, _USUAL), **section}
    return Stream(
        name=name,
        topic=_text(section, "topic", prefix),
        sheddable=_flag(special, "sheddable", prefix),
        expires=_flag(special, "expires", prefix),
        quiet_after_s=_seconds(special, "quiet_after_s", prefix),
        refetch=_refetch(special, prefix),
    )


def _flag(section: dict[str, Any], key: str, prefix: str) -> bool:
    value = section[key]
    if not isinstance(value, bool):
        raise ContractError(f"{prefix}{key}: must be true or false")
    return value


def _seconds(section: dict[str, Any], key: str, prefix: str) -> int:
    value = section[key]
    if type(value) is not int or value < 1:
        raise ContractError(f"{prefix}{key}: must be a whole number of seconds, 1 or more")
    return value


def _refetch(section: dict[str, Any], prefix: str) -> bool:
    if section["refetch"] not in (None, "trades"):
        raise ContractError(f'{prefix}refetch: must be "trades", or be left out')
    return section["refetch"] is not None


def _table(parent: dict[str, Any], key: str, prefix: str) -> dict[str, Any]:
    value = _required(parent, key, prefix)
    if not isinstance(value, dict):
        raise ContractError(f"{prefix}{key}: must be a table")
    return value


def _text(parent: dict[str, Any], key: str, prefix: str) -> str:
    value = _required(parent, key, prefix)
    if not isinstance(value, str) or not value:
        raise ContractError(f"{prefix}{key}: must be a text that is not empty")
    return value


def _required(parent: dict[str, Any], key: str, prefix: str) -> Any:
    if key in parent:
        return parent[key]
    # A misspelt key is one that is missing: what stands in its place is the best hint.
    close = difflib.get_close_matches(key, parent, 1)
    raise ContractError(f"{prefix}{key}: is missing" + (f"; did you mean it by {close[0]!r}?" if close else ""))
