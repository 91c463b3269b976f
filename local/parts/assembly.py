"""All parts of a home, put together from its settings."""

from __future__ import annotations

import os
from collections.abc import Mapping

from local.home import credentials, ingester_settings
from local.home.places import Places
from local.home.ports import Ports
from local.home.setting import Setting
from local.home.source import Source
from local.parts import airflow, exchange, flink, ingester, kafka, postgres, s3
from local.parts.part import Part
from local.software import java

# What a name given to `up --only` stands for, beside the parts' own names.
GROUPS = {
    "kafka": kafka.NAMES,
    "flink": ("jobmanager", *flink.TASK_MANAGERS, "gateway"),
    "airflow": ("airflow-api", "airflow-dags", "airflow-scheduler", "airflow-triggerer"),
}


def setting(places: Places, source: Source, environment: Mapping[str, str] = os.environ) -> Setting:
    """Returns the home's setting; `environment` may move ports and name a Java. Raises PipelineError."""
    return Setting(
        places,
        Ports.of_home(places, environment),
        credentials.load_or_create(places),
        source,
        java.home(places, environment),
        ingester_settings.of_home(places, environment),
    )


def parts(of: Setting) -> dict[str, Part]:
    """Returns every part by name, in the order in which a person would list them."""
    built = [
        *kafka.parts(of),
        s3.part(of),
        postgres.part(of),
        *flink.parts(of),
        *airflow.parts(of),
        *([exchange.part(of)] if of.source.is_local else []),
        ingester.part(of),
    ]
    return {part.name: part for part in built}


def expand(names: list[str], known: dict[str, Part]) -> list[str]:
    """Turns part and group names into part names together with what these need and ask."""
    wanted: list[str] = []
    queue = [name for given in names for name in GROUPS.get(given, (given,))]
    while queue:
        name = queue.pop(0)
        if name in wanted or name not in known:
            continue
        wanted.append(name)
        queue += (*known[name].needs, *known[name].asks)
    return [name for name in known if name in wanted]
