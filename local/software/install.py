"""Installs the parts: resumable, every file checked by hash, one line of progress each.

A part is done when its stamp holds the fingerprint of what it was made from; a half-finished part has no stamp and
is made again by the next run.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from local.errors import PipelineError
from local.home.places import Places
from local.software import java, maven
from local.software.self_install import RUNNING, is_whole

# Everything together takes about 3 GB; the rest is what the engines write in their first hour.
FREE_BYTES_TO_INSTALL = 4 * 2**30
FLINK_BUILD = "local/flink-build/requirements.lock"
# The newest Python that apache-flink has a wheel for: its source needs NumPy, Cython and Beam to be built.
FLINK_WHEEL = "3.11"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Installable:
    """One part.

    Attributes:
        name: shown to the user and the stamp's file name.
        made_from: files whose content decides whether the part is up to date.
        make: does it; called with a function that shows progress.
        whole: False when what lies there cannot be used, whatever its stamp says.
    """

    name: str
    made_from: tuple[Path, ...]
    make: Callable[[Say], None]
    whole: Callable[[], bool] = lambda: True

    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for path in self.made_from:
            digest.update(path.read_bytes())
        return digest.hexdigest()


def parts_to_run(places: Places) -> list[Installable]:
    """What `up` needs."""
    repository = places.repository
    parts = [
        _venv(places, "airflow", repository / "requirements.lock"),
        _venv(places, "ingester", repository / "ingester" / "requirements.lock"),
        _venv(places, "exchange", repository / "exchange" / "requirements.lock"),
        Installable("kafka", (repository / "local" / "kafka" / "jars.lock",), lambda say: _install_kafka(places, say)),
        Installable(
            "flink",
            tuple(repository / name for name in ("flink/requirements.lock", "flink/jars.lock", FLINK_BUILD)),
            lambda say: _install_flink(places, say),
        ),
    ]
    if java.system_home() is None:
        lock = repository / "local" / "java" / "requirements.lock"
        parts.append(Installable("java", (lock,), lambda _: _uv_target(places, lock, places.parts / "java")))
    return parts


def parts_to_test(places: Places) -> list[Installable]:
    """What the tests need on top."""
    return [_venv(places, "tests", places.repository / "tests" / "requirements.lock")]


def part_to_test_on(places: Places, version: str, python: str) -> Installable:
    """The tests' environment of another Python than the parts' own, beside theirs."""
    lock = places.repository / "tests" / "requirements.lock"
    return _venv(places, f"tests-{version}", lock, version, python)


def parts_named(places: Places, names: list[str]) -> list[Installable]:
    """These of the parts that `up` needs, all without a name. Raises PipelineError for a name that is none of them."""
    known = {part.name: part for part in parts_to_run(places)}
    for name in names:
        if name not in known:
            raise PipelineError(f"no part {name!r} is installed here: there are {', '.join(known)}")
    return [known[name] for name in names or known]


def part_of_the_peer(places: Places) -> Installable:
    """What `bench` compares the ingester with."""
    return _venv(places, "cryptofeed", places.repository / "local" / "bench" / "cryptofeed" / "requirements.lock")


def install(places: Places, parts: Iterable[Installable], console: Console) -> None:
    """Makes every part that is missing or out of date. Raises PipelineError naming the first that failed."""
    parts = list(parts)
    if not missing(places, parts):
        return
    with _alone(places, console):
        wanted = missing(places, parts)
        if not wanted:
            return
        _refuse_full_disk(places)
        console.print(f"installing {', '.join(part.name for part in wanted)} into {places.parts}")
        state: dict[str, str] = {}
        with console.status("") as status, ThreadPoolExecutor(2) as pool:

            def make(part: Installable) -> None:
                def say(text: str) -> None:
                    state[part.name] = text
                    status.update("   ".join(f"{name}: {value}" for name, value in sorted(state.items())))

                say("…")
                _make(places, part, say)
                state.pop(part.name)
                console.print(f"  {part.name} installed")

            try:
                for future in as_completed([pool.submit(make, part) for part in wanted]):
                    future.result()
            finally:
                # After a failure or Ctrl-C nothing is begun that the next run would do as well.
                pool.shutdown(cancel_futures=True)


def missing(places: Places, parts: Iterable[Installable]) -> list[Installable]:
    """Those whose stamp is not there, or is of something else than today's lock files, and what was moved."""
    return [part for part in parts if not (_is_done(places.stamp(part.name), part) and part.whole())]


def _make(places: Places, part: Installable, say: Say) -> None:
    """Makes a part, then stamps it."""
    stamp = places.stamp(part.name)
    try:
        # What is being changed is not whole any more, whatever it was before.
        stamp.unlink(missing_ok=True)
        part.make(say)
        temporary = stamp.with_suffix(".new")
        temporary.write_text(part.fingerprint())
        temporary.replace(stamp)
    except OSError as error:
        where = error.filename or places.parts
        raise PipelineError(
            f"{part.name} was not installed: {error.strerror} at {where}: free the disk, then run it again"
        ) from error


