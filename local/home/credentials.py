"""A home's secrets are made once and stored in a file that only its owner reads."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from local.errors import PipelineError
from local.home.files import read_private, replace_private
from local.home.places import Places

# What a home lacks of these is made: an update of an older one needs no hand, a password is rotated by deleting it.
_MADE_WHEN_MISSING = frozenset(
    (
        *(f"kafka_{name}_password" for name in ("broker", "ingester", "flink", "airflow", "reader")),
        "flink_s3_access_key",
        "flink_s3_secret_key",
    )
)


@dataclass(frozen=True)
class Credentials:
    """The home's secrets. All are generated: there is no default password."""

    airflow_password: str
    airflow_fernet_key: str
    airflow_jwt_secret: str
    airflow_secret_key: str
    postgres_password: str
    airflow_db_password: str
    paimon_db_password: str
    pipeline_db_password: str
    s3_access_key: str
    s3_secret_key: str
    flink_s3_access_key: str
    flink_s3_secret_key: str
    kafka_cluster_id: str
    kafka_broker_password: str
    kafka_ingester_password: str
    kafka_flink_password: str
    kafka_airflow_password: str
    kafka_reader_password: str


def generate() -> Credentials:
    """Returns new secrets from this machine's own randomness."""

    def token() -> str:
        return secrets.token_hex(16)

    return Credentials(
        airflow_password=secrets.token_urlsafe(12),
        airflow_fernet_key=base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        airflow_jwt_secret=secrets.token_hex(32),
        airflow_secret_key=secrets.token_hex(32),
        postgres_password=token(),
        airflow_db_password=token(),
        paimon_db_password=token(),
        pipeline_db_password=token(),
        s3_access_key=secrets.token_hex(10),
        s3_secret_key=secrets.token_hex(20),
        flink_s3_access_key=secrets.token_hex(10),
        flink_s3_secret_key=secrets.token_hex(20),
        # A KRaft cluster id is a base64 UUID; a leading '-' would read as an option on the command line.
        kafka_cluster_id="u" + base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")[1:],
        kafka_broker_password=token(),
        kafka_ingester_password=token(),
        kafka_flink_password=token(),
        kafka_airflow_password=token(),
        kafka_reader_password=token(),
    )


def load_or_create(places: Places) -> Credentials:
    """Returns the home's secrets. Raises PipelineError when the file is readable by others, torn or incomplete."""
    path = places.credentials_file
    if not path.exists():
        if places.source_file.exists():
            raise PipelineError(f"{path} is gone, its home needs it: restore it, or `./pipeline down --purge`")
        return _write(path, generate())
    text = _read(path)
    found = parse(path, text)
    return found if asdict(found) == json.loads(text) else _write(path, found)


def parse(path: Path, text: str) -> Credentials:
    """Returns the secrets in `text`, and new ones where older homes have none.

    Raises:
        PipelineError: naming `path` and what is wrong.
    """
    cure = "restore it from a backup, or `./pipeline down --purge`"
    try:
        values = json.loads(text)
    except ValueError:
        raise PipelineError(f"{path} is {'not JSON' if text.strip() else 'empty'}: {cure}") from None
    names = [f.name for f in fields(Credentials)]
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise PipelineError(f"{path} is not a table of texts: {cure}")
    values = {name: secret for name, secret in asdict(generate()).items() if name in _MADE_WHEN_MISSING} | values
    wrong = [name for name in names if not values.get(name)] or sorted(set(values) - set(names))
    if wrong:
        raise PipelineError(f"{path}: empty, missing or unknown {', '.join(wrong)}: {cure}")
    return Credentials(**values)


def _read(path: Path) -> str:
    try:
        return read_private(path)
    except OSError as error:
        raise PipelineError(f"{path}: {error.strerror}: run as the account that made this home") from None


def _write(path: Path, credentials: Credentials) -> Credentials:
    replace_private(path, json.dumps(asdict(credentials), indent=1))
    return credentials
