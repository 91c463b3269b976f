"""What a test may not put in an engine's or a private name's place: a part of `./pipeline test lint`.

A private name is replaced in no test: the test would go on passing when the module forgets it. No test passes None or
an empty object off as an engine: it would pass whatever is asked of the engine. tests/twins has one of each in memory.
Alone: `python -m local.commands.doubles`.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from local.home.places import REPOSITORY

TESTS = REPOSITORY / "tests"
PATCHES = frozenset({"setattr", "delattr", "patch", "object"})
IGNORED_NONE = re.compile(r"\bNone\b.*#\s*type:\s*ignore")


class Finding(NamedTuple):
    """One place that breaks a rule."""

    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(REPOSITORY)}:{self.line}: {self.text}"


def main() -> int:
    """Print what breaks a rule; 1 when there is any."""
    found = [finding for path in sorted(TESTS.rglob("*.py")) for finding in findings(path, path.read_text("utf-8"))]
    for finding in found:
        print(finding)
    return 1 if found else 0


def findings(path: Path, text: str) -> Iterator[Finding]:
    """What breaks a rule in the `text` of the module at `path`."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        if private := _replaced_private_name(node):
            yield Finding(path, node.lineno, f"{private} is private: test what uses it, or make it a parameter")
        if _is_cast_of_nothing(node):
            yield Finding(path, node.lineno, "nothing is cast to a type: take the twin of tests/twins")
        if any(isinstance(item, ast.Starred) and _has_none(item) for item in node.args):
            yield Finding(path, node.lineno, "None stands for several arguments: take the twins of tests/twins")
    # A comment is not in the syntax tree: it is looked for line by line.
    for number, line in enumerate(text.splitlines(), 1):
        if IGNORED_NONE.search(line):
            yield Finding(path, number, "None is passed against the parameter's type: take the twin of tests/twins")


def _replaced_private_name(call: ast.Call) -> str:
    """The private name that `monkeypatch` or `patch` replaces in this call, "" when it replaces none."""
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name not in PATCHES:
        return ""
    texts = [item.value for item in call.args[:2] if isinstance(item, ast.Constant) and isinstance(item.value, str)]
    names = [part for text in texts for part in text.split(".")]
    # The owner may be private too: setattr(module._Class, "name", …).
    names += [node.attr for item in call.args[:1] for node in ast.walk(item) if isinstance(node, ast.Attribute)]
    return next((part for part in names if part.startswith("_") and not part.startswith("__")), "")


def _is_cast_of_nothing(call: ast.Call) -> bool:
    function = call.func
    if getattr(function, "id", getattr(function, "attr", "")) != "cast" or len(call.args) != 2:
        return False
    value = call.args[1]
    return (isinstance(value, ast.Constant) and value.value is None) or (
        isinstance(value, ast.Call) and getattr(value.func, "id", "") == "object"
    )


def _has_none(starred: ast.Starred) -> bool:
    return any(isinstance(node, ast.Constant) and node.value is None for node in ast.walk(starred.value))


if __name__ == "__main__":
    sys.exit(main())
