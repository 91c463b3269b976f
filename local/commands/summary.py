"""The summary is what `up` prints at its end: candles, counts, addresses with credentials, what to try next."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from local.commands.query import named_rows, rows_by_table
from local.home.setting import Setting
from local.parts.airflow import USER


def print_summary(setting: Setting, console: Console, seconds: float) -> None:
    """Prints the summary of a running home; `seconds` is how long its `up` took."""
    candles = Table(title="newest candles")
    found = named_rows(setting, "newest_candles")
    for name in found[0] if found else ():
        candles.add_column(name, justify="right")
    for row in found:
        candles.add_row(*(str(value) for value in row.values()))
    console.print(candles)
    counts = Table("table", "rows", title="the lake")
    for name, number in rows_by_table(setting).items():
        counts.add_row(name, f"{number:,}")
    console.print(counts)
    console.print("addresses")
    for what, where, login in _addresses(setting):
        console.print(f"  {what:23}{where:49}{login}")
    console.print(f"up after {seconds:.0f} s. Try next:")
    console.print('  ./pipeline query "SELECT code, count(*) AS n FROM trade GROUP BY code ORDER BY n DESC LIMIT 10"')
    console.print("  ./pipeline status      ./pipeline sql      ./pipeline logs ingester -f      ./pipeline down")


def _addresses(setting: Setting) -> list[tuple[str, str, str]]:
    """(what, where, user / password) of everything a person may open."""
    ports, secrets = setting.ports, setting.credentials
    return [
        ("Airflow", ports.url("airflow"), f"{USER} / {secrets.airflow_password}"),
        ("Flink", ports.url("flink_rest"), ""),
        ("S3", ports.url("s3"), f"{secrets.s3_access_key} / {secrets.s3_secret_key}"),
        ("Kafka", ports.kafka_bootstrap, f"reader / {secrets.kafka_reader_password} (SCRAM-SHA-512)"),
        (
            "PostgreSQL (verdicts)",
            f"127.0.0.1:{ports['postgres']}/pipeline",
            f"pipeline / {secrets.pipeline_db_password}",
        ),
        ("ingester", f"{ports.url('ingester')}/metrics", ""),
    ]
