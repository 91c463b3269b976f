from __future__ import annotations

import io
import sys
from dataclasses import replace

import pytest
from rich.console import Console

from local.commands.up import refuse_wrong_settings
from local.errors import PipelineError
from local.home import ingester_settings
from local.home.places import Places
from local.home.setting import Setting
from local.parts import airflow, ingester


def test_what_was_given_once_needs_no_repetition(places: Places) -> None:
    places.home.mkdir()
    given = {"UPBIT_CODES": "KRW-BTC", "INGESTER_SILENCE_S": "30", "PATH": "/bin"}
    ingester_settings.record(places, ingester_settings.of_home(places, given))
    assert ingester_settings.of_home(places, {}) == {"UPBIT_CODES": "KRW-BTC", "INGESTER_SILENCE_S": "30"}
    assert ingester_settings.of_home(places, {"UPBIT_CODES": "KRW-ETH"})["UPBIT_CODES"] == "KRW-ETH"
    assert ingester_settings.of_home(places, {"UPBIT_CODES": ""}) == {"INGESTER_SILENCE_S": "30"}


def test_a_typo_is_left_for_the_ingester_to_refuse(places: Places) -> None:
    assert ingester_settings.of_home(places, {"UPBIT_STRAEMS": "trade"}) == {"UPBIT_STRAEMS": "trade"}


def test_what_the_runner_sets_itself_is_not_kept(places: Places, setting: Setting) -> None:
    """Nor what a DAG task's environment holds: the control plane's names have another prefix."""
    given = {**airflow.environment(setting), **ingester.part(setting).environment}
    assert {"CONTROL_INGESTER_URL", "CONTROL_INGESTER_BY", "UPBIT_REST_URL"} <= given.keys()
    assert ingester_settings.of_home(places, given) == {}


def test_a_remembered_former_name_of_the_control_plane_is_said_in_one_line(places: Places, setting: Setting) -> None:
    places.home.mkdir(exist_ok=True)
    ingester_settings.record(places, {"INGESTER_URL": "http://x", "UPBIT_CODES": "KRW-BTC"})
    places.venv("ingester").parent.mkdir(parents=True)
    places.venv("ingester").symlink_to(sys.prefix)
    remembered = replace(setting, ingester=ingester_settings.of_home(places, {"INGESTER_CONTROL": "supervisor"}))
    printed = io.StringIO()
    console = Console(file=printed, width=20)
    refuse_wrong_settings(remembered, console)
    (line,) = printed.getvalue().splitlines()
    assert line.startswith("INGESTER_CONTROL is now CONTROL_INGESTER_BY, INGESTER_URL is now CONTROL_INGESTER_URL: ")
    refuse_wrong_settings(replace(setting, ingester={"UPBIT_CODES": "KRW-BTC"}), console)
    assert len(printed.getvalue().splitlines()) == 1


def test_what_is_remembered_of_former_names_moves_nothing_of_the_tasks(setting: Setting) -> None:
    remembered = replace(setting, ingester={"INGESTER_URL": "http://x", "INGESTER_CONTROL": "docker"})
    assert airflow.environment(remembered) == airflow.environment(setting)
    assert not {name for name in airflow.environment(setting) if name.startswith("INGESTER_")}


@pytest.mark.parametrize("text", ["", "{", "[1]"])
def test_a_broken_record_is_refused(places: Places, text: str) -> None:
    places.home.mkdir()
    places.ingester_file.write_text(text)
    with pytest.raises(PipelineError, match=r"ingester\.json cannot be read: remove it"):
        ingester_settings.of_home(places, {})
