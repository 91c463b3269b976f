"""The S3 store: SeaweedFS in one process."""

from __future__ import annotations

import json

from local.contract import read_buckets
from local.home.ports import LOOPBACK
from local.home.setting import Setting
from local.parts.http import answers
from local.parts.part import Part


def part(setting: Setting) -> Part:
    places, ports = setting.places, setting.ports
    identities = places.conf / "s3.json"
    data = places.data / "s3"
    temporary = places.short_run / "s3"
    command = (
        str(places.venv("local") / "bin" / "weed"),
        "-logtostderr=true",
        "-v=0",
        "server",
        f"-dir={data}",
        f"-ip={LOOPBACK}",
        f"-ip.bind={LOOPBACK}",
        "-filer",
        "-s3",
        f"-s3.config={identities}",
        f"-s3.port={ports['s3']}",
        f"-master.port={ports['s3_master']}",
        f"-volume.port={ports['s3_volume']}",
        f"-filer.port={ports['s3_filer']}",
        "-master.telemetry=false",
        "-master.volumeSizeLimitMB=256",
        "-volume.max=0",
        # Its readers and writers are gone when it is asked to stop.
        "-volume.preStopSeconds=0",
        # Else they lie in /tmp, where another account's would be in the way.
        f"-s3.localSocket={temporary / 's3.sock'}",
        f"-filer.localSocket={temporary / 'filer.sock'}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
    )

    def prepare() -> None:
        data.mkdir(parents=True, exist_ok=True)
        temporary.mkdir(parents=True, exist_ok=True)

    return Part(
        name="s3",
        command=command,
        # Go collects its garbage at twice what is live, however much that is: here before it needs more than this.
        environment={"TMPDIR": str(temporary), "GOMEMLIMIT": "384MiB"},
        files={identities: _identities(setting)},
        ports=("s3", "s3_master", "s3_volume", "s3_filer"),
        software=("local",),
        prepare=prepare,
        ready=lambda: answers(f"{ports.url('s3')}/healthz"),
        stop_s=45,
    )


def _identities(setting: Setting) -> str:
    """A key for each service, for the contract's buckets alone. Who makes a bucket must be its administrator here."""
    secrets, buckets = setting.credentials, read_buckets(setting.contract)
    services = {
        "airflow": (secrets.s3_access_key, secrets.s3_secret_key, ("Admin",)),
        "flink": (secrets.flink_s3_access_key, secrets.flink_s3_secret_key, ("Read", "Write", "List", "Tagging")),
    }
    identities = [
        {
            "name": name,
            "credentials": [{"accessKey": access, "secretKey": secret}],
            "actions": [f"{action}:{bucket}" for bucket in buckets for action in actions],
        }
        for name, (access, secret, actions) in services.items()
    ]
    return json.dumps({"identities": identities}, indent=1)
