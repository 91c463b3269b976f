"""Topics, buckets and tables: what differs is repaired when nothing is lost by it, else named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from upbit_lake.contract.model import Topic
from upbit_lake.engines.kafka.admin import FoundTopic
from upbit_lake.engines.s3 import BucketError, BucketState, state_of
from upbit_lake.reconcile.outcome import CREATED, UNCHANGED, Outcome, State
from upbit_lake.reconcile.tables import TableShape, parse_shape, plan_table
from upbit_lake.reconcile.topics import plan_topic, topic_outcome

TOPIC = Topic(3, 3, {"retention.ms": "100", "min.insync.replicas": "2"}, "t")
FOUND = FoundTopic("t", "id", 3, 3, {"retention.ms": "100", "min.insync.replicas": "2", "segment.ms": "7"})


def test_a_topic_as_wanted_is_unchanged() -> None:
    assert topic_outcome(plan_topic(TOPIC, FOUND), FOUND, acted=True) == UNCHANGED


def test_a_missing_topic_is_created() -> None:
    assert plan_topic(TOPIC, None).create
    assert topic_outcome(plan_topic(TOPIC, None), None, acted=True) == CREATED
    assert topic_outcome(plan_topic(TOPIC, None), None, acted=False) == Outcome(State.WOULD_CREATE)


def test_a_changed_setting_is_repaired() -> None:
    found = replace(FOUND, config={**FOUND.config, "retention.ms": "5"})
    plan = plan_topic(TOPIC, found)
    assert plan.settings == {"retention.ms": "100"}
    what = "retention.ms was 5, the contract says 100"
    assert topic_outcome(plan, found, acted=True) == Outcome(State.REPAIRED, (what,))
    assert topic_outcome(plan, found, acted=False) == Outcome(State.DRIFT, drift=(what,))


def test_partitions_grow_only_when_allowed_and_never_shrink() -> None:
    few, many = replace(FOUND, partitions=1), replace(FOUND, partitions=9)
    assert "allow growing" in plan_topic(TOPIC, few).drift[0]
    assert plan_topic(TOPIC, few, grow=True).grow_to == 3
    assert plan_topic(TOPIC, many, grow=True).grow_to is None
    assert "cannot take partitions away" in plan_topic(TOPIC, many, grow=True).drift[0]


def test_another_replication_is_drift() -> None:
    found = replace(FOUND, replication=1)
    outcome = topic_outcome(plan_topic(TOPIC, found), found, acted=True)
    assert outcome.state is State.DRIFT
    assert outcome.drift[0].startswith("replication 1")


def test_a_topic_can_be_repaired_and_still_differ() -> None:
    found = replace(FOUND, replication=1, config={**FOUND.config, "retention.ms": "5"})
    outcome = topic_outcome(plan_topic(TOPIC, found), found, acted=True)
    assert (outcome.state, len(outcome.drift)) == (State.DRIFT, 1)
    assert outcome.changes == ("retention.ms was 5, the contract says 100",)


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (UNCHANGED, "unchanged"),
        (
            Outcome(State.UNCHANGED, note="RESTARTING: Flink is restarting it"),
            "unchanged (RESTARTING: Flink is restarting it)",
        ),
        (CREATED, "created"),
        (Outcome(State.CREATED, ("job a from b",)), "created: job a from b"),
        (Outcome(State.WOULD_START), "would be started"),
        (Outcome(State.REPAIRED, ("a", "b")), "repaired: a; b"),
        (Outcome(State.DRIFT, drift=("a", "b"), note="repair is off"), "drift: a; b (repair is off)"),
        (Outcome(State.DRIFT, ("c",), ("a",)), "drift: a; repaired: c"),
    ],
)
def test_the_words_of_the_logs(outcome: Outcome, text: str) -> None:
    assert str(outcome) == text


def test_a_missing_bucket_is_not_taken_for_a_foreign_one() -> None:
    assert [state_of(status) for status in (200, 404, 403)] == [
        BucketState.PRESENT,
        BucketState.MISSING,
        BucketState.FORBIDDEN,
    ]
    with pytest.raises(BucketError, match="500"):
        state_of(500)


PRINTED = """CREATE TABLE `lake`.`upbit`.`t` (
  `dt` VARCHAR(2147483647) NOT NULL,
  `units` ARRAY<ROW<`a` DECIMAL(17, 8), `b` DECIMAL(17, 8)>> NOT NULL,
  `note` VARCHAR(2147483647),
  CONSTRAINT `PK_dt` PRIMARY KEY (`dt`) NOT ENFORCED
)
PARTITIONED BY (`dt`)
WITH (
  'bucket' = '2',
  'path' = 's3://x',
  'write-only' = 'true'
)
"""
WANTED = TableShape(
    (
        ("dt", "VARCHAR(2147483647) NOT NULL"),
        ("units", "ARRAY<ROW<`a` DECIMAL(17, 8), `b` DECIMAL(17, 8)>> NOT NULL"),
        ("note", "VARCHAR(2147483647)"),
    ),
    "`dt`",
    "`dt`",
    {"bucket": "2", "write-only": "true"},
)


def test_a_printed_table_is_read_back() -> None:
    assert parse_shape(PRINTED) == replace(WANTED, options={**WANTED.options, "path": "s3://x"})
    assert plan_table("`t`", WANTED, parse_shape(PRINTED)).unchanged


def test_options_are_set_and_reset() -> None:
    found = replace(WANTED, options={"bucket": "2", "write-only": "false", "extra": "1"})
    plan = plan_table("`t`", WANTED, found)
    assert [statement for statement, _ in plan.repairs] == [
        "ALTER TABLE `t` SET ('write-only' = 'true')",
        "ALTER TABLE `t` RESET ('extra')",
    ]
    assert not plan.drift


def test_an_option_that_needs_a_rewrite_is_only_reported() -> None:
    plan = plan_table("`t`", WANTED, replace(WANTED, options={"bucket": "4", "write-only": "true"}))
    assert not plan.repairs
    assert plan.drift == ("bucket was 4, the file says 2 (cannot be changed in place)",)


def test_a_new_nullable_column_at_the_end_is_added() -> None:
    plan = plan_table("`t`", WANTED, replace(WANTED, columns=WANTED.columns[:2]))
    assert plan.repairs[0][0] == "ALTER TABLE `t` ADD (`note` VARCHAR(2147483647))"


@pytest.mark.parametrize(
    "columns",
    [
        WANTED.columns[:1],  # what is missing is NOT NULL
        (*WANTED.columns, ("more", "INT")),
        (WANTED.columns[0], WANTED.columns[1], ("note", "INT")),
        (WANTED.columns[1], WANTED.columns[0], WANTED.columns[2]),
    ],
)
def test_any_other_change_of_columns_is_only_reported(columns: tuple[tuple[str, str], ...]) -> None:
    plan = plan_table("`t`", WANTED, replace(WANTED, columns=columns))
    assert plan.drift
    assert not plan.repairs


def test_a_changed_key_is_only_reported() -> None:
    plan = plan_table("`t`", WANTED, replace(WANTED, primary_key="`dt`, `hh`", partition_keys=""))
    assert len(plan.drift) == 2
