"""The table of faults in exchange/README.md is the catalogue."""

from pathlib import Path

from upbit_exchange.faults.catalogue import KINDS

README = Path(__file__).parents[4] / "exchange" / "README.md"


def row(name: str) -> str:
    kind = KINDS[name]
    options = ", ".join(f"{option}={value}" for option, value in kind.options.items())
    return f"| `{name}` | {kind.acts} | {kind.says} | {options} | {kind.count or '∞'} |"


def test_the_readme_lists_every_fault_and_no_other() -> None:
    lines = README.read_text().splitlines()
    start = lines.index("| fault | acts on | what | options | times |") + 2
    listed = lines[start : start + len(KINDS) + 1]
    assert listed == [*map(row, KINDS), ""]
