"""Reconciles the lake's database and tables with `sql/tables/`: create, repair what loses nothing, report the rest.

Both sides are compared as Flink prints them (SHOW CREATE TABLE): the wanted table is declared as a temporary one, so
that no parser of our own decides whether two types are equal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from upbit_lake.contract.model import Contract
from upbit_lake.contract.settings import Settings
from upbit_lake.contract.sql_files import load_statements, sql_variables
from upbit_lake.engines.flink.gateway import GatewayError, GatewaySession
from upbit_lake.engines.lake.files import created_ms
from upbit_lake.engines.s3 import ObjectStore
from upbit_lake.reconcile.outcome import UNCHANGED, Outcome, State, created

# Paimon cannot change these on a table that holds data.
FIXED_OPTIONS = frozenset({"bucket", "bucket-key", "merge-engine", "sequence.field", "primary-key", "partition"})
# Written by Paimon or Flink themselves.
FOREIGN_OPTIONS = frozenset({"path", "connector", "owner"})

_COLUMN = re.compile(r"^\s+`(?P<name>(?:[^`]|``)+)` (?P<type>.+?),?$")
_KEY = re.compile(r"PRIMARY KEY \((?P<columns>.+)\) NOT ENFORCED")
_PARTITION = re.compile(r"^PARTITIONED BY \((?P<columns>.+)\)$")
_OPTION = re.compile(r"^\s+'(?P<key>(?:[^']|'')+)' = '(?P<value>(?:[^']|'')*)',?$")


@dataclass(frozen=True)
class TableShape:
    """A table as SHOW CREATE TABLE prints it. A type without NOT NULL is nullable."""

    columns: tuple[tuple[str, str], ...]
    primary_key: str
    partition_keys: str
    options: Mapping[str, str]


@dataclass(frozen=True)
class TablePlan:
    """What to do about one table: statements that lose nothing (with what they cure), and what stays as it is."""

    repairs: tuple[tuple[str, str], ...] = ()
    drift: tuple[str, ...] = field(default=())

    @property
    def unchanged(self) -> bool:
        """True when the table is as its file says."""
        return not (self.repairs or self.drift)


def parse_shape(text: str) -> TableShape:
    """The shape in the answer of SHOW CREATE TABLE."""
    columns: list[tuple[str, str]] = []
    options: dict[str, str] = {}
    key = partition = ""
    for line in text.splitlines():
        if match := _KEY.search(line):
            key = match["columns"]
        elif match := _PARTITION.match(line):
            partition = match["columns"]
        elif match := _OPTION.match(line):
            options[match["key"]] = match["value"]
        elif match := _COLUMN.match(line):
            columns.append((match["name"], match["type"]))
    return TableShape(tuple(columns), key, partition, options)


def plan_table(path: str, wanted: TableShape, found: TableShape) -> TablePlan:
    """Compare the table at `path` (quoted name) with what its file says."""
    repairs: list[tuple[str, str]] = []
    drift: list[str] = []
    _plan_columns(path, wanted, found, repairs, drift)
    for what, want, have in (
        ("primary key", wanted.primary_key, found.primary_key),
        ("partitions", wanted.partition_keys, found.partition_keys),
    ):
        if want != have:
            drift.append(f"{what} {have or 'none'}, the file says {want or 'none'}")
    _plan_options(path, wanted, found, repairs, drift)
    return TablePlan(tuple(repairs), tuple(drift))


def _plan_columns(
    path: str, wanted: TableShape, found: TableShape, repairs: list[tuple[str, str]], drift: list[str]
) -> None:
    if wanted.columns == found.columns:
        return
    common, added = wanted.columns[: len(found.columns)], wanted.columns[len(found.columns) :]
    if common == found.columns and not any(kind.endswith("NOT NULL") for _, kind in added):
        names = ", ".join(name for name, _ in added)
        clause = ", ".join(f"`{name}` {kind}" for name, kind in added)
        repairs.append((f"ALTER TABLE {path} ADD ({clause})", f"column {names} was missing"))
        return
    want, have = dict(wanted.columns), dict(found.columns)
    for name in [*have, *(new for new in want if new not in have)]:
        if want.get(name) != have.get(name):
            drift.append(f"column {name} is {have.get(name, 'missing')}, the file says {want.get(name, 'no such')}")
    if not drift:
        drift.append("columns stand in another order than in the file")


def _plan_options(
    path: str, wanted: TableShape, found: TableShape, repairs: list[tuple[str, str]], drift: list[str]
) -> None:
    for key, value in wanted.options.items():
        have = found.options.get(key)
        if have == value:
            continue
        what = f"{key} was {have or 'unset'}, the file says {value}"
        if key in FIXED_OPTIONS:
            drift.append(f"{what} (cannot be changed in place)")
        else:
            repairs.append((f"ALTER TABLE {path} SET ('{key}' = '{value}')", what))
    for key in sorted(found.options.keys() - wanted.options.keys() - FOREIGN_OPTIONS):
        what = f"{key} was {found.options[key]}, the file does not set it"
        if key in FIXED_OPTIONS:
            drift.append(f"{what} (cannot be changed in place)")
        else:
            repairs.append((f"ALTER TABLE {path} RESET ('{key}')", what))


def reconcile_database(session: GatewaySession, contract: Contract, dry_run: bool = False) -> Outcome:
    """Create the lake's database when it is missing; gives the outcome."""
    catalog, database = contract.lake.catalog, contract.lake.database
    if database in {row[0] for row in session.run(f"SHOW DATABASES IN `{catalog}`").rows}:
        return UNCHANGED
    if not dry_run:
        session.run(f"CREATE DATABASE IF NOT EXISTS `{catalog}`.`{database}`")
    return created(dry_run)


