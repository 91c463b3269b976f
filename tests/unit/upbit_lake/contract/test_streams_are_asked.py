"""No module knows a stream by its name: what is special about one stands in the contract."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from upbit_lake.contract.model import CONTRACT_FILE
from upbit_lake.contract.reader import load_contract

ROOT = CONTRACT_FILE.parent
# The first streams' defaults, for contracts that were written before the keys existed.
READERS = {"plugins/upbit_lake/contract/reader.py", "local/contract.py"}
# The load of a measurement is not the pipeline.
MEASURED = "local/bench/"


def modules() -> Iterator[Path]:
    for folder in ("plugins", "dags", "local"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if name not in READERS and not name.startswith(MEASURED):
                yield path


def words(text: str) -> set[str]:
    return {
        node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant) and type(node.value) is str
    }


@pytest.mark.parametrize("path", list(modules()), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_module_knows_a_stream_by_its_name(path: Path) -> None:
    contract = load_contract()
    # `dead_letter` is not a stream: every pipeline has one.
    names = {*contract.streams, *contract.tables, *contract.topics} - {contract.dead_letter.table}
    assert not names & words(path.read_text(encoding="utf-8"))


def test_a_name_would_be_found() -> None:
    assert words('if stream.table == "trade":\n    pass') == {"trade"}


@pytest.mark.parametrize("path", sorted((ROOT / "sql" / "lake" / "verify").glob("*.sql")), ids=lambda path: path.stem)
def test_no_query_of_a_check_names_a_table(path: Path) -> None:
    code = "\n".join(line.partition("--")[0] for line in path.read_text(encoding="utf-8").splitlines())
    used = set(code.replace('"', " ").replace("$", " ").split())
    assert not used & set(load_contract().tables)
