"""Names in an hour's verdict what the ingester missed of that hour."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from upbit_lake.state.ingester_gaps import IngesterGap
from upbit_lake.state.verdicts import HourVerdict


def with_gaps(verdict: HourVerdict, gaps: Iterable[IngesterGap]) -> HourVerdict:
    """The verdict, naming what of its hour the ingester missed; the status stays, it judges what the lake holds."""
    hour = verdict.hour
    found = [gap for gap in gaps if gap.overlaps(hour.start_ms, hour.end_ms)]
    if not found:
        return verdict
    causes = ", ".join(sorted({gap.cause for gap in found}))
    reason = f"{verdict.reason}; the ingester missed a part of it: {len(found)} gaps ({causes})"
    details = [[gap.code, gap.last_seen_ms, gap.first_seen_ms, gap.cause] for gap in found]
    return replace(verdict, reason=reason, details={**verdict.details, "ingester_gaps": details})
