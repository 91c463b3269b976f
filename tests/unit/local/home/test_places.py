from __future__ import annotations

import os
from pathlib import Path

import pytest

from local.errors import PipelineError
from local.home.places import REPOSITORY, Places


def test_everything_lies_in_the_checkout_by_default() -> None:
    places = Places.from_environment({})
    assert (places.home, places.parts) == (REPOSITORY / ".pipeline" / "home", REPOSITORY / ".pipeline" / "parts")


def test_one_folder_has_one_name(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    places = Places.from_environment({"PIPELINE_HOME": str(tmp_path / "link" / "x" / ".." / "home")})
    assert places.home == tmp_path.resolve() / "home"


@pytest.mark.parametrize("character", [",", ":", ";", "%", "'", "$", "\n"])
def test_a_path_that_the_engines_files_cannot_hold_is_refused(character: str) -> None:
    with pytest.raises(PipelineError, match=r"(?s)PIPELINE_HOME=.*cannot stand in it"):
        Places.from_environment({"PIPELINE_HOME": f"/tmp/a{character}b"})


def test_a_plain_home_keeps_its_socket() -> None:
    assert Places(REPOSITORY, Path("/p"), Path("/srv/h1")).supervisor_socket == Path("/srv/h1/run/supervisor.sock")


@pytest.mark.parametrize("home", ["/srv/a home", "/srv/" + "deep/" * 30, "/srv/집"])
def test_a_long_or_odd_home_has_its_socket_elsewhere(home: str) -> None:
    path = Places(REPOSITORY, Path("/p"), Path(home)).supervisor_socket
    assert path.is_relative_to("/tmp")
    assert len(os.fsencode(path)) < 100
    assert path != Places(REPOSITORY, Path("/p"), Path(home + "2")).supervisor_socket, "two homes have two sockets"


def test_the_longest_names_in_a_plain_home_fit_a_socket() -> None:
    home = Path("/" + "h" * 65)
    places = Places(REPOSITORY, Path("/p"), home)
    assert places.short_run == home / "run"
    assert len(os.fsencode(places.short_run / "s3" / "filer.sock")) < 108
    assert len(os.fsencode(places.supervisor_socket)) + len(".65535") < 108, "supervisord adds its pid while it binds"


def test_dumps_lie_beside_a_home_whose_folder_may_be_written_and_else_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = Places(tmp_path, tmp_path, tmp_path / "home")
    assert places.dumps == tmp_path / "home-dumps"
    monkeypatch.setattr(os, "access", lambda path, mode: (path, mode) != (tmp_path, os.W_OK))
    assert places.dumps == tmp_path / "home" / "dumps"
