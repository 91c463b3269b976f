"""Each service has a key of its own, for the contract's buckets alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local.contract import read_buckets
from local.home.setting import Setting
from tests.harness.home import Home
from upbit_lake.engines.s3 import BucketError, S3Store
from upbit_lake.reconcile.buckets import reconcile_buckets
from upbit_lake.reconcile.outcome import CREATED, UNCHANGED

pytestmark = pytest.mark.engines


def client(setting: Setting, access: str, secret: str) -> Any:
    once = Config(retries={"total_max_attempts": 1})
    return boto3.client(
        "s3",
        endpoint_url=setting.ports.url("s3"),
        aws_access_key_id=access,
        aws_secret_access_key=secret,
        region_name="us-east-1",
        config=once,
    )


def airflow(setting: Setting) -> Any:
    return client(setting, setting.credentials.s3_access_key, setting.credentials.s3_secret_key)


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    """A store of its own, with the contract's buckets made with Airflow's key as the DAG does."""
    home = Home(tmp_path_factory.mktemp("s3"), port_offset=2000)
    try:
        home.up_only("s3")
        buckets = read_buckets(home.setting.contract)
        assert reconcile_buckets(S3Store(airflow(home.setting)), buckets) == dict.fromkeys(buckets, CREATED)
        yield home.setting
    finally:
        home.down()


def test_buckets_are_made_once_and_a_wrong_key_is_no_missing_bucket(setting: Setting) -> None:
    buckets = read_buckets(setting.contract)
    assert reconcile_buckets(S3Store(airflow(setting)), buckets) == dict.fromkeys(buckets, UNCHANGED)
    with pytest.raises(BucketError, match="access denied"):
        reconcile_buckets(S3Store(client(setting, "stranger", "wrong")), buckets)


def test_flinks_key_writes_reads_and_deletes_in_each_bucket_and_makes_none(setting: Setting) -> None:
    flink = client(setting, setting.credentials.flink_s3_access_key, setting.credentials.flink_s3_secret_key)
    for bucket in read_buckets(setting.contract):
        flink.put_object(Bucket=bucket, Key="a/file", Body=b"bytes")
        assert [found["Key"] for found in flink.list_objects_v2(Bucket=bucket, Prefix="a/")["Contents"]] == ["a/file"]
        assert flink.get_object(Bucket=bucket, Key="a/file")["Body"].read() == b"bytes"
        flink.delete_object(Bucket=bucket, Key="a/file")
    with pytest.raises(ClientError, match="AccessDenied"):
        flink.create_bucket(Bucket="another")


def test_airflows_key_knows_no_other_bucket(setting: Setting) -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        airflow(setting).create_bucket(Bucket="another")
    with pytest.raises(ClientError, match="AccessDenied"):
        airflow(setting).list_objects_v2(Bucket="another")


def test_a_wrong_secret_is_refused(setting: Setting) -> None:
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        client(setting, setting.credentials.s3_access_key, "guessed").list_buckets()
