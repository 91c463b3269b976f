"""`./pipeline status`: the processes of this home, and the control plane's one look at everything else."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from local import door
from local.errors import last_words
from local.home.setting import Setting
from local.parts import airflow, assembly, control_database
from local.parts.part import Part
from local.processes.supervisor import Supervisor

Section = list[dict[str, Any]]
Document = dict[str, Any]

# What `python -m upbit_lake status` ends with when it answers, and this command too.
HEALTHY, NOT_HEALTHY = 0, 3
# Of the document, as docs/status.schema.json says.
VERSION = 1
WATCH_EVERY_S = 5.0


def show(setting: Setting, console: Console, *, as_json: bool, watch: bool = False) -> int:
    """Prints the state, again and again until it is interrupted when `watch`; returns 0 when all is healthy, else 3."""
    code = _show_once(setting, console, as_json=as_json)
    with suppress(KeyboardInterrupt):
        while watch:
            time.sleep(WATCH_EVERY_S)
            if not as_json:
                console.clear()
            code = _show_once(setting, console, as_json=as_json)
    return code


def _show_once(setting: Setting, console: Console, *, as_json: bool) -> int:
    found = state(setting)
    if as_json:
        print(json.dumps(found, indent=1), flush=True)
    else:
        for title, section in sections(found).items():
            console.print(_table(title, section))
        console.print("healthy" if found["healthy"] else "not healthy")
    return HEALTHY if found["healthy"] else NOT_HEALTHY


def state(setting: Setting) -> Document:
    """The state as docs/status.schema.json describes it; raises PipelineError: see `control_database`."""
    with ThreadPoolExecutor(3) as pool:
        accepted = pool.submit(control_database.refuse_newer, setting)
        looked, running = pool.submit(look, setting), pool.submit(processes, setting)
        accepted.result()
        return with_processes(looked.result(), running.result())


def look(setting: Setting) -> Document:
    """What the control plane says, or that it says nothing, and why."""
    of_home = door.of_home(setting, airflow.environment(setting))
    try:
        done = of_home.run("status", "--json")
    except OSError as error:
        return silent(f"{error.strerror}: {of_home.python}")
    if done.returncode not in (HEALTHY, NOT_HEALTHY):
        return silent(last_words(done))
    return dict(json.loads(done.stdout))


def silent(reason: str) -> Document:
    """The look of a control plane that cannot look."""
    engine = {"engine": "control plane", "answers": False, "says": reason, "seconds": 0.0}
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return {"version": VERSION, "at": at, "healthy": False, "engines": [engine]}


def with_processes(look: Mapping[str, Any], running: Section) -> Document:
    """The look with the processes in it; what is not running is not healthy, whatever answers."""
    healthy = bool(look["healthy"]) and all(process["healthy"] for process in running)
    return {**look, "healthy": healthy, "processes": running}


def processes(setting: Setting) -> Section:
    """State, pid, age (s), ports and health of each part."""
    supervisor = Supervisor(setting.places)
    known = supervisor.processes() if supervisor.is_up() else {}

    def one(part: Part) -> dict[str, Any]:
        info = known.get(part.name, {})
        runs = info.get("statename") in ("RUNNING", "STARTING")
        return {
            "name": part.name,
            "state": info.get("statename", "DOWN"),
            "pid": info.get("pid") or None,
            "age_s": info["now"] - info["start"] if runs else None,
            "ports": [setting.ports[name] for name in part.ports],
            "healthy": runs and part.ready(),
        }

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(one, assembly.parts(setting).values()))


def sections(found: Document) -> dict[str, Section]:
    """The tables of the document, the processes first."""
    tables = {"processes": found["processes"]}
    for title, value in found.items():
        if isinstance(value, dict):
            tables[title] = [value]
        elif isinstance(value, list) and title not in tables:
            tables[title] = value
    return tables


def _table(title: str, section: Section) -> Table:
    table = Table(title=title.replace("_", " "), title_justify="left")
    for name in section[0] if section else ("none",):
        table.add_column(name.replace("_", " "))
    for row in section:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    return table
