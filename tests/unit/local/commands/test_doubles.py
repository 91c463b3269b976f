"""The check of the tests finds what it forbids, and leaves alone what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.commands.doubles import TESTS, findings

# In two parts, so that the check does not find this line.
IGNORED = "# type:" + " ignore[arg-type]"


@pytest.mark.parametrize(
    "code",
    [
        'monkeypatch.setattr(module, "_name", 1)',
        'monkeypatch.setattr("package.module._name", 1)',
        'monkeypatch.setattr(module._Class, "name", 1)',
        'monkeypatch.delattr(module, "_name")',
        'patch("package._module.name")',
        'mock.patch.object(module, "_name")',
        "Engines(contract, *[None] * 5)",
        "Engines(contract, *[cast(Any, None)] * 5)",
        "cast(Connection, None)",
        "typing.cast(Connection, object())",
        "Engines(contract, None)  " + IGNORED,
    ],
)
def test_what_is_forbidden_is_found(code: str) -> None:
    assert list(findings(Path(TESTS / "x.py"), code))


@pytest.mark.parametrize(
    "code",
    [
        'monkeypatch.setattr(module, "name", 1)',
        'monkeypatch.setattr(module, "__file__", "x")',
        'monkeypatch.setenv("_NAME", "1")',
        "cast(Connection, made)",
        "judge(job, None)",
        "call(*[1, 2])",
    ],
)
def test_what_is_allowed_is_not(code: str) -> None:
    assert not list(findings(TESTS / "x.py", code))
