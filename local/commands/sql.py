"""`./pipeline sql`: Flink's SQL client with the catalog and the Kafka sources already there."""

from __future__ import annotations

import os
from typing import NoReturn

from local import door
from local.errors import PipelineError
from local.home.environment import for_parts
from local.home.files import make_private_folder, write_private
from local.home.setting import Setting


def open_client(setting: Setting, arguments: list[str]) -> NoReturn:
    """Becomes the client; extra arguments go to Flink's script (`-f FILE`)."""
    places = setting.places
    if not places.bootstrapped.exists():
        raise PipelineError(f"{places.home} holds no lake yet: run ./pipeline up")
    make_private_folder(places.short_run)
    try:
        statements = door.of_home(setting).ask("sql-init")
    except PipelineError as error:
        raise PipelineError(f"the SQL of the session could not be rendered: {error}") from None
    # The client takes its path for a URI, in which no blank may stand.
    initial = places.short_run / "sql-client-init.sql"
    write_private(initial, statements)
    flink = {
        **for_parts(os.environ),
        **setting.service_environment,
        # It draws on the user's terminal.
        "TERM": os.environ.get("TERM", "dumb"),
        "JAVA_HOME": str(setting.java_home),
        "FLINK_CONF_DIR": str(places.conf / "flink"),
        "FLINK_LOG_DIR": str(places.logs / "flink"),
        "FLINK_PID_DIR": str(places.short_run / "flink"),
    }
    script = str(places.flink / "bin" / "sql-client.sh")
    os.execve(script, [script, "embedded", "-i", str(initial), *arguments], flink)
