"""What the ingester says that it missed: taken over into PostgreSQL each minute, named by the verdicts of the hours."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace

import requests

from upbit_lake.engines.postgres import Connection, query
from upbit_lake.state.verdicts import IngesterGap, Verdict

log = logging.getLogger(__name__)

TIMEOUT_S = 5.0


def take_over(db: Connection, url: str) -> None:
    """Make the table `ingester_gap` what the ingester at `url` reports. When it does not answer nothing changes."""
    try:
        answer = requests.get(f"{url}/gaps", timeout=TIMEOUT_S)
    except requests.RequestException as error:
        log.warning("the ingester's gaps: %s", error)
        return
    if answer.status_code == 200:
        query(db, "save_ingester_gaps", {"gaps": answer.text})


def with_gaps(verdict: Verdict, gaps: Iterable[IngesterGap]) -> Verdict:
    """The verdict, naming what of its hour the ingester missed; the status stays, it judges what the lake holds."""
    hour = verdict.hour
    found = [gap for gap in gaps if gap.overlaps(hour.start_ms, hour.end_ms)]
    if not found:
        return verdict
    causes = ", ".join(sorted({gap.cause for gap in found}))
    reason = f"{verdict.reason}; the ingester missed a part of it: {len(found)} gaps ({causes})"
    details = [[gap.code, gap.last_seen_ms, gap.first_seen_ms, gap.cause] for gap in found]
    return replace(verdict, reason=reason, details={**verdict.details, "ingester_gaps": details})
