"""Entry point of the Flink image: `jobmanager`, `taskmanager`, `sql-gateway`, `zookeeper`, or any other command.

Flink's configuration is config.yaml beside this file, the local way's own, filled in from the environment: S3_ENDPOINT,
S3_ACCESS_KEY and S3_SECRET_KEY are required, DEFAULTS has the rest. The lines of FLINK_PROPERTIES (`key: value`) come
after it and replace what it says of the same key. KAFKA_USERNAME and KAFKA_PASSWORD are its login to Kafka (jaas.conf),
CATALOG_USER and CATALOG_PASSWORD the one to the lake's catalog (pgpass). All are written below
FLINK_TMP, never into the image.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from string import Template

HERE = Path(__file__).resolve().parent
DEFAULTS = {
    "JOBMANAGER_HOST": "jobmanager",
    "BIND_HOST": "0.0.0.0",
    "REST_HOST": "jobmanager",
    "REST_BIND_HOST": "0.0.0.0",
    "GATEWAY_BIND_HOST": "0.0.0.0",
    "REST_PORT": "8081",
    "RPC_PORT": "6123",
    "GATEWAY_PORT": "8083",
    "KAFKA_USERNAME": "",
    "KAFKA_PASSWORD": "",
    "CATALOG_USER": "paimon",
    "CATALOG_PASSWORD": "",
}
# Files with a login, by the name that config.yaml has for their paths.
LOGINS = {"JAAS": "jaas.conf", "PGPASS": "pgpass"}
# As the scripts of Flink expect them.
FILES = {
    "log4j.properties": "log4j-console.properties",
    "log4j-client.properties": "log4j-cli.properties",
    "zoo.cfg": "zoo.cfg",
}

# Command line and health address (deploy/compose/health.py) of each role.
ROLES = {
    "jobmanager": ("jobmanager.sh start-foreground", "http://${REST_BIND_HOST}:${REST_PORT}/overview"),
    "taskmanager": (
        "taskmanager.sh start-foreground -Dtaskmanager.resource-id=${HOST} -Dtaskmanager.rpc.port=6122",
        "tcp://127.0.0.1:6122",
    ),
    "sql-gateway": ("sql-gateway.sh start-foreground", "http://${GATEWAY_BIND_HOST}:${GATEWAY_PORT}/info"),
    # Not zookeeper.sh: it stays in between, and the signal to stop would end there.
    "zookeeper": ("flink-console.sh zookeeper --zkConfigFile ${CONF}/zoo.cfg --peerId 1", "tcp://127.0.0.1:2181"),
}


def configuration(template: str, values: Mapping[str, str], properties: str) -> str:
    """The text of config.yaml. Raises KeyError naming the first value that is missing."""
    text = Template(template).substitute(values)
    for key in re.findall(r"^([\w.-]+):", properties, re.MULTILINE):
        text = re.sub(rf"^{re.escape(key)}:.*\n(?:[ \t].*\n)*", "", text, flags=re.MULTILINE)
    return f"{text.rstrip()}\n{properties.strip()}".rstrip() + "\n"


def main(arguments: list[str], environment: Mapping[str, str]) -> str:
    """Writes the configuration and becomes the process; returns only an error, one line."""
    temporary = Path(environment["FLINK_TMP"])
    conf = Path(environment["FLINK_CONF_DIR"])
    values = {**DEFAULTS, **environment, "HOST": socket.gethostname(), "TMP": str(temporary), "CONF": str(conf)}
    values |= {name: f"{conf}/{file}" for name, file in LOGINS.items()}
    role = arguments[0] if arguments else ""
    try:
        # ZooKeeper has a file of its own, and needs no key of the store.
        text = "" if role == "zookeeper" else (HERE / "config.yaml").read_text()
        config = configuration(text, values, environment.get("FLINK_PROPERTIES", ""))
        os.umask(0o077)
        conf.mkdir(parents=True, exist_ok=True)
        (conf / "config.yaml").write_text(config)
        for name in LOGINS.values():
            (conf / name).write_text(Template((HERE / name).read_text()).substitute(values))
        for source, target in FILES.items():
            shutil.copyfile(HERE / source, conf / target)
        command = arguments
        if role in ROLES:
            line, health = (Template(part).substitute(values) for part in ROLES[role])
            (temporary / "health").write_text(health)
            command = [*line.split(), *arguments[1:]]
        os.execvp(command[0], command)
    except KeyError as missing:
        return f"flink: {missing.args[0]} is not set"
    except (OSError, IndexError) as error:
        return f"flink: {error}; roles: {', '.join(ROLES)}; {temporary} must be writable"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
