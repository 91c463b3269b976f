"""A WebSocket client's text becomes a subscription, a command or an error. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, get_args

import msgspec

from upbit_exchange.wire.names import CHANNELS, Channel, Format

FORMATS: tuple[str, ...] = get_args(Format)
DEPTHS = (1, 5, 15, 30)


class View(NamedTuple):
    """How a client wants to see a channel of a code: levels of the book, gathered at `level` (10^-8, 0 = as it is)."""

    depth: int = DEPTHS[-1]
    level: int = 0


WHOLE = View()


class RequestError(Exception):
    """An error frame that ends the connection; name and message are the wire's exact texts (KR host)."""

    def __init__(self, name: str, message: str, name_first: bool = False) -> None:
        super().__init__(message)
        self.name = name
        self.message = message
        self._name_first = name_first

    @property
    def frame(self) -> bytes:
        """`{"error":{...}}`; the order of keys differs by error, as on the wire."""
        pairs = [("message", self.message), ("name", self.name)]
        return msgspec.json.encode({"error": dict(reversed(pairs) if self._name_first else pairs)})


class Wish(msgspec.Struct, frozen=True):
    """One type object of a request. `codes` maps a code to the depth asked for (30 = all)."""

    stream: Channel
    codes: dict[str, int]
    snapshot: bool = True
    realtime: bool = True
    level: float = 0


class Subscription(msgspec.Struct, frozen=True):
    """A subscription is a whole request: it replaces the one before."""

    ticket: str
    wishes: tuple[Wish, ...]
    format: Format = "DEFAULT"


class ListRequest(msgspec.Struct, frozen=True):
    """`LIST_SUBSCRIPTIONS`; a format in it switches the live stream's."""

    ticket: str
    format: Format | None = None


class Ping(msgspec.Struct, frozen=True):
    """Text `PING`: from then on `{"status":"UP"}` every 10 s."""


Request = Subscription | ListRequest | Ping

UP = b'{"status":"UP"}'
# What a socket gets that sends too many messages is not known; the document only names the error.
TOO_MANY_MESSAGES = ("TOO_MANY_REQUESTS", "Too many API requests.")
_WRONG_FORMAT = ("WRONG_FORMAT", "Format 이 맞지 않습니다.")


def parse(message: str | bytes) -> Request:
    """Returns what a client's message asks for. RequestError for what the exchange answers with an error frame."""
    text = message.decode("utf-8", "replace") if isinstance(message, bytes) else message
    if text.strip().strip('"') == "PING":
        return Ping()
    try:
        items = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise RequestError(*_WRONG_FORMAT) from None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise RequestError(*_WRONG_FORMAT)
    ticket = _ticket(items)
    chosen = _format(items)
    if any(item.get("method") == "LIST_SUBSCRIPTIONS" for item in items):
        return ListRequest(ticket, chosen)
    wishes = tuple(_wish(item) for item in items if not item.keys() <= {"ticket", "format"})
    if not wishes:
        raise RequestError("NO_TYPE", "type 필드가 존재하지 않습니다.")
    return Subscription(ticket, wishes, chosen or "DEFAULT")


def _ticket(items: list[dict[str, Any]]) -> str:
    tickets = [item["ticket"] for item in items if item.get("ticket")]
    if not tickets:
        raise RequestError("NO_TICKET", "티켓이 존재하지 않거나, 유효하지 않습니다.", name_first=True)
    return str(tickets[0])


def _format(items: list[dict[str, Any]]) -> Format | None:
    for item in items:
        if "format" in item:
            if item["format"] not in FORMATS:
                raise RequestError(*_WRONG_FORMAT)
            chosen: Format = item["format"]
            return chosen
    return None


def _wish(item: dict[str, Any]) -> Wish:
    kind = item.get("type")
    if not isinstance(kind, str) or not kind:
        raise RequestError("NO_TYPE", "type 필드가 존재하지 않습니다.")
    if kind not in CHANNELS:
        raise RequestError("INVALID_PARAM", f"{kind} 은 지원하지 않는 타입입니다.")
    codes = item.get("codes")
    if codes is None:
        raise RequestError("NO_CODES", "codes 필드가 존재하지 않습니다.")
    if not isinstance(codes, list) or not all(isinstance(code, str) for code in codes):
        raise RequestError(*_WRONG_FORMAT)
    if not codes:
        raise RequestError("INVALID_PARAM", "codes 필드가 비어 있습니다.")
    only_snapshot, only_realtime = _flag(item, "snapshot"), _flag(item, "realtime")
    level = item.get("level", 0) if kind == "orderbook" else 0
    return Wish(
        stream=kind,  # one of CHANNELS, checked above
        codes=dict(_depth(kind, code) for code in codes),
        snapshot=only_snapshot or not only_realtime,
        realtime=only_realtime or not only_snapshot,
        level=level if isinstance(level, int | float) else 0,
    )


def _flag(item: dict[str, Any], what: str) -> bool:
    """`is_only_snapshot` or its spelling of before, `isOnlySnapshot`; likewise for realtime."""
    return bool(item.get(f"is_only_{what}") or item.get(f"isOnly{what.title()}"))


def _depth(stream: str, code: str) -> tuple[str, int]:
    name, dot, suffix = code.partition(".")
    if stream != "orderbook" or not dot:
        return code, DEPTHS[-1]
    # A depth that does not exist is served whole (seen for .20 and .2).
    return name, int(suffix) if suffix in map(str, DEPTHS) else DEPTHS[-1]


def listing(request: ListRequest, subscription: Subscription | None, chosen: Format) -> bytes:
    """Returns the answer to LIST_SUBSCRIPTIONS in the chosen format."""
    wishes: Iterable[Wish] = subscription.wishes if subscription else ()
    short = chosen in ("SIMPLE", "SIMPLE_LIST")
    kind, codes, level = ("ty", "cds", "lv") if short else ("type", "codes", "level")
    result: list[dict[str, Any]] = []
    for wish in wishes:
        entry: dict[str, Any] = {kind: wish.stream, codes: list(wish.codes)}
        if wish.stream == "orderbook":
            entry[level] = wish.level
        result.append(entry)
    method, results, ticket = ("mthd", "rslt", "tckt") if short else ("method", "result", "ticket")
    answer = {method: "LIST_SUBSCRIPTIONS", results: result, ticket: request.ticket}
    return msgspec.json.encode([answer] if chosen.endswith("LIST") else answer)
