"""Scenario files: when which fault goes on."""

from pathlib import Path

import pytest

from upbit_exchange.faults import scenario
from upbit_exchange.faults.scenario import ScenarioError

CODES = ("KRW-BTC", "KRW-ETH")


def load(folder: Path, text: str, replayed: bool = False) -> list[scenario.Step]:
    path = folder / "scenario.jsonl"
    path.write_text(text)
    return scenario.load(path, CODES, replayed)


def test_steps_come_by_time_whatever_the_order_of_lines(tmp_path: Path) -> None:
    steps = load(
        tmp_path,
        """# a comment

{"at": 30, "clear": "all"}
{"at": 12.5, "set": "silence", "code": "KRW-BTC", "duration": 5}
{"at": 2, "set": "close", "close_code": 1012, "stream": "trade"}
""",
    )
    assert [(step.at, step.order.name if step.order else step.clear) for step in steps] == [
        (2, "close"),
        (12.5, "silence"),
        (30, "all"),
    ]
    assert steps[0].order is not None
    assert steps[0].order.number("close_code") == 1012


def test_what_was_listed_before_can_be_named(tmp_path: Path) -> None:
    listed = '{"at": 5, "set": "list", "code": "KRW-NEW"}\n{"at": 9, "set": "silence", "code": "KRW-NEW"}\n'
    assert len(load(tmp_path, listed)) == 2
    with pytest.raises(ScenarioError, match="line 2: code 'KRW-NEW' is not listed"):
        load(tmp_path, listed.replace('"at": 5', '"at": 10'))
    with pytest.raises(ScenarioError, match="line 2: code 'KRW-ETH' is not listed"):
        load(tmp_path, '{"at":1,"set":"delist","code":"KRW-ETH"}\n{"at":2,"set":"silence","code":"KRW-ETH"}\n')


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{broken", "write a JSON object such as"),
        ("[1]", "write a JSON object such as"),
        ('{"set": "drop"}', "`at` is not a number of seconds; write a JSON object such as"),
        ('{"at": true, "set": "drop"}', "`at` is not a number"),
        ('{"at": -1, "set": "drop"}', "`at` is not a number"),
        ('{"at": 1, "set": "dorp"}', "fault 'dorp' is unknown; is it drop"),
        ('{"at": 1}', "fault '' is unknown; /_local/faults/kinds lists them"),
        ('{"at": 1, "set": "drop", "every": "often"}', "every 'often' is not a number"),
        ('{"at": 1, "clear": "everything"}', "clear 'everything' is not a fault; write its name or \"all\""),
        ('{"at": 1, "clear": "drop", "set": "drop"}', "`clear` stands alone"),
        ('{"at": 1, "set": "drop", "nested": {"a": 1}}', "drop takes no 'nested'"),
    ],
)
def test_a_wrong_line_is_named_with_its_cure(tmp_path: Path, line: str, says: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        load(tmp_path, f'{{"at": 1, "set": "drop"}}\n{line}\n')
    assert str(refused.value).startswith(f"{tmp_path}/scenario.jsonl line 2: ")
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="give --scenario a readable file"):
        scenario.load(tmp_path, CODES)


def test_a_recording_cannot_be_made_to_list(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="line 1: burst needs a market"):
        load(tmp_path, '{"at": 1, "set": "burst"}', replayed=True)
