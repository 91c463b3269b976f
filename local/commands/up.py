"""`./pipeline up` installs, starts, bootstraps by Airflow, waits for rows and prints the summary."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.console import Console

from local import contract
from local.commands import bootstrap
from local.commands.summary import print_summary
from local.errors import PipelineError, last_words
from local.home import ingester_settings, source
from local.home.environment import for_parts
from local.home.exclusive import exclusive
from local.home.places import Places
from local.home.setting import Setting
from local.parts import assembly, exchange, ingester
from local.parts.part import Part
from local.processes import orphans
from local.processes.start import Starter
from local.processes.supervisor import Supervisor
from local.software.install import FREE_BYTES_TO_INSTALL, install, missing, parts_to_run

# GiB. A new home writes its topics, its ledger and a first day of lake; a home that ran has written most of it.
FREE_FOR_A_NEW_HOME = 8
FREE_FOR_A_USED_HOME = 2


@dataclass(frozen=True)
class Wanted:
    """What the user asked for.

    Attributes:
        source, speed, start: see `local.home.source`; None = as recorded, or the default.
        only: parts or groups to start without a bootstrap, empty = everything.
    """

    source: str | None = None
    speed: float | None = None
    start: str | None = None
    only: tuple[str, ...] = ()


def up(places: Places, wanted: Wanted, console: Console) -> None:
    """Brings the pipeline to its full state from whatever state it is in, then returns.

    Raises:
        PipelineError: one line naming what is in the way and the cure; the next `up` goes on from there.
    """
    began = time.monotonic()
    with exclusive(places):
        contract.refuse_broken(places)
        chosen, sentence = source.choose(places, wanted.source, wanted.speed, wanted.start, datetime.now(UTC))
        software = parts_to_run(places)
        refuse_full_disk(places, os.environ, to_install=bool(missing(places, software)))
        install(places, software, console)
        setting = assembly.setting(places, chosen)
        parts = assembly.parts(setting)
        to_start = _to_start(places, parts, wanted)
        refuse_wrong_settings(setting, console)
        source.record(places, chosen)
        setting.ports.record(places)
        ingester_settings.record(places, setting.ingester)
        console.print(sentence)
        supervisor, restarted = adopt_or_start(places, parts, console)
        Starter(
            places, setting.ports, supervisor, lambda name, s: console.print(f"  {name} ready after {s:.0f} s")
        ).start({name: part for name, part in parts.items() if name in to_start or name in restarted})
        if wanted.only:
            return
        bootstrap.run(setting, console)
        places.bootstrapped.touch()
        bootstrap.wait_for_rows(setting)
    print_summary(setting, console, time.monotonic() - began)


def refuse_full_disk(places: Places, environment: Mapping[str, str], *, to_install: bool) -> None:
    """Raises PipelineError when the home's disk has less than is needed, or than PIPELINE_MIN_FREE_GIB."""
    needed = float(FREE_FOR_A_USED_HOME if places.bootstrapped.exists() else FREE_FOR_A_NEW_HOME)
    needed += FREE_BYTES_TO_INSTALL / 2**30 if to_install else 0
    text = environment.get("PIPELINE_MIN_FREE_GIB") or str(needed)
    try:
        needed = float(text)
    except ValueError:
        raise PipelineError(f"PIPELINE_MIN_FREE_GIB={text!r} is not a number: give GiB, for example 8") from None
    free = shutil.disk_usage(places.home).free / 2**30
    if not free >= needed:
        raise PipelineError(
            f"{free:.1f} GiB free at {places.home}, {needed:g} are needed: free the disk, move PIPELINE_HOME, "
            "or lower PIPELINE_MIN_FREE_GIB if the data is small"
        )


def refuse_wrong_settings(setting: Setting, console: Console) -> None:
    """Asks the parts that read settings of the user's whether they can work with them, before anything starts.

    What a part warns of is printed.

    Raises:
        PipelineError: in the part's own words: a broken line of the recording, an unknown stream or code.
    """
    asked = [ingester.part(setting)]
    if setting.source.kind == "file":
        asked.append(exchange.part(setting))
    for part in asked:
        environment = {**for_parts(os.environ), **part.environment}
        done = subprocess.run([*part.command, "--check"], env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise PipelineError(last_words(done))
        if done.stderr:
            console.print(done.stderr.strip(), markup=False, soft_wrap=True)


def adopt_or_start(places: Places, parts: dict[str, Part], console: Console) -> tuple[Supervisor, list[str]]:
    """Returns this home's supervisor with today's configuration and the running parts that it stopped for that.

    Ends what an earlier crash left unwatched.
    """
    supervisor = Supervisor(places)
    if not supervisor.is_up():
        left = orphans.find(places)
        if left:
            console.print(f"ending {len(left)} orphans of a crashed run: {', '.join(sorted({p.name() for p in left}))}")
            orphans.end(left)
        places.supervisor_socket.unlink(missing_ok=True)
        orphans.sweep(places)
    restarted = supervisor.load(parts.values())
    for name in restarted:
        console.print(f"  {name} restarts: its configuration, software or code changed")
    return supervisor, restarted


def _to_start(places: Places, parts: dict[str, Part], wanted: Wanted) -> list[str]:
    """On the very first start the ingester is left to `bootstrap_pipeline`, which makes its topics first."""
    unknown = [n for n in wanted.only if n not in parts and n not in assembly.GROUPS]
    if unknown:
        raise PipelineError(f"--only {','.join(unknown)} is unknown: use {', '.join([*assembly.GROUPS, *parts])}")
    names = assembly.expand(list(wanted.only), parts) if wanted.only else list(parts)
    if not wanted.only and not places.bootstrapped.exists():
        names.remove("ingester")
    return names
