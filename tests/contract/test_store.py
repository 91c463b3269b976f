"""The S3 store: buckets, the objects below a prefix in the order of their keys, the text of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.contract.pair import BOTH, TWIN
from tests.harness.home import Home
from tests.integration.control_plane import s3_client
from tests.twins.store import StoreTwin
from upbit_lake.contract.reader import load_contract
from upbit_lake.contract.settings import Settings
from upbit_lake.engines.s3 import BucketError, BucketState, ObjectStore, S3Store
from upbit_lake.reconcile.buckets import reconcile_buckets

BUCKET, FOREIGN = "flink", "another"
FOLDER = "contract-of-the-store"


@dataclass
class Scene:
    """A store that has the contract's buckets, and a way to put an object into it."""

    store: ObjectStore
    put: Callable[[str, str, str], None]


@pytest.fixture(params=BOTH)
def scene(request: pytest.FixtureRequest) -> Scene:
    if request.param == TWIN:
        twin = StoreTwin(foreign={FOREIGN})
        reconcile_buckets(twin, load_contract().buckets)
        return Scene(twin, twin.put)
    home: Home = request.getfixturevalue("engines")
    client = s3_client(Settings.from_environment(home.task_environment))
    reconcile_buckets(S3Store(client), load_contract().buckets)

    def put(bucket: str, key: str, text: str) -> None:
        client.put_object(Bucket=bucket, Key=key, Body=text.encode())

    return Scene(S3Store(client), put)


def test_our_buckets_are_there_and_one_that_is_not_ours_is_no_missing_one(scene: Scene) -> None:
    assert set(load_contract().buckets) <= set(scene.store.buckets())
    assert scene.store.bucket_state(BUCKET) is BucketState.PRESENT
    assert scene.store.bucket_state(FOREIGN) is BucketState.FORBIDDEN
    with pytest.raises(BucketError, match="bucket another: cannot be created"):
        scene.store.create_bucket(FOREIGN)


def test_a_bucket_that_is_there_stays_with_what_it_holds(scene: Scene) -> None:
    scene.put(BUCKET, f"{FOLDER}/kept/a", "a")
    scene.store.create_bucket(BUCKET)
    assert scene.store.read(BUCKET, f"{FOLDER}/kept/a") == "a"


def test_objects_are_those_whose_keys_begin_so_in_their_order(scene: Scene) -> None:
    for key in ("list/b", "list/a", "list/c/d", "listed"):
        scene.put(BUCKET, f"{FOLDER}/{key}", "x")
    found = [item.key.removeprefix(f"{FOLDER}/") for item in scene.store.objects(BUCKET, f"{FOLDER}/list/")]
    assert found == ["list/a", "list/b", "list/c/d"]
    assert list(scene.store.objects(BUCKET, f"{FOLDER}/none/")) == []


def test_an_object_is_its_newest_text_and_one_that_is_not_there_is_none(scene: Scene) -> None:
    assert scene.store.read(BUCKET, f"{FOLDER}/read/none") is None
    for text in ("first", "zweite ü"):
        scene.put(BUCKET, f"{FOLDER}/read/a", text)
    assert scene.store.read(BUCKET, f"{FOLDER}/read/a") == "zweite ü"
