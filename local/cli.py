"""Commands of `./pipeline`: each hands over to its module, which is imported only then."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from local.errors import PipelineError
from local.home import source
from local.home.places import Places
from local.home.setting import Setting
from local.parts import assembly

# Characters.
PIPE_WIDTH = 160

Command = Callable[[Places, argparse.Namespace, Console], int]


def run(places: Places, options: argparse.Namespace) -> int:
    """Runs one command and returns its exit code. Raises PipelineError."""
    # A pipe has no width: tables are then as wide as a log line may be.
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return _COMMANDS[options.command](places, options, Console(soft_wrap=True, highlight=False, width=width))


def _up(places: Places, options: argparse.Namespace, console: Console) -> int:
    from local.commands.up import Wanted, up

    up(places, Wanted(options.source, options.speed, options.start, options.only), console)
    return 0


def _down(places: Places, options: argparse.Namespace, console: Console) -> int:
    from local.commands.down import down

    down(places, console, purge=options.purge, confirmed=options.yes)
    return 0


def _status(places: Places, options: argparse.Namespace, console: Console) -> int:
    from local.commands import status

    return status.show(_setting(places), console, as_json=options.json, watch=options.watch)


def _query(places: Places, options: argparse.Namespace, _: Console) -> int:
    from local.commands.query import print_rows

    print_rows(_setting(places), options.sql, options.format)


def _sql(places: Places, options: argparse.Namespace, _: Console) -> int:
    from local.commands.sql import open_client

    open_client(_setting(places), options.arguments)


def _logs(places: Places, options: argparse.Namespace, _: Console) -> int:
    path = places.logs / f"{options.name}.log"
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in places.logs.glob("*.log"))) or "none yet"
        raise PipelineError(f"no log of {options.name!r}: there is {known}")
    os.execvp("tail", ["tail", "-n", "200", *(["-F"] if options.follow else []), "--", str(path)])


def _test(places: Places, options: argparse.Namespace, console: Console) -> int:
    from local.commands.test import run_suite

    return run_suite(places, options.suite, console)


def _bench(places: Places, options: argparse.Namespace, console: Console) -> int:
    from local.bench.run import Wanted, bench

    output = Path(options.output) if options.output else places.home.with_name("bench")
    bench(places, Wanted(options.seconds, options.runs, options.rates, options.peer, output.absolute()), console)
    return 0


def _install(places: Places, options: argparse.Namespace, console: Console) -> int:
    from local.software.install import install, parts_named

    install(places, parts_named(places, options.names), console)
    return 0


def _lock(places: Places, _: argparse.Namespace, console: Console) -> int:
    from local.software.lock_files import lock_everything

    lock_everything(places, console)
    return 0


def _setting(places: Places) -> Setting:
    chosen = source.load(places)
    if chosen is None:
        raise PipelineError(f"nothing was started in {places.home} yet: run ./pipeline up")
    return assembly.setting(places, chosen)


def _secrets(places: Places, options: argparse.Namespace, console: Console) -> int:
    from local.home.dot_env import write

    console.print(write(places.repository / ".env", exchange=options.exchange))
    return 0


_COMMANDS: dict[str, Command] = {
    "up": _up,
    "down": _down,
    "status": _status,
    "query": _query,
    "sql": _sql,
    "logs": _logs,
    "test": _test,
    "bench": _bench,
    "install": _install,
    "lock": _lock,
    "secrets": _secrets,
}
