"""The outcome of a bench: a table, results.json and a plot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from local.bench.loads import Figures, Run, figures, ratios
from local.bench.plot import Panel, plot
from local.bench.subjects import CRYPTOFEED, INGESTER
from local.errors import PipelineError


def refuse_unwritable(folder: Path) -> None:
    """Raises PipelineError when the report could not be written; called before the bench's ten minutes begin."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "results.json").touch()
    except OSError as error:
        raise PipelineError(f"--output {folder}: {error.strerror}: give a folder that can be written") from None


def sentence(run: Run) -> str:
    """One run as a line of progress."""
    cost = f"{run.cpu_s / run.acknowledged * 1e6:.1f} µs CPU a frame" if run.acknowledged else "nothing arrived"
    lost = run.sent - run.acknowledged
    return (
        f"{run.subject}, {run.load}: {run.acknowledged / run.seconds:,.0f} frames/s, {cost}, p99 {_ms(run.p99_ms)}"
        + (f", {lost:,} of {run.sent:,} not in Kafka" if lost else "")
    )


def write(folder: Path, conditions: dict[str, Any], runs: Sequence[Run], console: Console) -> None:
    """results.json and results.svg in `folder`, the table on the console."""
    lines = figures(runs)
    compared = ratios(lines, INGESTER, CRYPTOFEED)
    document = {
        "conditions": conditions,
        "figures": [asdict(line) for line in lines],
        "cpu_of_cryptofeed_to_ingester": compared,
        "runs": [asdict(run) for run in runs],
    }
    (folder / "results.json").write_text(json.dumps(document, indent=1))
    (folder / "results.svg").write_text(plot(_panels(lines)))
    console.print(_table(lines))
    for load, ratio in compared.items():
        console.print(f"{load}: a frame costs cryptofeed {ratio:.1f} times the ingester's CPU")
    if conditions["without_peer"]:
        console.print(f"without cryptofeed: {conditions['without_peer']}")
    console.print(f"{conditions['processor']}, {conditions['cores']} cores; {folder}/results.json, results.svg")


def _table(lines: Sequence[Figures]) -> Table:
    table = Table(title="medians: received by the subject, acknowledged by three brokers")
    for name in ("subject", "load", "frames/s", "CPU µs/frame", "CPU %", "PSS MiB", "p50 ms", "p99 ms", "not in Kafka"):
        table.add_column(name, justify="left" if name in ("subject", "load") else "right")
    for line in lines:
        table.add_row(
            line.subject,
            line.load,
            f"{line.frames_s:,.0f}",
            "-" if line.cpu_us is None else f"{line.cpu_us:.1f}",
            f"{line.cpu_percent:.0f}",
            f"{line.pss_mb:.0f}",
            _ms(line.p50_ms),
            _ms(line.p99_ms),
            f"{line.missing:,}",
        )
    return table


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _panels(lines: Sequence[Figures]) -> list[Panel]:
    return [
        Panel("CPU a frame, µs", [(line.subject, line.load, line.cpu_us) for line in lines if line.cpu_us]),
        Panel("receive to acknowledgement, p99, ms", [(n.subject, n.load, n.p99_ms) for n in lines if n.p99_ms]),
    ]
