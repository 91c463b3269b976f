"""The control database in memory: what the statements of sql/postgres do, by their names.

tests/contract holds it against PostgreSQL. It knows the statements that unit tests need; another one is an error.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from psycopg.types.json import Jsonb

from tests.twins.clock import HandClock
from upbit_lake.engines.postgres import Row

Table = dict[tuple[Any, ...], Row]
WINDOW = ("topic", "topic_id", "partition", "start", "end", "began_ms", "received_until")
GAP = (
    *("topic", "topic_id", "partition", "start", "end", "kind"),
    *("first_dt", "first_hh", "last_dt", "last_hh", "event_key", "reason"),
)
VERDICT = ("level", "table", "dt", "hh", "market", "status", "reason", "details")
RUN = ("job_id", "name", "started_from", "fingerprint", "topic_ids", "table_ids", "submitted_at")


class DatabaseTwin:
    """A Database. `clock`: what PostgreSQL's now() is."""

    def __init__(self, clock: HandClock | None = None) -> None:
        self.clock = clock or HandClock(1_800_000_000.0)
        self._tables: dict[str, Table] = {}
        self._ids = count(1)
        # 001_control.sql and its followers are there.
        self._statements: dict[str, Callable[[Mapping[str, Any]], list[Row]]] = {
            "versions/newest": lambda _: [{"version": 1}],
            "alarms/open": self._open_alarm,
            "alarms/close": self._close_alarm,
            "alarms/still_open": self._open_alarms,
            "leases/acquire": self._acquire,
            "leases/holder": self._holder,
            "leases/held": self._held,
            "leases/release": self._release,
            "job_runs/bootstrapped": lambda _: [{"bootstrapped": bool(self._table("job_run"))}],
            "job_runs/remember": self._remember,
            "job_runs/forget": lambda v: self._delete("job_run", lambda row: row["job_id"] == v["job_id"]),
            "job_runs/of_job": self._runs,
            "hours/set_closed": lambda v: self._set_hour(v, "closed"),
            "hours/set_verified": lambda v: self._set_hour(v, "verified"),
            "hours/fingerprints": lambda _: list(self._table("hour_state").values()),
            "audits/save_window": self._save_window,
            "audits/windows": self._windows,
            "audits/save_gap": self._save_gap,
            "audits/forget_gaps": lambda v: self._delete("gap", lambda row: row["topic"] == v["topic"]),
            "audits/gaps": self._gaps,
            "verdicts/save": self._save_verdict,
            "verdicts/all": self._verdicts,
            "maintenance_runs/last": lambda v: self._named("maintenance_run", v["name"]),
            "maintenance_runs/set": lambda v: self._put("maintenance_run", (v["name"],), {"at": v["at"]}),
        }

    def name(self) -> str:
        return "pipeline"

    def query(self, name: str, values: Mapping[str, Any] | None = None) -> list[Row]:
        plain = {key: value.obj if isinstance(value, Jsonb) else value for key, value in (values or {}).items()}
        return [dict(row) for row in self._statements[name](plain)]

    def query_each(self, name: str, values: Iterable[Mapping[str, Any]]) -> None:
        with self.transaction():
            for item in values:
                self.query(name, item)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        before = copy.deepcopy(self._tables)
        try:
            yield
        except BaseException:
            self._tables = before
            raise

    def close(self) -> None:
        pass

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.now(), UTC)

    def _table(self, name: str) -> Table:
        return self._tables.setdefault(name, {})

    def _put(self, table: str, key: tuple[Any, ...], row: Row) -> list[Row]:
        self._table(table)[key] = row
        return []

    def _delete(self, table: str, chosen: Callable[[Row], bool]) -> list[Row]:
        for key in [key for key, row in self._table(table).items() if chosen(row)]:
            del self._table(table)[key]
        return []

    def _named(self, table: str, name: str) -> list[Row]:
        return [row for key, row in self._table(table).items() if key == (name,)]

    def _open_alarm(self, v: Mapping[str, Any]) -> list[Row]:
        if (v["subject"],) in self._table("alarm"):
            return []
        self._put("alarm", (v["subject"],), {"subject": v["subject"], "text": v["text"], "opened_at": self._now()})
        return [{"id": next(self._ids)}]

    def _close_alarm(self, v: Mapping[str, Any]) -> list[Row]:
        closed = self._table("alarm").pop((v["subject"],), None)
        return [{"id": next(self._ids)}] if closed else []

    def _open_alarms(self, _: Mapping[str, Any]) -> list[Row]:
        return sorted(self._table("alarm").values(), key=lambda row: row["opened_at"])

    def _acquire(self, v: Mapping[str, Any]) -> list[Row]:
        found = self._table("lease").get((v["name"],))
        if found and found["owner"] != v["owner"] and found["expires_at"] >= self._now():
            return []
        expires = self._now() + timedelta(seconds=v["seconds"])
        self._put("lease", (v["name"],), {"name": v["name"], "owner": v["owner"], "expires_at": expires})
        return [{"owner": v["owner"]}]

    def _held(self, _: Mapping[str, Any]) -> list[Row]:
        held = [row for row in self._table("lease").values() if row["expires_at"] >= self._now()]
        return sorted(held, key=lambda row: row["name"])

    def _holder(self, v: Mapping[str, Any]) -> list[Row]:
        return [{"owner": r["owner"], "expires_at": r["expires_at"]} for r in self._held(v) if r["name"] == v["name"]]

    def _release(self, v: Mapping[str, Any]) -> list[Row]:
        return self._delete("lease", lambda row: (row["name"], row["owner"]) == (v["name"], v["owner"]))

    def _remember(self, v: Mapping[str, Any]) -> list[Row]:
        known = self._table("job_run").get((v["job_id"],))
        if known:
            known |= {name: v[name] for name in ("fingerprint", "topic_ids", "table_ids")}
            return []
        row = {name: v.get(name) for name in RUN} | {"submitted_at": self._now(), "order": next(self._ids)}
        return self._put("job_run", (v["job_id"],), row)

    def _runs(self, v: Mapping[str, Any]) -> list[Row]:
        found = [row for row in self._table("job_run").values() if row["name"] == v["name"]]
        newest_first = sorted(found, key=lambda row: row["order"], reverse=True)
        return [{name: row[name] for name in RUN} for row in newest_first]

    def _set_hour(self, v: Mapping[str, Any], which: str) -> list[Row]:
        key = (v["table"], v["dt"], v["hh"])
        empty = {"table_name": v["table"], "dt": v["dt"], "hh": v["hh"], "closed": None, "verified": None}
        return self._put("hour_state", key, self._table("hour_state").get(key, empty) | {which: v["fingerprint"]})

    def _save_window(self, v: Mapping[str, Any]) -> list[Row]:
        key = (v["topic"], v["topic_id"], v["partition"], v["start"])
        known = self._table("window").get(key)
        row = {name: v[name] for name in WINDOW} | {"at": v["at"]}
        if known:
            row |= {"end": max(known["end"], v["end"]), "began_ms": known["began_ms"]}
        return self._put("window", key, row)

    def _windows(self, v: Mapping[str, Any]) -> list[Row]:
        found = [row for row in self._table("window").values() if row["topic"] == v["topic"]]
        ordered = sorted(found, key=lambda row: (row["at"], row["partition"], row["start"]))
        return [{name: row[name] for name in WINDOW} for row in ordered]

    def _save_gap(self, v: Mapping[str, Any]) -> list[Row]:
        return self._put("gap", (next(self._ids),), {name: v[name] for name in GAP})

    def _gaps(self, v: Mapping[str, Any]) -> list[Row]:
        found = [row for row in self._table("gap").values() if row["topic"] == v["topic"]]
        return sorted(found, key=lambda row: (row["topic_id"], row["partition"], row["start"]))

    def _save_verdict(self, v: Mapping[str, Any]) -> list[Row]:
        key = (v["level"], v["table"], v["dt"], v["hh"], v["market"])
        return self._put("verdict", key, {name: v[name] for name in VERDICT})

    def _verdicts(self, v: Mapping[str, Any]) -> list[Row]:
        found = [row for row in self._table("verdict").values() if v["level"] in (None, row["level"])]
        return sorted(found, key=lambda row: (row["dt"], row["hh"], row["table"], row["level"], row["market"]))
