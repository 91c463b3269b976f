"""The home remembers the user's ingester settings (UPBIT_*, INGESTER_*), so that a plain `up` changes none."""

from __future__ import annotations

import json
from collections.abc import Mapping

from local.errors import PipelineError
from local.home import json_file
from local.home.places import Places

PREFIXES = ("UPBIT_", "INGESTER_")
# What the runner itself gives to the ingester: no wish of a user's.
OURS = frozenset(
    {"UPBIT_WEBSOCKET_URL", "UPBIT_REST_URL", "INGESTER_HTTP_HOST", "INGESTER_HTTP_PORT", "INGESTER_SPOOL_DIR"}
)


def of_home(places: Places, environment: Mapping[str, str]) -> dict[str, str]:
    """Returns what is remembered, today's over it; an empty value forgets one. The ingester refuses unknown names."""
    try:
        remembered = dict(json.loads(places.ingester_file.read_text()))
    except FileNotFoundError:
        remembered = {}
    except (OSError, ValueError, TypeError):
        raise PipelineError(
            f"{places.ingester_file} cannot be read: remove it and give UPBIT_* and INGESTER_* again"
        ) from None
    given = {name: text for name, text in environment.items() if name.startswith(PREFIXES) and name not in OURS}
    return {name: text for name, text in {**remembered, **given}.items() if text}


def record(places: Places, settings: Mapping[str, str]) -> None:
    """Remembers the settings for later commands."""
    json_file.write(places.ingester_file, settings)
