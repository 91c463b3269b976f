"""1,000 frames a second for a quarter of an hour: memory, latency to the lake, CPU by part; then `down` leaves nothing.

Memory is asserted because it is a property of the software; latency and CPU are reported, because the machine is noisy.
"""

from __future__ import annotations

import bisect
import itertools
import os
import socket
import statistics
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from local.home.setting import Setting
from local.parts.exchange import exchange_status
from local.processes import orphans
from local.processes.supervisor import Supervisor
from tests.harness.home import Home
from tests.harness.waiting import until
from upbit_lake.contract.reader import load_contract
from upbit_lake.contract.settings import Settings
from upbit_lake.engines.lake.reader import ProcessReader

pytestmark = [pytest.mark.engines, pytest.mark.nightly]

SECONDS = int(os.environ.get("LOAD_SECONDS", "900"))
SAMPLE_EVERY_S = 30
MARKET = {"EXCHANGE_CODES": "250", "EXCHANGE_RATE": "1000", "EXCHANGE_SEED": "3"}
LIMIT_BYTES = 10 * 10**9
# A JVM, and likewise Go, may fill its heap before it collects: what is bounded is heap and all beside it (MB, by the
# part's name).
BOUND_MB = {"kafka": 384 + 256, "jobmanager": 944, "taskmanager": 1468, "gateway": 448 + 352, "s3": 403 + 128}
# The exchange remembers each trade for nine days, because REST reaches back seven: 41 bytes in columns that move to a
# larger place as they grow, and its minute's sums.
BYTES_A_TRADE = 200
# Of the others one whose second half of the run needs a quarter more than its first half grows without bound.
GROWTH = 1.25
SETTLED = 0.3
LOOK_BACK_MS = 120_000


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = Home(tmp_path_factory.mktemp("load"), port_offset=4000, settings=MARKET)
    with home.running("--source", "exchange"):
        yield home


def tree(pid: int) -> list[psutil.Process]:
    """A process and all its children."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def pss(processes: list[psutil.Process]) -> int:
    """Proportional set size in bytes: shared pages are counted once over all."""
    total = 0
    for process in processes:
        try:
            total += int(process.memory_full_info().pss)
        except psutil.NoSuchProcess:
            continue
    return total


def cpu(processes: list[psutil.Process]) -> float:
    """Seconds of CPU used so far."""
    total = 0.0
    for process in processes:
        try:
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
        except psutil.NoSuchProcess:
            continue
    return total


def parts(setting: Setting) -> dict[str, int]:
    return {n: int(p["pid"]) for n, p in Supervisor(setting.places).processes().items() if p["pid"]}


def test_load(pipeline: Home) -> None:
    setting = pipeline.setting
    pids = parts(setting)
    memory: dict[str, list[int]] = defaultdict(list)
    cpu_before = {name: cpu(tree(pid)) for name, pid in pids.items()}
    began_ms = int(exchange_status(setting)["clock_ms"])
    before = exchange_status(setting)["published"]
    for sample in range(1, SECONDS // SAMPLE_EVERY_S + 1):
        due = began_ms + sample * SAMPLE_EVERY_S * 1000
        until("the next sample", lambda due=due: int(exchange_status(setting)["clock_ms"]) >= due, 120)  # type: ignore[misc]
        for name, pid in pids.items():
            memory[name].append(pss(tree(pid)))
    status = exchange_status(setting)
    seconds = (int(status["clock_ms"]) - began_ms) / 1000
    published = {name: int(count) - int(before[name]) for name, count in status["published"].items()}
    rate = published["total"] / seconds
    print(f"\n{rate:.0f} frames/s over {seconds:.0f} s")
    print(f"{'part':20} {'CPU %':>7} {'PSS MB first':>13} {'last':>6} {'max':>6}")
    for name, pid in pids.items():
        used = 100 * (cpu(tree(pid)) - cpu_before[name]) / seconds
        mb = [value / 1e6 for value in memory[name]]
        print(f"{name:20} {used:7.1f} {mb[0]:13.0f} {mb[-1]:6.0f} {max(mb):6.0f}")
    totals = [sum(values) for values in zip(*memory.values(), strict=True)]
    print(f"sum of PSS: first {totals[0] / 1e9:.2f} GB, last {totals[-1] / 1e9:.2f} GB, max {max(totals) / 1e9:.2f} GB")
    # The rows of the last minute become visible while this test reads the lake, which costs CPU of its own.
    for stream, times in latencies_s(setting, began_ms, int(status["clock_ms"]) - 60_000).items():
        cuts = statistics.quantiles(times, n=100)
        print(f"exchange → visible in the lake, {stream}: p50 {cuts[49]:.1f} s, p99 {cuts[98]:.1f} s, n {len(times)}")
    assert parts(setting) == pids, "a part was restarted under load"
    assert max(totals) <= LIMIT_BYTES
    growing = [name for name, values in memory.items() if not is_bounded(name, values, published["trade"])]
    assert not growing, "\n".join(f"{name} grows: {[v // 1_000_000 for v in memory[name]]} MB" for name in growing)


def is_bounded(name: str, values: list[int], trades: int) -> bool:
    """Whether the samples (bytes) of a part stay within what it may need; `trades` were published meanwhile."""
    bound = BOUND_MB.get(name.partition("-")[0])
    if bound is not None:
        return max(values) <= bound * 1e6
    if name == "exchange":
        return max(values) - values[0] <= BYTES_A_TRADE * trades
    settled = values[int(len(values) * SETTLED) :]
    half = len(settled) // 2
    return statistics.median(settled[half:]) <= GROWTH * statistics.median(settled[:half])


def latencies_s(setting: Setting, began_ms: int, ended_ms: int) -> dict[str, list[float]]:
    """Seconds from an event's exchange time to the commit of the snapshot that made it visible, by stream.

    Of the events in [began_ms, ended_ms).
    """
    reader = ProcessReader.connect(load_contract(), Settings.from_environment(setting.service_environment))
    found = {}
    for table, column in (("trade", "trade_timestamp"), ("ticker", "timestamp"), ("orderbook", "timestamp")):
        snapshots = sorted(
            (int(row["snapshot_id"]), _ms(row["commit_time"]))
            for row in reader.rows(f'SELECT snapshot_id, commit_time FROM "{table}$snapshots"')
        )
        # Only what is young: each snapshot would otherwise be read whole.
        newest = reader.query_all(
            [
                f"SELECT max(`{column}`) AS t FROM {table} VERSION AS OF {snapshot} "
                f"WHERE `{column}` >= {committed_ms - LOOK_BACK_MS}"
                for snapshot, committed_ms in snapshots
            ]
        )
        visible = list(itertools.accumulate((answer.to_pylist()[0]["t"] or 0 for answer in newest), max))
        of_the_run = f"`{column}` >= {began_ms} AND `{column}` < {ended_ms}"
        rows = reader.rows(f"SELECT `{column}` AS t FROM {table} WHERE {of_the_run}")
        found[table] = [
            (snapshots[i][1] - row["t"]) / 1000
            for row in rows
            if (i := bisect.bisect_left(visible, row["t"])) < len(visible)
        ]
    return found


def _ms(moment: datetime) -> int:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(aware.timestamp() * 1000)


def test_down_leaves_no_process_and_no_port(pipeline: Home) -> None:
    setting = pipeline.setting
    pipeline.run("down")
    assert orphans.find(setting.places) == []
    for name, number in setting.ports.numbers.items():
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", number)) != 0, f"{name} still listens on {number}"
    assert Path(setting.places.home).exists(), "without --purge the data stays"
