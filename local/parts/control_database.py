"""The schema of the database `pipeline`: upgraded by the control plane's own code, saved before by PostgreSQL's."""

from __future__ import annotations

from pathlib import Path

from local import door
from local.home.setting import Setting


def upgrade(setting: Setting, pg_dump: Path) -> None:
    """Brings the schema to this code's version; a database that holds something is saved before and that is printed.

    Raises:
        PipelineError: its schema is newer than this code, it could not be saved, or an upgrade failed: it is as it was.
    """
    said = _door(setting).ask("upgrade", "--save-in", str(setting.places.dumps), "--pg-dump", str(pg_dump))
    if said:
        print(f"  {said}", end="", flush=True)


def refuse_newer(setting: Setting) -> None:
    """Raises PipelineError when a newer version of this code has upgraded the home; says nothing while it is down."""
    _door(setting).ask("upgrade", "--check")


def _door(setting: Setting) -> door.Door:
    return door.bare(setting.places, {"AIRFLOW_CONN_PIPELINE_DB": setting.database_url("pipeline")})
