from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from rich.console import Console

from local import contract
from local.commands.down import MADE, ORDER, down
from local.commands.up import Wanted, _to_start, refuse_full_disk
from local.errors import PipelineError
from local.home.exclusive import exclusive
from local.home.places import REPOSITORY, Places
from local.home.setting import Setting
from local.parts import assembly
from local.processes import orphans
from local.processes.supervisor import MARK, Supervisor
from upbit_lake.contract.reader import load_contract

QUIET = Console(quiet=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [("1e9", r"GiB free at .*home, 1e\+09 are needed: free the disk"), ("lots", "PIPELINE_MIN_FREE_GIB='lots' is not")],
)
def test_a_disk_that_is_too_small_is_refused(places: Places, text: str, said: str) -> None:
    places.home.mkdir()
    with pytest.raises(PipelineError, match=said):
        refuse_full_disk(places, {"PIPELINE_MIN_FREE_GIB": text}, to_install=False)
    refuse_full_disk(places, {"PIPELINE_MIN_FREE_GIB": "0"}, to_install=True)


@pytest.mark.parametrize(("used", "to_install", "needed"), [(False, True, 12), (False, False, 8), (True, False, 2)])
def test_a_home_that_ran_needs_less_disk(
    places: Places, monkeypatch: pytest.MonkeyPatch, used: bool, to_install: bool, needed: int
) -> None:
    places.run.mkdir(parents=True)
    if used:
        places.bootstrapped.touch()
    free = needed * 2**30
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    refuse_full_disk(places, {}, to_install=to_install)
    free -= 1
    with pytest.raises(PipelineError, match=f" {needed} are needed"):
        refuse_full_disk(places, {}, to_install=to_install)


