from __future__ import annotations

import configparser
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from local.errors import PipelineError
from local.home.places import Places
from local.home.setting import Setting
from local.home.source import Source
from local.parts import assembly
from local.parts.part import Part
from local.processes.supervisor import MARK, Supervisor, launch_script
from local.software.install import parts_to_run


def _run(script: str, tmp_path: Path) -> str:
    path = tmp_path / "launch.sh"
    path.write_text(script)
    return subprocess.run(["/bin/bash", str(path)], capture_output=True, text=True, check=True, env={}).stdout


def test_arguments_and_settings_arrive_as_they_are(tmp_path: Path) -> None:
    odd = """a b'c"d$HOME `id` \\ ; 100% 집"""
    part = Part("odd", ("/usr/bin/printf", "%s|%s", odd, ""), ready=lambda: True, environment={"ODD": odd})
    assert _run(launch_script(part), tmp_path) == f"{odd}|"
    echo = Part("odd", ("/bin/bash", "-c", 'printf %s "$ODD"'), ready=lambda: True, environment={"ODD": odd})
    assert _run(launch_script(echo), tmp_path) == odd


def test_the_script_becomes_the_process(tmp_path: Path) -> None:
    part = Part("sh", ("/bin/bash", "-c", 'echo "$PPID"'), ready=lambda: True)
    assert _run(launch_script(part), tmp_path).strip() == str(os.getpid())


def _rendered(places: Places, parts: list[Part]) -> configparser.ConfigParser:
    Supervisor(places)._write(parts)
    shutil.rmtree(places.short_run, ignore_errors=True)  # it may lie outside of the home
    parsed = configparser.ConfigParser(inline_comment_prefixes=(";",), interpolation=None)
    parsed.read(places.conf / "supervisord.conf")
    return parsed


def test_a_program_is_bound_to_its_home_and_ends_as_a_group(places: Places) -> None:
    part = Part("db", ("/bin/true",), ready=lambda: True, stop_signal="INT", stop_s=33)
    program = _rendered(places, [part])["program:db"]
    assert f'{MARK}="{places.home}"' in program["environment"]
    assert (program["stopsignal"], program["stopwaitsecs"]) == ("INT", "33")
    assert (program["killasgroup"], program["autostart"], program["autorestart"]) == ("true", "false", "true")
    assert "user" not in program


def test_a_changed_file_or_command_changes_the_program_and_nothing_else_does(places: Places) -> None:
    def environment(command: str = "/bin/true", text: str = "a") -> str:
        part = Part("db", (command,), ready=lambda: True, files={places.conf / "db.conf": text})
        return _rendered(places, [part])["program:db"]["environment"]

    assert environment() == environment()
    assert len({environment(), environment(command="/bin/false"), environment(text="b")}) == 3


def test_another_release_of_its_software_changes_the_program(places: Places) -> None:
    """Else a running part goes on with what was installed before."""

    def environment(release: str) -> str:
        places.stamp("kafka").parent.mkdir(parents=True, exist_ok=True)
        places.stamp("kafka").write_text(release)
        part = Part("db", ("/bin/true",), ready=lambda: True, software=("kafka", "java"))
        return _rendered(places, [part])["program:db"]["environment"]

    assert environment("1") == environment("1")
    assert environment("1") != environment("2")


def test_a_change_of_the_code_that_a_part_runs_changes_the_program(places: Places, tmp_path: Path) -> None:
    """Else, after a `git pull`, it goes on with the code from before."""
    sources = tmp_path / "sources"
    (sources / "package" / "__pycache__").mkdir(parents=True)
    module = sources / "package" / "module.py"

    def environment() -> str:
        part = Part("ingester", ("/bin/true",), ready=lambda: True, code=(sources,))
        return _rendered(places, [part])["program:ingester"]["environment"]

    module.write_text("x = 1")
    first = environment()
    (sources / "README.md").write_text("other words")
    (sources / "package" / "__pycache__" / "module.pyc").write_text("compiled")
    assert environment() == first
    module.write_text("x = 2")
    changed = environment()
    module.rename(module.with_name("other.py"))
    assert len({first, changed, environment()}) == 3


def test_the_parts_of_our_own_code_name_it(setting: Setting) -> None:
    """Airflow's tasks are processes of their own: each begins with the code that is there."""
    source = Source("exchange")
    code = {name: part.code for name, part in assembly.parts(replace(setting, source=source)).items() if part.code}
    assert code.keys() == {"ingester", "exchange"}
    assert all(any(folder.rglob("__main__.py")) for folders in code.values() for folder in folders)


def test_every_part_says_what_it_runs_on(setting: Setting) -> None:
    installed = {"local", "java", *(part.name for part in parts_to_run(setting.places))}
    for part in assembly.parts(setting).values():
        assert part.software, part.name
        assert set(part.software) <= installed, part.name


def test_secrets_are_written_for_their_owner_only(places: Places, setting: Setting) -> None:
    parts = assembly.parts(setting)
    Supervisor(places)._write(list(parts.values()))
    written = {path for place in (places.conf, places.short_run) for path in place.rglob("*") if path.is_file()}
    secret = {path for path in written if "secret-" in path.read_text()}
    assert {path.name for path in secret} >= {"config.yaml", "jaas.conf", "pgpass", "node1.properties", "ingester.sh"}
    assert [path for path in secret if path.stat().st_mode & 0o077] == []


def test_nothing_is_written_into_the_folder_of_another_account(
    places: Places, setting: Setting, tmp_path: Path
) -> None:
    """A folder in /tmp that another account made first would get Flink's login."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    places.short_run.parent.mkdir(parents=True, exist_ok=True)
    places.short_run.symlink_to(theirs)
    with pytest.raises(PipelineError, match="belongs to another account"):
        Supervisor(places)._write(list(assembly.parts(setting).values()))
    places.short_run.unlink()
    assert list(theirs.iterdir()) == []


@pytest.mark.parametrize("name", ["with blank", "100%", "집"])
def test_odd_paths_survive_the_configuration(tmp_path: Path, name: str) -> None:
    places = Places(tmp_path, tmp_path, tmp_path / name)
    part = Part("db", ("/bin/true",), ready=lambda: True)
    log = _rendered(places, [part])["program:db"]["stdout_logfile"]
    assert log.replace("%%", "%") == str(places.logs / "db.log")
