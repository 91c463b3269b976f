"""REST replies as HTTP/1.1 responses with the headers of the wire."""

from __future__ import annotations

import gzip
from hashlib import md5
from http import HTTPStatus

from websockets.datastructures import Headers
from websockets.http11 import Response

from upbit_exchange.faults.catalogue import Refusal
from upbit_exchange.rest.handlers import JSON, TEXT, TOO_MANY, Reply
from upbit_exchange.wire.limits import WEBSOCKET, LimitResult


def remaining(group: str, left: int) -> str:
    """Returns the value of `Remaining-Req`: `sec` = what is left in this second, `min` = a constant."""
    return f"group={group}; min={300 if group == WEBSOCKET else 600}; sec={left}"


def refusal(result: LimitResult, group: str) -> Response:
    """Returns 429, or 418 with how long the block lasts (Upbit's words are not known; `Retry-After` is assumed)."""
    if result.status == 429:
        return response(TOO_MANY, remaining(group, 0))
    text = f"I'm a teapot. Too many API requests: blocked for {result.blocked_s} seconds."
    blocked = response(Reply(418, text.encode(), content_type=TEXT), remaining(group, 0))
    blocked.headers["Retry-After"] = str(result.blocked_s)
    return blocked


def response(reply: Reply, left: str | None, zipped: bool = False) -> Response:
    """Returns the HTTP response. `left`: Remaining-Req, None outside of a group; `zipped`: the client accepts gzip."""
    body = gzip.compress(reply.body, 1, mtime=0) if zipped else reply.body
    headers = Headers()
    headers["Content-Type"] = reply.content_type
    headers["Content-Length"] = str(len(body))
    headers["Connection"] = "close"
    headers["Cache-Control"] = "no-cache, no-store, max-age=0, must-revalidate"
    headers["Pragma"] = "no-cache"
    headers["Expires"] = "0"
    headers["Vary"] = "origin,access-control-request-method,access-control-request-headers,accept-encoding"
    if zipped:
        headers["Content-Encoding"] = "gzip"
    if reply.content_type == JSON and reply.status == 200:
        headers["ETag"] = f'W/"{md5(reply.body, usedforsecurity=False).hexdigest()}"'
    if left is not None:
        headers["Remaining-Req"] = left
        headers["Limit-By-Ip"] = "Yes"
    return Response(reply.status, HTTPStatus(reply.status).phrase, headers, body)


def refused(refusal: Refusal) -> Response:
    """Returns the answer that a fault gives in place of the true one."""
    answer = response(Reply(refusal.status, refusal.body, content_type=TEXT), None)
    if refusal.retry_after is not None:
        answer.headers["Retry-After"] = str(refusal.retry_after)
    return answer
