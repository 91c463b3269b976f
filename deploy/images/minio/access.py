"""The contract's buckets, and one key a service with what that service does to them and nothing else.

Says again what is already so: run at every start, and after a key was changed in .env. A key that no service has any
more is removed, so that an old one ends with its rotation.
"""

from __future__ import annotations

import json
import os
import sys
import time
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from minio import Minio
from minio.credentials.providers import StaticProvider
from minio.error import MinioAdminException, MinioException, S3Error, ServerError
from minio.minioadmin import MinioAdmin
from urllib3.exceptions import HTTPError

PATIENCE_S = 120
READ = ("s3:GetBucketLocation", "s3:ListBucket", "s3:GetObject")
MULTIPART = ("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:ListBucketMultipartUploads")
# Flink writes lake and checkpoints. Airflow makes the buckets, reads the lake and looks for checkpoints.
SERVICES = {
    "flink": (*READ, *MULTIPART, "s3:PutObject", "s3:DeleteObject"),
    "airflow": (*READ, "s3:CreateBucket"),
}


def policy(actions: Iterable[str], buckets: Iterable[str]) -> dict[str, Any]:
    """An S3 policy that allows `actions` on `buckets` and what lies in them."""
    resources = [f"arn:aws:s3:::{bucket}{of}" for bucket in buckets for of in ("", "/*")]
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": list(actions), "Resource": resources},
            {"Effect": "Allow", "Action": ["s3:ListAllMyBuckets"], "Resource": ["arn:aws:s3:::*"]},
        ],
    }


def make_buckets(client: Minio, buckets: list[str]) -> None:
    """Those that are missing. A store that has only begun to start is waited for. Raises what the client raises."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            there = {bucket.name for bucket in client.list_buckets()}
            break
        except (HTTPError, S3Error, ServerError):
            if time.monotonic() > deadline:
                raise
            time.sleep(1)
    for bucket in buckets:
        if bucket not in there:
            client.make_bucket(bucket)
            print(f"bucket {bucket}: made")


def grant(admin: MinioAdmin, buckets: list[str], keys: dict[str, tuple[str, str]]) -> None:
    """`keys`: (access key, secret key) by service. Raises what the client raises."""
    for service, (access, secret) in keys.items():
        admin.policy_add(service, policy=policy(SERVICES[service], buckets))
        admin.user_add(access, secret)
        admin.policy_set(service, user=access)
        print(f"{service}: its key may {', '.join(SERVICES[service])} in {', '.join(buckets)}")
    for old in json.loads(admin.user_list()).keys() - {access for access, _ in keys.values()}:
        admin.user_remove(old)
        print(f"{old}: removed, no service has this key")


def main() -> str | None:
    """Returns an error in one line."""
    environment = os.environ
    try:
        buckets = sorted(tomllib.loads(Path(environment["PIPELINE_CONTRACT"]).read_text())["buckets"])
        keys = {s: (environment[f"{s.upper()}_KEY"], environment[f"{s.upper()}_SECRET"]) for s in SERVICES}
        root = StaticProvider(environment["MINIO_ROOT_USER"], environment["MINIO_ROOT_PASSWORD"])
        address = urlsplit(environment["S3_ENDPOINT"])
        secure = address.scheme == "https"
        make_buckets(Minio(endpoint=address.netloc, credentials=root, secure=secure), buckets)
        grant(MinioAdmin(endpoint=address.netloc, credentials=root, secure=secure), buckets, keys)
    except KeyError as missing:
        return f"s3-access: {missing.args[0]} is not set"
    except (OSError, HTTPError, MinioException, MinioAdminException, ValueError) as error:
        return f"s3-access: {' '.join(str(error).split())[:300]}"
    return None


if __name__ == "__main__":
    sys.exit(main())
