"""The Flink session cluster: one JobManager, two TaskManagers, the SQL gateway."""

from __future__ import annotations

from pathlib import Path
from string import Template

from local.contract import read_parallelism
from local.home.ports import LOOPBACK
from local.home.setting import Setting
from local.parts.http import get_json
from local.parts.part import Part

TASK_MANAGERS = ("taskmanager-1", "taskmanager-2")
SOFTWARE = ("flink", "java")
JAAS, PGPASS = "jaas.conf", "pgpass"


def parts(setting: Setting) -> list[Part]:
    places, ports = setting.places, setting.ports
    folder = places.conf / "flink"
    files = {folder / "config.yaml": config(setting), **logins(setting)}
    for name, source in (("log4j-console.properties", "log4j"), ("log4j-cli.properties", "log4j-client")):
        files[folder / name] = (places.repository / "flink" / f"{source}.properties").read_text()
    environment = {
        "JAVA_HOME": str(setting.java_home),
        "FLINK_CONF_DIR": str(folder),
        "FLINK_LOG_DIR": str(places.logs / "flink"),
        "FLINK_PID_DIR": str(places.short_run / "flink"),
        # Small machine: less native memory is held back by glibc's arenas.
        "MALLOC_ARENA_MAX": "2",
    }
    scripts = places.flink / "bin"
    rest, gateway = ports.url("flink_rest"), ports.url("gateway")
    slots = slots_of_task_managers(read_parallelism(setting.contract))

    def prepare() -> None:
        (places.logs / "flink").mkdir(parents=True, exist_ok=True)
        (places.short_run / "flink").mkdir(parents=True, exist_ok=True)

    job_manager = Part(
        name="jobmanager",
        command=(str(scripts / "jobmanager.sh"), "start-foreground"),
        # Running jobs carry these addresses: when they move, the jobs have to be submitted again.
        environment={
            **environment,
            "KAFKA_BOOTSTRAP_SERVERS": ports.kafka_bootstrap,
            "CATALOG_JDBC_URL": setting.catalog_environment["CATALOG_JDBC_URL"],
        },
        files=files,
        software=SOFTWARE,
        ports=("flink_rest", "flink_rpc"),
        prepare=prepare,
        ready=lambda: get_json(f"{rest}/overview") is not None,
    )
    task_managers = [
        Part(
            name=name,
            command=(
                *(str(scripts / "taskmanager.sh"), "start-foreground", f"-Dtaskmanager.resource-id={name}"),
                f"-Dtaskmanager.numberOfTaskSlots={slots[name]}",
            ),
            environment=environment,
            files=files,
            software=SOFTWARE,
            prepare=prepare,
            ready=lambda: (get_json(f"{rest}/overview") or {}).get("slots-total") == sum(slots.values()),
        )
        for name in TASK_MANAGERS
    ]
    sql_gateway = Part(
        name="gateway",
        command=(str(scripts / "sql-gateway.sh"), "start-foreground"),
        environment=environment,
        files=files,
        software=SOFTWARE,
        ports=("gateway",),
        prepare=prepare,
        ready=lambda: get_json(f"{gateway}/info") is not None,
    )
    return [job_manager, *task_managers, sql_gateway]


def slots_of_task_managers(parallelism: int) -> dict[str, int]:
    """The slots of each TaskManager: one for each of the streaming jobs' tasks, and one in all for batch work."""
    size, more = divmod(parallelism + 1, len(TASK_MANAGERS))
    return {name: size + (index < more) for index, name in enumerate(TASK_MANAGERS)}


def config(setting: Setting) -> str:
    """Flink's config.yaml: the template in flink/ with this home's ports, folders and keys."""
    template = Template((setting.places.repository / "flink" / "config.yaml").read_text())
    return template.substitute(
        S3_ENDPOINT=setting.ports.url("s3"),
        S3_ACCESS_KEY=setting.credentials.flink_s3_access_key,
        S3_SECRET_KEY=setting.credentials.flink_s3_secret_key,
        **dict.fromkeys(
            ("HOST", "JOBMANAGER_HOST", "BIND_HOST", "REST_HOST", "REST_BIND_HOST", "GATEWAY_BIND_HOST"), LOOPBACK
        ),
        REST_PORT=setting.ports["flink_rest"],
        RPC_PORT=setting.ports["flink_rpc"],
        GATEWAY_PORT=setting.ports["gateway"],
        TMP=setting.places.short_run / "flink",
        JAAS=login_file(setting, JAAS),
        PGPASS=login_file(setting, PGPASS),
    )


def login_file(setting: Setting, name: str) -> Path:
    """Its path stands among Java's options, in which no blank may be."""
    return setting.places.short_run / "flink" / name


def logins(setting: Setting) -> dict[Path, str]:
    """Flink's logins to Kafka and to the catalog, which no SQL, job or page of its UI ever holds."""
    values = {
        "KAFKA_USERNAME": "flink",
        "KAFKA_PASSWORD": setting.kafka_password("flink"),
        "CATALOG_USER": setting.catalog_environment["CATALOG_USER"],
        "CATALOG_PASSWORD": setting.credentials.paimon_db_password,
    }
    templates = {name: Template((setting.places.repository / "flink" / name).read_text()) for name in (JAAS, PGPASS)}
    return {login_file(setting, name): template.substitute(values) for name, template in templates.items()}