@contextmanager
def _alone(places: Places, console: Console) -> Iterator[None]:
    """One installation at a time changes the parts, which homes share; another one waits for it."""
    try:
        (places.parts / "stamps").mkdir(parents=True, exist_ok=True)
        handle = (places.parts / "install.lock").open("a")
    except OSError as error:
        raise PipelineError(
            f"cannot write {places.parts}: {error.strerror}: set PIPELINE_PARTS to a folder of yours"
        ) from None
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            console.print(f"waiting for another run that installs into {places.parts}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _refuse_full_disk(places: Places) -> None:
    free = shutil.disk_usage(places.parts).free
    if free < FREE_BYTES_TO_INSTALL:
        raise PipelineError(
            f"{free / 2**30:.1f} GiB free at {places.parts}, {FREE_BYTES_TO_INSTALL / 2**30:.0f} are needed: "
            "free the disk or set PIPELINE_PARTS"
        )


def _is_done(stamp: Path, part: Installable) -> bool:
    try:
        return stamp.read_text() == part.fingerprint()
    except OSError:
        return False


def _venv(places: Places, name: str, lock: Path, version: str = RUNNING, python: str | None = None) -> Installable:
    root = places.venv(name)

    def make(_: Say) -> None:
        if not is_whole(root, version):
            _uv(places, "venv", "--clear", "--python", python or str(places.python("local")), str(root))
        # Byte-compiled: without .pyc files Airflow starts three times slower. Tests of another Python start nothing.
        compiled = ("--compile-bytecode",) if python is None else ()
        _uv(
            places, "pip", "sync", "--require-hashes", *compiled,
            "--python", str(root / "bin" / "python"), str(lock),
        )  # fmt: skip

    return Installable(name, (lock,), make, lambda: is_whole(root, version))


def _uv_target(places: Places, lock: Path, target: Path, *options: str) -> None:
    shutil.rmtree(target, ignore_errors=True)
    _uv(
        places, "pip", "install", "--no-deps", "--require-hashes", *options,
        "--python", str(places.python("local")), "--target", str(target), "--requirement", str(lock),
    )  # fmt: skip


def _install_kafka(places: Places, say: Say) -> None:
    lock = places.repository / "local" / "kafka" / "jars.lock"
    maven.fetch(lock, places.parts / "m2", lambda _: places.kafka_jars, say)
    # Everything in the folder is on the class path: an older release's jars would be mixed in.
    wanted = {jar.file_name for jar in maven.read_lock(lock)}
    for path in places.kafka_jars.iterdir():
        if path.name not in wanted:
            path.unlink()


def _install_flink(places: Places, say: Say) -> None:
    say("Flink")
    # PyPI has Flink's libraries as source: what builds them is pinned by hash too.
    build = ("--build-constraints", str(places.repository / FLINK_BUILD))
    # No Python imports what lies there, so that the one wheel of its scripts serves all of them.
    wheel = ("--python-version", FLINK_WHEEL)
    _uv_target(places, places.repository / "flink" / "requirements.lock", places.parts / "flink", *build, *wheel)
    for script in (places.flink / "bin").iterdir():
        script.chmod(0o755)
    # One read-only FLINK_HOME serves every home: no log, no example, no Python worker is wanted in it.
    for unused in ("examples", "log"):
        shutil.rmtree(places.flink / unused, ignore_errors=True)
    lock = places.repository / "flink" / "jars.lock"
    maven.fetch(lock, places.parts / "m2", lambda jar: places.flink / flink_folder(jar), say)


def flink_folder(jar: maven.Jar) -> Path:
    """Where a jar belongs below FLINK_HOME: file systems are plugins, the gateway is optional, the rest is on lib/."""
    if jar.artifact == "flink-s3-fs-hadoop":
        return Path("plugins") / "s3-fs-hadoop"
    if jar.artifact == "flink-sql-gateway":
        return Path("opt")
    return Path("lib")


def _uv(places: Places, *arguments: str) -> None:
    # The user's uv settings (an index, an offline switch) stay: only Python's own are dropped.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON") and k != "VIRTUAL_ENV"}
    environment["UV_CACHE_DIR"] = str(places.parts / "uv")
    environment["UV_LINK_MODE"] = "hardlink"
    command = [str(places.venv("local") / "bin" / "uv"), "--quiet", "--no-config", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PipelineError(
            f"uv {' '.join(arguments[:2])} failed for {arguments[-1]}: {reason(done.stderr)}; run it again"
        )


def reason(said: str) -> str:
    """What uv complains of, on one line: its causes stand on lines of their own, below the first."""
    lines = [line.strip(" \t×│├╰─▶·") for line in said.splitlines()]
    telling = [line for line in lines if line and not line.lower().startswith(("warning", "hint", "help"))]
    return " ".join(telling)[:300] or "no reason given"
