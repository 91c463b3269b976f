"""What a bench sends, what its runs come to, and how they are shown."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from local.bench import report
from local.bench.loads import Load, Run, figures, loads, percentile, ratios
from local.bench.plot import Panel, plot
from local.errors import PipelineError

RUN = Run("ingester", "trade, saturated", 1000, 1000, 0.5, 2.0, 0.05, 80.0, 20.0, 40.0)
PEER = replace(RUN, subject="cryptofeed", cpu_s=1.0, acknowledged=900, p99_ms=9000.0)
CONDITIONS = {"without_peer": None, "processor": "a processor", "cores": 2}


def test_every_stream_saturated_and_every_rate_mixed() -> None:
    assert list(loads(("trade", "ticker", "orderbook"), {"trade": 30, "ticker": 20, "orderbook": 10}, (1000,), 4)) == [
        Load("trade, saturated", ("trade",), 120),
        Load("ticker, saturated", ("ticker",), 80),
        Load("orderbook, saturated", ("orderbook",), 40),
        Load("mixed, 1,000/s", ("trade", "ticker", "orderbook"), 4000, 1000.0),
    ]


def test_who_takes_fewer_streams_gets_their_share_of_the_rate() -> None:
    load = list(loads(("trade", "orderbook"), {"trade": 1, "orderbook": 1}, (1000,), 10))[-1]
    assert load == Load("mixed, 1,000/s", ("trade", "orderbook"), 7500, 750.0)


def test_the_median_counts_and_the_worst_loss() -> None:
    runs = [RUN, replace(RUN, seconds=4.0, cpu_s=0.06, acknowledged=990), replace(RUN, seconds=1.0, p99_ms=None)]
    (line,) = figures(runs)
    assert (line.runs, line.frames_s, line.missing) == (3, 500.0, 10)
    assert line.cpu_us == pytest.approx(50.0)
    assert line.cpu_percent == pytest.approx(2.5)
    assert line.p99_ms == 40.0


def test_nothing_acknowledged_has_no_cost_and_no_latency() -> None:
    (line,) = figures([replace(RUN, acknowledged=0, p50_ms=None, p99_ms=None)])
    assert (line.cpu_us, line.p50_ms, line.p99_ms, line.missing) == (None, None, None, 1000)
    assert "nothing arrived" in report.sentence(replace(RUN, acknowledged=0))


def test_ratios_are_of_what_both_did() -> None:
    lines = figures([RUN, PEER, replace(RUN, load="ticker, saturated")])
    assert ratios(lines, "ingester", "cryptofeed") == {"trade, saturated": pytest.approx(1.0 / 900 * 1000 / 0.05)}


@pytest.mark.parametrize(("share", "value"), [(0.0, 1.0), (0.5, 3.0), (0.99, 4.0), (1.0, 4.0)])
def test_percentile(share: float, value: float) -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], share) == value
    assert percentile([], share) is None


def bars(document: str) -> list[tuple[str, float]]:
    root = ElementTree.fromstring(document)
    return [
        (rect.get("fill", ""), float(rect.get("width", "0"))) for rect in root.iter("{http://www.w3.org/2000/svg}rect")
    ][1:]  # the first one is the ground


def test_the_plot_has_a_bar_for_each_value_and_a_colour_for_each_subject() -> None:
    drawn = bars(plot([Panel("cost <µs>", [("a", "x", 1.0), ("b", "x", 10.0), ("a", "y", 100.0)])]))
    assert drawn[0][0] == drawn[2][0] != drawn[1][0]
    assert drawn[2][1] == pytest.approx(2 * drawn[1][1], abs=1)  # logarithmic
    assert bars(plot([Panel("equal", [("a", "x", 5.0)]), Panel("none", [])]))


def test_the_report_is_written_whole(tmp_path: Path) -> None:
    console = Console(record=True, width=200)
    report.write(tmp_path, CONDITIONS, [RUN, PEER], console)
    document = json.loads((tmp_path / "results.json").read_text())
    assert document["cpu_of_cryptofeed_to_ingester"]["trade, saturated"] == pytest.approx(22.2, abs=0.1)
    assert [run["subject"] for run in document["runs"]] == ["ingester", "cryptofeed"]
    assert bars((tmp_path / "results.svg").read_text())
    assert "costs cryptofeed 22.2 times the ingester's CPU" in console.export_text()


def test_a_report_that_cannot_be_written_is_said_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PipelineError, match=r"--output .*: give a folder that can be written"):
        report.refuse_unwritable(tmp_path / "file")