def reconcile_tables(
    session: GatewaySession,
    contract: Contract,
    settings: Settings,
    s3: ObjectStore,
    repair: bool = True,
    dry_run: bool = False,
) -> dict[str, Outcome]:
    """Create missing tables and repair drift that loses nothing; gives table → outcome.

    A table that lies in the warehouse (asked through `s3`) and not in the catalog is entered into it
    with all its rows: the catalog was lost. Never destructive: what cannot be changed in place is reported as drift.
    """
    catalog, database = contract.lake.catalog, contract.lake.database
    databases = {row[0] for row in session.run(f"SHOW DATABASES IN `{catalog}`").rows}
    present = set()
    if database in databases:
        present = {row[0] for row in session.run(f"SHOW TABLES IN `{catalog}`.`{database}`").rows}
    act = repair and not dry_run
    outcome = {}
    for table in contract.tables:
        (ddl,) = load_statements(contract.root / "sql" / "tables" / f"{table}.sql", sql_variables(contract, settings))
        if table in present:
            outcome[table] = _reconcile(session, contract, table, ddl, act)
        elif created_ms(s3, contract.lake, table) is not None:
            outcome[table] = _enter(session, contract, table, ddl, act)
        else:
            if not dry_run:
                session.run(ddl)
            outcome[table] = created(dry_run)
    return outcome


def _enter(session: GatewaySession, contract: Contract, table: str, ddl: str, act: bool) -> Outcome:
    """Make a table of the warehouse known to the catalog, which does not name it; gives the outcome."""
    what = "was in the warehouse and not in the catalog"
    if not act:
        return Outcome(State.DRIFT, drift=(what,), note="repair is off")
    session.run(f"CALL `{contract.lake.catalog}`.sys.repair('{contract.lake.database}.{table}')")
    rest = _reconcile(session, contract, table, ddl, act)
    return Outcome.of(rest.drift, (what, *rest.changes))


def _reconcile(session: GatewaySession, contract: Contract, table: str, ddl: str, act: bool) -> Outcome:
    path = f"`{contract.lake.catalog}`.`{contract.lake.database}`.`{table}`"
    plan = plan_table(path, _wanted_shape(session, table, ddl), _shape(session, path))
    if plan.unchanged:
        return UNCHANGED
    drift, repaired = list(plan.drift), list[str]()
    for statement, what in plan.repairs:
        failure = _try(session, statement) if act else "repair is off"
        (drift if failure else repaired).append(f"{what} ({failure})" if failure else what)
    return Outcome.of(tuple(drift), tuple(repaired))


def _try(session: GatewaySession, statement: str) -> str | None:
    try:
        session.run(statement)
    except GatewayError as error:
        return str(error)
    return None


def _wanted_shape(session: GatewaySession, table: str, ddl: str) -> TableShape:
    name = f"wanted_{table}"
    declared, count = re.subn(
        r"CREATE\s+TABLE\s+IF\s+NOT\s+EXISTS\s+\S+", f"CREATE TEMPORARY TABLE IF NOT EXISTS {name}", ddl, count=1
    )
    if not count:
        raise GatewayError(f"sql/tables/{table}.sql: must begin with CREATE TABLE IF NOT EXISTS")
    session.run(declared)
    return _shape(session, f"`{name}`")


def _shape(session: GatewaySession, path: str) -> TableShape:
    return parse_shape(str(session.run(f"SHOW CREATE TABLE {path}").rows[0][0]))
