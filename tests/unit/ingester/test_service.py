"""What a start makes of a spool that it cannot use."""

from pathlib import Path

import pytest

from upbit_ingester import settings
from upbit_ingester.service import Service


def test_a_spool_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "trade").write_bytes(b"")
    environment = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "INGESTER_SPOOL_DIR": str(tmp_path)}
    with pytest.raises(settings.SettingsError, match=r"^INGESTER_SPOOL_DIR: cannot read or write"):
        Service(settings.load(environment))
