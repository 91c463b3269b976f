"""One key a service, with what that service does to the contract's buckets and nothing else.

Says again what is already so: run at every start, and after a key was changed in .env. A key that no service has any
more is removed, so that an old one ends with its rotation.
"""

from __future__ import annotations

import json
import os
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from minio.credentials import StaticProvider
from minio.error import MinioAdminException
from minio.minioadmin import MinioAdmin
from urllib3.exceptions import HTTPError

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
        grant(MinioAdmin(endpoint=address.netloc, credentials=root, secure=secure), buckets, keys)
    except KeyError as missing:
        return f"s3-access: {missing.args[0]} is not set"
    except (OSError, HTTPError, MinioAdminException, ValueError) as error:
        return f"s3-access: {' '.join(str(error).split())[:300]}"
    return None


if __name__ == "__main__":
    sys.exit(main())
