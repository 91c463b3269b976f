from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from local.errors import PipelineError
from local.software.maven import Jar, _copy_checked, fetch, read_lock

REPOSITORY = Path(__file__).resolve().parents[4]
DIGEST = hashlib.sha256(b"jar").hexdigest()


def _write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_lock_names_each_jar(tmp_path: Path) -> None:
    lock = _write(tmp_path / "jars.lock", f"{DIGEST} org.apache.kafka:kafka_2.13:4.3.1\n")
    assert read_lock(lock) == [Jar(DIGEST, "org.apache.kafka", "kafka_2.13", "4.3.1")]
    assert read_lock(lock)[0].file_name == "kafka_2.13-4.3.1.jar"


@pytest.mark.parametrize("line", ["", "abc g:a:1", f"{DIGEST} g:a", f"{DIGEST}", f"{DIGEST[:-1]}z g:a:1"])
def test_another_line_is_refused_with_its_number(tmp_path: Path, line: str) -> None:
    lock = _write(tmp_path / "jars.lock", f"{DIGEST} g:a:1\n{line}\n")
    with pytest.raises(PipelineError, match=r"jars\.lock:2: not `<sha256> <group>:<artifact>:<version>`"):
        read_lock(lock)


@pytest.mark.parametrize("folder", ["flink", "local/kafka"])
def test_our_own_locks_are_whole_and_without_doubles(folder: str) -> None:
    jars = read_lock(REPOSITORY / folder / "jars.lock")
    assert jars
    assert len({jar.file_name for jar in jars}) == len(jars)


def test_a_jar_with_another_hash_is_neither_kept_nor_cached(tmp_path: Path) -> None:
    source = _write(tmp_path / "cached.jar", "something else")
    target = tmp_path / "lib" / "a-1.jar"
    with pytest.raises(PipelineError, match=r"a-1\.jar has SHA-256 .*, the lock says"):
        _copy_checked(source, target, Jar(DIGEST, "g", "a", "1"))
    assert not source.exists()
    assert not target.exists()


def test_a_jar_with_the_right_hash_takes_its_place_whole(tmp_path: Path) -> None:
    target = tmp_path / "a-1.jar"
    target.write_text("torn")
    _copy_checked(_write(tmp_path / "cached.jar", "jar"), target, Jar(DIGEST, "g", "a", "1"))
    assert target.read_text() == "jar"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-1.jar", "cached.jar"]


def test_what_lies_there_with_the_right_hash_is_not_fetched(tmp_path: Path) -> None:
    lock = _write(tmp_path / "jars.lock", f"{DIGEST} no.such.group:a:1\n")
    (tmp_path / "lib").mkdir()
    _write(tmp_path / "lib" / "a-1.jar", "jar")
    said: list[str] = []
    fetch(lock, tmp_path / "cache", lambda _: tmp_path / "lib", said.append)
    assert said == ["1/1 jars"]
