from __future__ import annotations

import os
from pathlib import Path

import pytest

from local import door
from local.home.environment import for_parts, for_the_runner
from local.home.setting import Setting

USERS = {
    "PATH": "/bin",
    "HOME": "/home/me",
    "PYTHONPATH": "/elsewhere",
    "PYTHONHOME": "/elsewhere",
    "PYTHONDONTWRITEBYTECODE": "1",
    "VIRTUAL_ENV": "/venv",
    "AIRFLOW_HOME": "/airflow",
    "AIRFLOW__CORE__EXECUTOR": "X",
    "AWS_ACCESS_KEY_ID": "foreign",
    "JAVA_TOOL_OPTIONS": "-Xmx1m",
    "LC_ALL": "C",
    "UPBIT_CODES": "KRW-BTC",
    "EXCHANGE_CODES": "40",
}


def test_parts_see_only_what_every_process_needs() -> None:
    assert for_parts(USERS) == {
        "PATH": "/bin",
        "HOME": "/home/me",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "no_proxy": "127.0.0.1,localhost",
        "NO_PROXY": "127.0.0.1,localhost",
    }


def test_the_control_plane_sees_no_other_programs_settings(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in USERS.items():
        monkeypatch.setenv(name, value)
    plugins = str(setting.places.repository / "plugins")
    ours = {**setting.service_environment, "PYTHONPATH": plugins, "PYTHONSAFEPATH": "1"}
    assert door.of_home(setting).environment == {**for_parts(os.environ), **ours}


def test_the_runner_keeps_the_users_settings_but_another_pythons() -> None:
    seen = for_the_runner(USERS, Path("/repo"))
    assert {name: value for name, value in seen.items() if name.startswith("PYTHON")} == {
        "PYTHONPATH": "/repo",
        "PYTHONSAFEPATH": "1",
    }
    assert "VIRTUAL_ENV" not in seen
    assert (seen["UPBIT_CODES"], seen["EXCHANGE_CODES"]) == ("KRW-BTC", "40")


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ({}, "127.0.0.1,localhost"),
        ({"no_proxy": "corp"}, "corp,127.0.0.1,localhost"),
        ({"NO_PROXY": "corp,127.0.0.1,localhost"}, "corp,127.0.0.1,localhost"),
    ],
)
def test_a_proxy_is_never_asked_for_this_machine(given: dict[str, str], seen: str) -> None:
    assert for_parts({"https_proxy": "http://proxy:3128", **given})["no_proxy"] == seen
