"""Client of Flink's SQL gateway (REST, `/v2`): a session for one piece of work, deleted at its end.

Sessions live in the gateway's memory and lose their catalogs at its restart, so whoever opens one replays the DDL
(`lake_session`). Statements are polled with the caller's deadline; the gateway itself has none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

import requests

from upbit_lake.engines.clock import SYSTEM, Clock, wait_until
from upbit_lake.engines.flink.reason import reason_of

API = "v2"
# DDL is done at the first look; a query takes seconds to minutes.
POLL_FIRST_S = 0.05
POLL_MAX_S = 1.0
# To open a session or to submit a job the gateway compiles and talks to the cluster before it answers.
HTTP_TIMEOUT_S = 30.0
# DDL takes a second; what reads tables says how long it may.
STATEMENT_S = 120.0


class GatewayError(RuntimeError):
    """A statement failed or the gateway refused it. The message is one line with the last cause Flink named."""


class GatewayUnreachableError(GatewayError):
    """No answer from the gateway: worth a retry."""


class GatewayTimeoutError(GatewayError):
    """The statement did not end within its deadline; it was cancelled."""


@dataclass(frozen=True)
class Result:
    """What a statement gave. `job_id` is the Flink job of an INSERT or of a batch query, when there is one."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    job_id: str | None

    def dicts(self) -> list[dict[str, Any]]:
        """The rows as dictionaries by column name."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


class GatewaySession(Protocol):
    """An open session. Its settings and temporary tables are gone when it is deleted."""

    def run(self, statement: str, timeout_s: float = STATEMENT_S) -> Result:
        """The session runs one statement (no closing `;`) and returns all its rows.

        Raises:
            GatewayTimeoutError: it did not end within `timeout_s` and was cancelled.
            GatewayError: Flink refused it or failed; the message holds the last `Caused by:` line.
        """

    def run_all(self, statements: list[str], timeout_s: float = STATEMENT_S) -> list[Result]:
        """The session runs `statements` in order, each within `timeout_s`."""

    def set(self, key: str, value: str) -> None:
        """The session has this option for the statements that follow."""

    def reset(self, key: str) -> None:
        """The session has its default of this option again."""


class Gateway(Protocol):
    """Who opens sessions in which SQL runs on Flink."""

    def version(self) -> str:
        """The gateway returns Flink's version; raises GatewayUnreachableError."""

    def session(self, name: str, properties: Mapping[str, str] | None = None) -> AbstractContextManager[GatewaySession]:
        """The gateway opens a session with `properties` (any Flink or table option), deleted at the end."""


class FlinkGateway:
    """The SQL gateway at `url` (no trailing slash, no version)."""

    def __init__(self, url: str, clock: Clock = SYSTEM) -> None:
        self._url = url
        self._http = requests.Session()
        self._clock = clock

    def version(self) -> str:
        """Flink's version as the gateway tells it; raises GatewayUnreachableError."""
        return str(self.call("GET", "/info")["version"])

    @contextmanager
    def session(self, name: str, properties: Mapping[str, str] | None = None) -> Iterator[RestSession]:
        """A session with `properties` (any Flink or table option), deleted at the end."""
        body = {"sessionName": name, "properties": dict(properties or {})}
        handle = self.call("POST", "/sessions", body)["sessionHandle"]
        try:
            yield RestSession(self, handle, self._clock)
        finally:
            # A session that cannot be deleted expires by itself; the work's own outcome matters more.
            with suppress(GatewayError):
                self.call("DELETE", f"/sessions/{handle}")

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """One HTTP call below `/v2`; numbers with a point come back as Decimal. Raises GatewayError."""
        try:
            answer = self._http.request(method, f"{self._url}/{API}{path}", json=body, timeout=HTTP_TIMEOUT_S)
        except requests.RequestException as error:
            raise GatewayUnreachableError(f"SQL gateway {self._url}: no answer ({type(error).__name__})") from None
        if answer.status_code >= 400:
            raise GatewayError(reason_of(answer.text))
        parsed: dict[str, Any] = json.loads(answer.text, parse_float=Decimal)
        return parsed


class RestSession:
    """An open session of the gateway's REST."""

    def __init__(self, gateway: FlinkGateway, handle: str, clock: Clock) -> None:
        self._gateway = gateway
        self._path = f"/sessions/{handle}"
        self._clock = clock

    def run(self, statement: str, timeout_s: float = STATEMENT_S) -> Result:
        """Run one statement (no closing `;`) and read all its rows.

        Raises:
            GatewayTimeoutError: it did not end within `timeout_s` and was cancelled.
            GatewayError: Flink refused it or failed; the message holds the last `Caused by:` line.
        """
        operation = self._gateway.call("POST", f"{self._path}/statements", {"statement": statement})["operationHandle"]
        path = f"{self._path}/operations/{operation}"
        try:
            return self._fetch(path, timeout_s)
        except GatewayTimeoutError:
            with suppress(GatewayError):
                self._gateway.call("POST", f"{path}/cancel")
            raise
        finally:
            with suppress(GatewayError):
                self._gateway.call("DELETE", f"{path}/close")

    def run_all(self, statements: list[str], timeout_s: float = STATEMENT_S) -> list[Result]:
        """Run `statements` in order, each within `timeout_s`."""
        return [self.run(statement, timeout_s) for statement in statements]

    def set(self, key: str, value: str) -> None:
        """SET an option for the statements that follow."""
        self.run(f"SET '{_quoted(key)}' = '{_quoted(value)}'")

    def reset(self, key: str) -> None:
        """RESET an option to the session's default."""
        self.run(f"RESET '{_quoted(key)}'")

    def _fetch(self, path: str, timeout_s: float) -> Result:
        columns: tuple[str, ...] = ()
        rows: list[tuple[Any, ...]] = []
        job_id: str | None = None
        deadline = self._clock.monotonic() + timeout_s
        token: int | None = 0
        while token is not None:
            page = self._page(path, token, deadline - self._clock.monotonic(), timeout_s)
            job_id = page.get("jobID") or job_id
            results = page.get("results") or {}
            columns = columns or tuple(column["name"] for column in results.get("columns", ()))
            rows.extend(tuple(row["fields"]) for row in results.get("data", ()))
            token = None if page["resultType"] == "EOS" else next_token(page.get("nextResultUri"))
        return Result(columns, tuple(rows), job_id)

    def _page(self, path: str, token: int, left_s: float, timeout_s: float) -> dict[str, Any]:
        """Wait for page `token`: until it is there the gateway names the same page as the next one."""
        page = wait_until(
            lambda: self._gateway.call("GET", f"{path}/result/{token}?rowFormat=JSON"),
            lambda page: not _is_same(page, token),
            left_s,
            POLL_FIRST_S,
            self._clock,
            slower=1.5,
            poll_max_s=POLL_MAX_S,
        )
        if _is_same(page, token):
            raise GatewayTimeoutError(f"SQL statement did not end within {timeout_s:.0f} s; cancelled")
        return page


def _is_same(page: Mapping[str, Any], token: int) -> bool:
    return page["resultType"] != "EOS" and next_token(page.get("nextResultUri")) == token


def next_token(uri: str | None) -> int | None:
    """The page number in `…/result/<n>?rowFormat=JSON`, or None at the end."""
    match = re.search(r"/result/(\d+)", uri or "")
    return int(match.group(1)) if match else None


def _quoted(text: str) -> str:
    return text.replace("'", "''")
