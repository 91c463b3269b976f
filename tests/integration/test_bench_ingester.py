"""The bench from begin to end, as short as it can be: what it reports is there, nothing is lost, nothing is left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.harness.home import Home

pytestmark = [pytest.mark.engines, pytest.mark.nightly]


def test_ingester_and_peer_are_measured(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    command = (
        "bench",
        "ingester",
        "--seconds",
        "2",
        "--runs",
        "1",
        "--rates",
        "200",
        "--output",
        str(tmp_path / "out"),
    )
    said = home.run(*command).stdout
    report = json.loads((tmp_path / "out" / "results.json").read_text())
    lines = {(line["subject"], line["load"]): line for line in report["figures"]}
    assert set(lines) == {
        *(("ingester", f"{stream}, saturated") for stream in ("trade", "ticker", "orderbook")),
        *(("cryptofeed", f"{stream}, saturated") for stream in ("trade", "orderbook")),
        ("ingester", "mixed, 200/s"),
        ("cryptofeed", "mixed, 200/s"),
    }
    assert {load for (subject, load), line in lines.items() if subject == "ingester" and line["missing"]} == set()
    assert all(line["cpu_us"] and line["pss_mb"] and line["p99_ms"] for line in lines.values())
    assert "a frame costs cryptofeed" in said
    assert not (tmp_path / "home-bench").exists()
