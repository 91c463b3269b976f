"""The control plane's door: `python -m upbit_lake COMMAND` is all that other processes call of it.

Each command imports what it needs when it is chosen: `contract` runs on a bare Python, before anything is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

# What `status` ends with when something is not healthy.
NOT_HEALTHY = 3


def main(arguments: Sequence[str]) -> int:
    """Run one command and give its exit code; an error that a user can meet is one line on stderr and code 1."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except BrokenPipeError:
        # The reader of the output has seen enough (`| head`); nothing is wrong, and nothing more can be written.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m upbit_lake", description="The control plane, by command.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    contract = commands.add_parser("contract", help="judge pipeline.toml")
    contract.set_defaults(run=_contract)
    access = commands.add_parser("access", help="make Kafka's users and access rights as the contract's [access] says")
    access.set_defaults(run=_access)
    sql_init = commands.add_parser("sql-init", help="print the statements that a SQL client of Flink's starts with")
    sql_init.set_defaults(run=_sql_init)
    query = commands.add_parser("query", help="read the lake: tables trade, ticker, orderbook, …")
    what = query.add_mutually_exclusive_group(required=True)
    what.add_argument("sql", nargs="?", help="one reading statement, for example: SELECT * FROM candle_1m LIMIT 5")
    what.add_argument("--named", metavar="NAME", help="the statement of sql/lake/status/NAME.sql")
    query.add_argument("--format", choices=("table", "json", "csv"), default="table")
    query.set_defaults(run=_query)
    upgrade = commands.add_parser("upgrade", help="bring the control database to this code's schema")
    upgrade.add_argument("--check", action="store_true", help="change nothing, refuse one that is newer than this code")
    upgrade.add_argument("--save-in", type=Path, metavar="FOLDER", help="where it is saved before it changes")
    upgrade.add_argument("--pg-dump", type=Path, metavar="PATH", help="what saves it")
    upgrade.set_defaults(run=_upgrade)
    status = commands.add_parser("status", help="the health of everything, in one look; code 3 when not all is healthy")
    status.add_argument("--json", action="store_true", help="for programs: docs/status.schema.json")
    status.set_defaults(run=_status)
    return parser


def _contract(_: argparse.Namespace) -> int:
    from upbit_lake.contract.model import ContractError
    from upbit_lake.contract.reader import load_contract

    with _one_line(ContractError):
        load_contract(_contract_path())
    return 0


def _access(_: argparse.Namespace) -> int:
    from upbit_lake.reconcile import access

    return access.main()


def _sql_init(_: argparse.Namespace) -> int:
    from upbit_lake.contract.model import ContractError
    from upbit_lake.contract.settings import SettingsError
    from upbit_lake.contract.sql_files import SqlFileError
    from upbit_lake.engines.flink.sql_client import statements

    with _one_line(ContractError, SettingsError, SqlFileError):
        for statement in statements():
            print(f"{statement};")
    return 0


def _query(options: argparse.Namespace) -> int:
    from upbit_lake.contract.lake_sql import status_query
    from upbit_lake.contract.model import ContractError
    from upbit_lake.contract.reader import load_contract
    from upbit_lake.contract.settings import S3Access, SettingsError
    from upbit_lake.contract.sql_files import SqlFileError
    from upbit_lake.engines.lake.printing import print_answer
    from upbit_lake.engines.lake.process import LakeQueryError

    with _one_line(ContractError, LakeQueryError, SettingsError, SqlFileError, prefix="query: "):
        contract = load_contract(_contract_path())
        sql = options.sql or status_query(contract, options.named)
        print_answer(contract.lake, S3Access.from_environment(os.environ), sql, options.format, sys.stdout)
    return 0


def _upgrade(options: argparse.Namespace) -> int:
    from upbit_lake.state.schema import SchemaError
    from upbit_lake.state.upgrade import UpgradeError, check, upgrade

    if (options.save_in is None) != (options.pg_dump is None):
        sys.exit("upgrade: --save-in and --pg-dump serve together: give both or none")
    with _one_line(SchemaError, UpgradeError):
        if options.check:
            check(os.environ)
        elif said := upgrade(os.environ, options.save_in, options.pg_dump):
            print(said)
    return 0


def _status(options: argparse.Namespace) -> int:
    from upbit_lake.contract.model import ContractError
    from upbit_lake.contract.reader import load_contract
    from upbit_lake.contract.settings import SettingsError, control_database_url, load_settings
    from upbit_lake.overview.document import document, print_text
    from upbit_lake.overview.gather import gather
    from upbit_lake.overview.look import look

    with _one_line(ContractError, SettingsError):
        contract, settings = load_contract(_contract_path()), load_settings()
        database = control_database_url(os.environ)
    seen = look(contract, gather(contract, settings, database))
    if options.json:
        print(json.dumps(document(seen), indent=1))
    else:
        print_text(seen, sys.stdout)
    return 0 if seen.healthy else NOT_HEALTHY


def _contract_path() -> Path:
    from upbit_lake.contract.model import CONTRACT_FILE

    return Path(os.environ.get("PIPELINE_CONTRACT") or CONTRACT_FILE)


@contextmanager
def _one_line(*errors: type[Exception], prefix: str = "") -> Iterator[None]:
    """End the process with the words of one of `errors`, on stderr, and code 1."""
    try:
        yield
    except errors as error:
        sys.exit(prefix + " ".join(str(error).split()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
