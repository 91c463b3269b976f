"""What Kafka, S3 and PostgreSQL answer to a client in the network of the data: "ok", or the last line of its error."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.compose.project import IN_AIRFLOW, Project

ASK_KAFKA = """
import json, sys
from confluent_kafka.admin import AdminClient
settings = {"bootstrap.servers": "kafka-1:9092", "socket.timeout.ms": 8000, "log_level": 0, **json.loads(sys.argv[1])}
print(sorted(AdminClient(settings).list_topics(timeout=8).topics))
"""
# A client of S3 that tries once; its login is the first argument.
S3_CLIENT = """
import json, sys, boto3, botocore.config
settings = botocore.config.Config(retries={"total_max_attempts": 1})
where = {"endpoint_url": "http://s3:9000", "region_name": "us-east-1"}
client = boto3.client("s3", config=settings, **where, **json.loads(sys.argv[1]))
"""
ASK_S3 = f"""{S3_CLIENT}
print(sorted(bucket["Name"] for bucket in client.list_buckets()["Buckets"]))
client.list_objects_v2(Bucket="paimon")
if sys.argv[2:]:
    client.delete_object(Bucket="paimon", Key=sys.argv[2])
"""
ASK_POSTGRES = """
import json, sys, psycopg2
print(psycopg2.connect(host="postgres", connect_timeout=8, **json.loads(sys.argv[1])).server_version)
"""
READ_S3 = f"""{S3_CLIENT}
import select
reads, errors = 0, []
while not select.select([sys.stdin], [], [], 0)[0]:
    try:
        found = client.list_objects_v2(Bucket="paimon", MaxKeys=1)["Contents"]
        client.get_object(Bucket="paimon", Key=found[0]["Key"])["Body"].read()
        reads += 1
    except Exception as error:
        errors.append(str(error))
print(json.dumps([reads, errors]))
"""


def ask(project: Project, code: str, *arguments: str) -> str:
    """The arguments of a program that runs where no other process may command it."""
    container = project.container("airflow-triggerer").name
    done = project.engine.try_docker("exec", container, *IN_AIRFLOW, "-c", code, *arguments)
    return "ok" if done.returncode == 0 else (done.stderr.strip().splitlines() or [""])[-1]


def ask_kafka(project: Project, user: str = "", password: str = "") -> str:
    """Lists the topics; without a user as a client that has no login."""
    login = {
        "security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": user,
        "sasl.password": password,
    }  # fmt: skip
    return ask(project, ASK_KAFKA, json.dumps(login if user else {}))


def ask_s3(project: Project, key: str, secret: str, deletes: str = "") -> str:
    """Lists the lake's files, and deletes one if it is asked to."""
    return ask(project, ASK_S3, _s3_login(key, secret), *([deletes] if deletes else []))


def _s3_login(key: str, secret: str) -> str:
    return json.dumps({"aws_access_key_id": key, "aws_secret_access_key": secret})


@contextmanager
def reading_s3(project: Project) -> Iterator[None]:
    """Reads the lake's files all through the block, each once. Raises AssertionError when a read failed.

    But for those that a stopping MinIO cancels itself: it answers 499, which no balancer sends to another node.
    """
    secrets, container = project.secrets, project.container("airflow-triggerer").name
    login = _s3_login(secrets["S3_ACCESS_KEY"], secrets["S3_SECRET_KEY"])
    command = ["docker", "exec", "--interactive", container, *IN_AIRFLOW, "-c", READ_S3, login]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=project.engine.environment, stdin=pipe, stdout=pipe, text=True) as reader:
        try:
            yield
        finally:
            said, _ = reader.communicate()
    reads, errors = json.loads(said)
    assert reads
    assert [error for error in errors if "ClientDisconnected" not in error] == []


def ask_postgres(project: Project, user: str, password: str, database: str) -> str:
    """Logs in."""
    return ask(project, ASK_POSTGRES, json.dumps({"user": user, "dbname": database, "password": password}))
