"""The command line of `./pipeline`. Standard library only: `--help` works before anything is installed."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn, TypeAlias

from local.errors import PipelineError

Commands: TypeAlias = "argparse._SubParsersAction[_Parser]"

SUITES = ("all", "lint", "dags", "unit", "integration", "e2e", "compose", "nightly")


class _Parser(argparse.ArgumentParser):
    """Answers a wrong command line with one line, as every other error."""

    def error(self, message: str) -> NoReturn:
        raise PipelineError(f"{message}: see {self.prog} --help")


def parse(arguments: list[str]) -> argparse.Namespace:
    """The chosen command (`command`) and its options. Raises PipelineError; `--help` leaves by SystemExit."""
    parser = _parser()
    if not arguments:
        parser.print_help(sys.stderr)
        raise SystemExit(2)
    options, rest = parser.parse_known_args(arguments)
    if options.command == "sql":
        options.arguments = rest
    elif rest:
        raise PipelineError(f"{options.command} does not know {rest[0]}: see ./pipeline {options.command} --help")
    return options


def _parser() -> _Parser:
    parser = _Parser(prog="./pipeline", description="The Upbit lakehouse pipeline on this machine.", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    _add_up(commands)
    down = _add(commands, "down", "drain and end every process")
    down.add_argument("--purge", action="store_true", help="delete this home's data too")
    down.add_argument("--yes", action="store_true", help="do not ask")
    status = _add(commands, "status", "the health of everything: processes, engines, streams, jobs, verdicts")
    status.add_argument("--json", action="store_true", help="for programs: docs/status.schema.json")
    status.add_argument("--watch", action="store_true", help="look again and again, until ^C")
    query = _add(commands, "query", "read the lake, no JVM")
    query.add_argument("sql", help='for example "SELECT count(*) FROM trade"')
    query.add_argument("--format", choices=("table", "json", "csv"), default="table")
    _add(commands, "sql", "Flink's SQL client with catalog and sources; options go to it (-f FILE runs a file)")
    logs = _add(commands, "logs", "a part's log")
    logs.add_argument("name", help="a process of ./pipeline status, or supervisord")
    logs.add_argument("-f", "--follow", action="store_true", help="go on as it grows")
    test = _add(commands, "test", "install what tests need and run them")
    test.add_argument("suite", nargs="?", default="all", choices=SUITES, help="default: all that CI runs")
    _add_bench(commands)
    parts = _add(commands, "install", "install parts, start nothing")
    parts.add_argument("names", nargs="*", metavar="PART", help="default: all that up needs")
    made = _add(commands, "secrets", "make the containers' secrets (.env), or add those that are missing")
    made.add_argument("--exchange", action="store_true", help="their source is the local exchange, not the live one")
    _add(commands, "lock", "resolve every requirement again (maintainers)")
    return parser


def _add_up(commands: Commands) -> None:
    up = _add(commands, "up", "install, start, bootstrap, wait for rows")
    up.add_argument("--source", help="live, exchange or file:PATH (fixed by the first up)")
    up.add_argument("--speed", type=_number, help="exchange seconds in a second, until the present is reached")
    up.add_argument("--start", help="ISO 8601 start of the local exchange's clock")
    up.add_argument("--only", type=_names, default=(), metavar="PARTS", help="parts to start, no bootstrap")


def _add_bench(commands: Commands) -> None:
    bench = _add(commands, "bench", "what a frame costs the ingester on this machine, and a peer")
    bench.add_argument("what", choices=("ingester",))
    bench.add_argument("--seconds", type=_count, default=10, help="how long each load is sent (default: 10)")
    bench.add_argument("--runs", type=_count, default=3, help="runs of each load, the median counts (default: 3)")
    bench.add_argument("--rates", type=_counts, default=(1000, 5000, 20_000), help="mixed frames a second, with commas")
    bench.add_argument("--no-peer", dest="peer", action="store_false", help="without cryptofeed")
    bench.add_argument("--output", metavar="DIR", help="folder of results.json and results.svg")


def _add(commands: Commands, name: str, text: str) -> _Parser:
    return commands.add_parser(name, help=text, description=text, allow_abbrev=False)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _counts(text: str) -> tuple[int, ...]:
    return tuple(_count(part.strip()) for part in text.split(","))


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
