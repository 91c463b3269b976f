"""REST of the exchange: one request at a time, within the budget of 10 a second, refusals obeyed.

`requests` is synchronous and runs in one thread of its own; the event loop only waits for it.
"""

import asyncio
import logging
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import requests

from upbit_ingester.backoff import stated_wait_s
from upbit_ingester.health.metrics import Metrics
from upbit_ingester.upbit.budgets import Budgets

log = logging.getLogger(__name__)

RETRIES = 4
FIRST_RETRY_S = 0.5
_TIMEOUT_S = (3.05, 10.0)
_REMAINING_SECONDS = re.compile(r"sec=([0-9]+)")


class RestError(Exception):
    """A request that failed for good; one line, naming the request and the answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status 0 means that no answer came; then `body` holds the reason."""

    status: int
    body: bytes
    wait_s: float = 0.0  # how long the answer asks to stay away
    remaining: int | None = None  # requests left in this second


def retry_wait_s(answer: Answer, attempt: int) -> float | None:
    """The wait in seconds before attempt `attempt` + 1 (from 0), or None when the request is final.

    418 is never retried, other 4xx mean that the request is wrong.
    """
    if attempt >= RETRIES or answer.status == 418 or (400 <= answer.status < 500 and answer.status != 429):
        return None
    return max(min(answer.wait_s, 60.0), FIRST_RETRY_S * float(2**attempt))


class Rest(Protocol):
    """The market list and the refetch need no more of REST than this."""

    async def get(self, path: str, **parameters: str | int) -> bytes:
        """The body of GET `path`; raises RestError."""


class RestClient:
    """The client asks by GET within the budget, retries, and obeys refusals. All public calls run on the event loop."""

    def __init__(self, base_url: str, metrics: Metrics, budgets: Budgets) -> None:
        self._base_url = base_url
        self._metrics = metrics
        self._budgets = budgets
        self._session = requests.Session()  # sends no Origin header: that would cost all but 1 request in 10 s
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="rest")

    async def get(self, path: str, **parameters: str | int) -> bytes:
        """The body of GET `path`.

        Raises:
            RestError: refused, or failed after all retries.
        """
        attempt = 0
        while True:
            answer = await self._once(path, parameters)
            if answer.status == 200:
                return answer.body
            if answer.wait_s:
                self._budgets.refused(self._budgets.requests, answer.status, answer.wait_s)
            wait = retry_wait_s(answer, attempt)
            if wait is None:
                text = answer.body[:200].decode("utf-8", "replace")
                raise RestError(f"GET {path} {parameters}: {answer.status or 'no answer'} {' '.join(text.split())}")
            attempt += 1
            await asyncio.sleep(wait)

    async def _once(self, path: str, parameters: dict[str, str | int]) -> Answer:
        await self._budgets.turn(self._budgets.requests)
        answer = await asyncio.get_running_loop().run_in_executor(self._executor, self._request, path, parameters)
        self._metrics.rest_requests[str(answer.status or "error")] += 1
        if answer.remaining == 0:
            await asyncio.sleep(1.0)  # another program on this address uses the same budget
        return answer

    def _request(self, path: str, parameters: dict[str, str | int]) -> Answer:
        try:
            response = self._session.get(f"{self._base_url}{path}", params=parameters, timeout=_TIMEOUT_S)
        except requests.RequestException as error:
            return Answer(0, type(error).__name__.encode())
        remaining = _REMAINING_SECONDS.search(response.headers.get("Remaining-Req", ""))
        return Answer(
            response.status_code,
            response.content,
            stated_wait_s(response.status_code, response.headers, response.text[:500])
            if response.status_code in (418, 429)
            else 0.0,
            int(remaining.group(1)) if remaining else None,
        )

    def close(self) -> None:
        """Let a running request go; it is not waited for."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._session.close()
