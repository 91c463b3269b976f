"""The ingester reads the live or the local exchange: only its URLs differ."""

from __future__ import annotations

from local.home.ports import LOOPBACK
from local.home.setting import Setting
from local.home.source import LIVE_REST, LIVE_WEBSOCKET
from local.parts.http import answers
from local.parts.part import Part


def part(setting: Setting) -> Part:
    places, ports, local = setting.places, setting.ports, setting.source.is_local
    sources = places.repository / "ingester"
    address = f"{LOOPBACK}:{ports['exchange']}"
    environment = {
        **setting.ingester,
        "PYTHONPATH": str(sources),
        "PIPELINE_CONTRACT": str(setting.contract),
        "UPBIT_WEBSOCKET_URL": f"ws://{address}/websocket/v1" if local else LIVE_WEBSOCKET,
        "UPBIT_REST_URL": f"http://{address}/v1" if local else LIVE_REST,
        **setting.kafka_environment("ingester"),
        "INGESTER_HTTP_HOST": LOOPBACK,
        "INGESTER_HTTP_PORT": str(ports["ingester"]),
        "INGESTER_SPOOL_DIR": str(places.data / "spool"),
    }
    return Part(
        name="ingester",
        command=(str(places.python("ingester")), "-m", "upbit_ingester"),
        environment=environment,
        software=("ingester",),
        code=(sources,),
        ports=("ingester",),
        needs=("exchange",) if local else (),
        ready=lambda: answers(f"{ports.url('ingester')}/livez"),
        # Within a minute it is the turn of `supervise_ingester`, which also raises the alarm.
        start_retries=10,
        stop_s=30,
    )
