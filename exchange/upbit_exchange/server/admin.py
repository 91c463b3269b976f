"""`/_local/faults` answers any HTTP client that can GET: faults are switched on and off while the exchange runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from upbit_exchange.exchange import Exchange
from upbit_exchange.faults.catalogue import KINDS, FaultError, order
from upbit_exchange.rest.handlers import Reply

PATH = "/_local/faults"
TEXT = "text/plain;charset=UTF-8"


def answer(exchange: Exchange, path: str, query: Mapping[str, str], now: float) -> Reply:
    """Does what a request asks; 400 with one line of text for an invalid one. `now` in monotonic seconds."""
    try:
        return Reply(200, msgspec.json.encode(_answer(exchange, path, query, now)) + b"\n")
    except FaultError as error:
        return Reply(400, f"{error}\n".encode(), content_type=TEXT)


def _answer(exchange: Exchange, path: str, query: Mapping[str, str], now: float) -> object:
    # All is refused that is not understood in full: a test with a misspelt request would pass without its fault.
    if path == f"{PATH}/kinds":
        return [_kind(name) for name in KINDS]
    if path != PATH:
        raise FaultError(f"{path[:80]} does not exist; {PATH} and {PATH}/kinds do")
    if "set" in query:
        return {"on": exchange.switch_on(order(query, exchange.codes, exchange.replayed), now)}  # null: done at once
    if "clear" in query:
        if len(query) > 1:
            raise FaultError("`clear` stands alone; send a request of its own for the rest")
        return {"cleared": exchange.faults.switch_off(query["clear"])}
    if query:
        raise FaultError(f"{', '.join(query)[:80]} says neither `set` nor `clear`; ask {PATH}?set=drop or ?clear=all")
    return {"on": exchange.faults.listed(now), "counts": exchange.faults.counts}


def _kind(name: str) -> dict[str, Any]:
    return {"fault": name, **msgspec.structs.asdict(KINDS[name]), "selectors": KINDS[name].selectors}
