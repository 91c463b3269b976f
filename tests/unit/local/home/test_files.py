from __future__ import annotations

from pathlib import Path

import pytest

from local.errors import PipelineError
from local.home.files import make_private_folder, write_private


def test_a_private_folder_of_another_account_is_refused(tmp_path: Path) -> None:
    make_private_folder(tmp_path / "own")
    (tmp_path / "link").symlink_to(tmp_path / "own")
    with pytest.raises(PipelineError, match="belongs to another account"):
        make_private_folder(tmp_path / "link")


def test_writing_closes_a_file_that_was_open(tmp_path: Path) -> None:
    path = tmp_path / "s3.json"
    path.touch(mode=0o644)
    write_private(path, "secret")
    assert path.stat().st_mode & 0o777 == 0o600