def test_a_home_of_another_account_is_refused(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    places.refuse_foreign_home()
    places.home.mkdir()
    places.refuse_foreign_home()
    monkeypatch.setattr(os, "geteuid", lambda: places.home.stat().st_uid + 1)
    with pytest.raises(PipelineError, match=r"home belongs to uid \d+: run as that account, or set PIPELINE_HOME"):
        places.refuse_foreign_home()


def test_the_first_start_leaves_the_ingester_to_the_bootstrap(setting: Setting) -> None:
    known = assembly.parts(setting)
    assert set(known) - set(_to_start(setting.places, known, Wanted())) == {"ingester"}
    setting.places.run.mkdir(parents=True)
    setting.places.bootstrapped.touch()
    assert _to_start(setting.places, known, Wanted()) == list(known)


def test_an_unknown_part_is_refused_with_the_known_ones(setting: Setting) -> None:
    with pytest.raises(PipelineError, match="--only kafak is unknown: use kafka, flink, airflow, kafka-1"):
        _to_start(setting.places, assembly.parts(setting), Wanted(only=("kafka", "kafak")))


def test_every_part_has_its_turn_in_the_way_down(setting: Setting) -> None:
    assert {name for group in ORDER for name in group} == set(assembly.parts(setting))


def test_a_supervisor_that_vanishes_midway_does_not_keep_a_home_up(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    places.run.mkdir(parents=True)
    child = subprocess.Popen(["sleep", "60"], env={**os.environ, MARK: str(places.home)})

    def vanished(_: Supervisor) -> dict[str, dict[str, object]]:
        raise FileNotFoundError("the socket is gone")

    monkeypatch.setattr(Supervisor, "is_up", lambda _: True)
    monkeypatch.setattr(Supervisor, "processes", vanished)
    down(places, QUIET)
    child.wait(5)  # raises while it lives


def test_a_second_command_at_the_same_time_is_refused(places: Places) -> None:
    places.run.mkdir(parents=True)
    with (places.run / "lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        other.write("4711")
        other.flush()
        with (
            pytest.raises(PipelineError, match=r"another ./pipeline up or down .* \(pid 4711\): wait"),
            exclusive(places),
        ):
            pytest.fail("entered")
        assert (places.run / "lock").read_text() == "4711"


def test_the_lock_of_a_killed_command_is_free(places: Places) -> None:
    places.run.mkdir(parents=True)
    (places.run / "lock").write_text("4711")
    with exclusive(places):
        assert (places.run / "lock").read_text() == str(os.getpid())


def test_a_home_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(PipelineError, match=r"cannot write .*file/run: Not a directory; set PIPELINE_HOME"),
        exclusive(Places(REPOSITORY, tmp_path, tmp_path / "file")),
    ):
        pytest.fail("entered")


def test_down_on_a_home_that_never_was_leaves_no_trace(places: Places) -> None:
    down(places, QUIET, purge=True)
    assert not places.home.exists()


def test_a_purge_asks_and_no_answer_is_no(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    places.run.mkdir(parents=True)
    with Path(os.devnull).open() as empty:
        monkeypatch.setattr(sys, "stdin", empty)
        with pytest.raises(PipelineError, match="nothing was stopped or deleted"):
            down(places, QUIET, purge=True)
    assert places.run.exists()


def test_a_purge_removes_only_what_the_runner_made(places: Places) -> None:
    for name in MADE:
        (places.home / name).mkdir(parents=True) if "." not in name else (places.home / name).touch()
    down(places, QUIET, purge=True, confirmed=True)
    assert not places.home.exists()
    places.run.mkdir(parents=True)
    (places.home / "thesis.txt").touch()
    down(places, QUIET, purge=True, confirmed=True)
    assert [path.name for path in places.home.iterdir()] == ["thesis.txt"]


def test_processes_of_a_home_are_found_by_its_mark_with_their_children(places: Places) -> None:
    code = "import subprocess, time; subprocess.Popen(['sleep', '60'], env={}); print(flush=True); time.sleep(60)"
    environment = {**os.environ, MARK: str(places.home)}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        found = orphans.find(places)
        assert {process.pid for process in found} == {
            parent.pid,
            *(c.pid for c in psutil.Process(parent.pid).children()),
        }
        assert orphans.find(Places(REPOSITORY, places.parts, places.home.with_name("other"))) == []
        orphans.end(found)
        assert not any(process.is_running() and process.status() != "zombie" for process in found)


def test_a_process_that_renamed_itself_is_found_by_its_supervisors_session(places: Places) -> None:
    places.run.mkdir(parents=True)
    process = subprocess.Popen(["sleep", "60"], env={}, cwd=places.home, start_new_session=True)
    stranger = subprocess.Popen(["sleep", "60"], env={}, cwd=places.home)
    try:
        (places.run / "supervisord.pid").write_text(str(process.pid))
        assert [found.pid for found in orphans.find(places)] == [process.pid]
    finally:
        for one in (process, stranger):
            one.kill()
            one.wait()


def test_a_stubborn_process_is_killed(places: Places) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    environment = {**os.environ, MARK: str(places.home)}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE) as stubborn:
        assert stubborn.stdout is not None
        stubborn.stdout.readline()
        orphans.end(orphans.find(places), patience_s=0.2)
        assert not psutil.pid_exists(stubborn.pid)


def test_temporary_files_are_swept(tmp_path: Path) -> None:
    for name in ("home", "a home"):
        places = Places(REPOSITORY, tmp_path, tmp_path / name)
        (places.short_run / "flink").mkdir(parents=True)
        (places.short_run / "flink" / "planner.jar").touch()
        (places.short_run / "sql-client-init.sql").touch()
        orphans.sweep(places)
        orphans.sweep(places)
        assert not (places.short_run / "flink").exists()
        assert not (places.short_run / "sql-client-init.sql").exists()


def test_our_contract_is_read_by_both_readers() -> None:
    places = Places.from_environment({})
    contract.refuse_broken(places)
    names = [stream.name for stream in contract.read_streams(REPOSITORY / "pipeline.toml")]
    assert names == list(load_contract().streams)
    assert {"ticker", "trade", "orderbook"} <= set(names)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"no readable \[streams\]"),
        ("[streams", r"no readable \[streams\]"),
        ('[streams.ticker]\ntopic = "t"', "streams.ticker.table is missing: the runner reads topic, table"),
        (
            '[streams.t]\ntopic="t"\ntabel="t"\njob="t"\nkey=["k"]\ntime="t"',
            "streams.t.table is missing: did you mean it by 'tabel'",
        ),
    ],
)
def test_a_broken_contract_is_refused_with_the_keys_path(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "pipeline.toml"
    path.write_text(text)
    with pytest.raises(PipelineError, match=said):
        contract.read_streams(path)
