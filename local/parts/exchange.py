"""The local exchange runs when this home's source is not the live one."""

from __future__ import annotations

from typing import Any

from local.home.ports import LOOPBACK
from local.home.setting import Setting
from local.parts.http import get_json
from local.parts.part import Part

# At 300 frames/s the ledger grows by 57 GB a day. Tests that compare the lake with all of it keep all (0).
LEDGER_KEEP_GB = "1"


def part(setting: Setting) -> Part:
    places, ports, source = setting.places, setting.ports, setting.source
    sources = places.repository / "exchange"
    environment = {
        "PYTHONPATH": str(sources),
        "EXCHANGE_LEDGER_KEEP_GB": LEDGER_KEEP_GB,
        **source.market,
    }
    options = ["--host", LOOPBACK, "--port", str(ports["exchange"]), "--admin-port", str(ports["exchange_admin"])]
    options += ["--ledger", str(ledger_folder(setting)), "--speed", f"{source.speed:g}"]
    if source.start:
        options += ["--start", source.start]
    if source.kind == "file":
        options += ["--replay", source.path]
    return Part(
        name="exchange",
        command=(str(places.python("exchange")), "-m", "upbit_exchange", *options),
        environment=environment,
        software=("exchange",),
        code=(sources,),
        ports=("exchange", "exchange_admin"),
        ready=lambda: get_json(f"{ports.url('exchange')}/_local/status") is not None,
    )


def exchange_status(setting: Setting) -> dict[str, Any]:
    """Returns the local exchange's clock and counters, {} for the live one or when it does not answer."""
    if not setting.source.is_local:
        return {}
    return get_json(f"{setting.ports.url('exchange')}/_local/status") or {}


def ledger_folder(setting: Setting) -> str:
    return str(setting.places.data / "ledger")
