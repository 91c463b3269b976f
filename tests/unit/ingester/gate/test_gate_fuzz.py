"""Hunted with random frames: what the gate takes the lake takes whole, and no other frame suffers.

Each block of frames follows from its own seed; a failure names stream, block and frame.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.ingester.gate.frame_mutations import BASES, Mutator, joined, members_of
from tests.unit.ingester.gate.lake_oracle import complaint
from upbit_ingester import contract
from upbit_ingester.clock import Clock
from upbit_ingester.delivery.pump import DEAD_LETTER, Item, Pump
from upbit_ingester.gate.gate import Accepted, Control, Gate, GateResult, Rejected
from upbit_ingester.health.metrics import Metrics
from upbit_ingester.spool.gap_log import Gaps
from upbit_ingester.spool.log import Spool
from upbit_ingester.spool.record import Record
from upbit_ingester.spool.state import State
from upbit_ingester.streams.shared import Shared
from upbit_ingester.streams.stream import StreamSink

BLOCK = 1000
# 54,000 frames in CI and 1,020,000 at night through the gate; a third of that on the whole path.
BLOCKS = [18, pytest.param(340, marks=pytest.mark.nightly)]
PATH_BLOCKS = [6, pytest.param(110, marks=pytest.mark.nightly)]

# Why the gate may refuse what the lake could hold: it is no price, no topic takes it, no stack is so deep.
STRICTER = ("has an absurd exponent", "the topic takes", "recursion")
LABELS_MAX = 100


def one_line(text: str) -> bool:
    return text.isprintable() and len(text) in range(1, 501) and bool(text.encode())


def check_result(stream: str, data: bytes, result: GateResult) -> None:
    """The gate and the lake agree, and what the result says can be logged, counted and sent."""
    problem = complaint(stream, data)
    if isinstance(result, Accepted):
        assert problem is None
        assert result.code
        assert all(one_line(name) and len(name) <= 60 for name in result.unknown_fields)
        frame = json.loads(data)
        assert result.code in (frame.get("code"), frame.get("market"))
        assert result.snapshot == (frame.get("stream_type") == "SNAPSHOT")
        assert result.sequential_id == (frame["sequential_id"] if stream == "trade" else 0)
    elif isinstance(result, Rejected):
        assert problem is not None or any(words in result.reason for words in STRICTER)
        assert one_line(result.reason)
        assert result.code is None or result.code.encode() in data or "\\u" in ascii(data)
    else:
        assert problem is not None
        assert set(json.loads(data)) <= {"status", "error"}
        assert result.error is None or one_line(result.error)


@pytest.mark.parametrize("blocks", BLOCKS)
@pytest.mark.parametrize("stream", BASES)
def test_what_the_gate_takes_the_lake_takes_whole(stream: str, blocks: int) -> None:
    gate = Gate(stream)
    seen = {Accepted: 0, Rejected: 0, Control: 0}
    for block in range(blocks):
        mutator = Mutator(Random(f"{stream} {block}"))
        for number in range(BLOCK):
            data = mutator.frame(stream)
            try:
                result = gate.check(data)
                check_result(stream, data, result)
            except Exception as error:
                raise AssertionError(f"{stream} block {block} frame {number}: {data[:3000]!r}") from error
            seen[type(result)] += 1
    # A hunt that never finds a way through, or always one, proves nothing.
    total = blocks * BLOCK
    assert 0.1 * total < seen[Accepted] < 0.6 * total, seen
    assert seen[Control] > 0.005 * total, seen


ATOMS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False).map(str)
    | st.text(max_size=8)
)
VALUES = st.recursive(ATOMS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner))


@pytest.mark.parametrize("stream", BASES)
@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_any_value_in_any_member(stream: str, data: st.DataObject) -> None:
    members = members_of(BASES[stream][0])
    place = data.draw(st.integers(0, len(members) - 1))
    value = json.dumps(data.draw(VALUES), ensure_ascii=data.draw(st.booleans())).encode("utf-8", "surrogatepass")
    members[place] = (members[place][0], value)
    frame = joined(members)
    check_result(stream, frame, Gate(stream).check(frame))


def test_names_of_unknown_fields_stay_few() -> None:
    """Each becomes a metric's label for as long as the process lives."""
    gate = Gate("trade")
    names: set[str] = set()
    for number in range(3 * LABELS_MAX):
        result = gate.check(BASES["trade"][0].replace(b'{"type"', b'{"field%d":1,"type"' % number, 1))
        assert isinstance(result, Accepted)
        assert len(result.unknown_fields) == 1
        names.update(result.unknown_fields)
    assert "field0" in names
    assert len(names) <= LABELS_MAX + 1


# -- the whole path --------------------------------------------------------------------------------------------------


class Inbox(Pump):
    """Takes what is offered."""

    def __init__(self) -> None:
        self.records: list[tuple[str, Record]] = []

    def offer(self, item: Item) -> None:
        if item.record is not None:
            self.records.append((item.lane, item.record))

    def must_shed(self) -> bool:
        return False

    def is_full(self) -> bool:
        return False


class Expected:
    """What must leave the sink: (lane, number of the frame), by the rules of ingester/README.md."""

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._gate = Gate(stream)
        self._last: dict[str, tuple[int, bytes]] = {}
        self._refused: dict[str | None, bytes] = {}
        self.records: list[tuple[str, int]] = []

    def frame(self, number: int, data: bytes) -> None:
        result = self._gate.check(data)
        if isinstance(result, Rejected):
            if self._refused.get(result.code) != data:
                self.records.append((DEAD_LETTER, number))
            self._refused[result.code] = data
        elif isinstance(result, Accepted):
            if not (result.snapshot and self._last.get(result.code) == result.key):
                self.records.append((self._stream, number))
            self._last[result.code] = result.key


def neighbour(stream: str, number: int) -> bytes:
    """A live frame whose key is its own."""
    names = {"trade": b"sequential_id", "ticker": b"timestamp", "orderbook": b"timestamp"}
    members = members_of(BASES[stream][0].replace(b"SNAPSHOT", b"REALTIME"))
    name = b'"%s"' % names[stream]
    return joined([(n, b"%d" % (1_787_728_000_000 + number) if n == name else value) for n, value in members])


def alternating(stream: str, block: int) -> Iterator[bytes]:
    """Good, mutated, good, mutated, …"""
    mutator = Mutator(Random(f"path {stream} {block}"))
    for number in range(BLOCK):
        yield neighbour(stream, number) if number % 2 == 0 else mutator.frame(stream)


def run_block(stream: str, block: int, folder: Path) -> None:
    pump, metrics, expected = Inbox(), Metrics(), Expected(stream)
    clock, contracted = Clock(), contract.load(contract.DEFAULT_PATH).streams[stream]
    shared = Shared(pump, State(), metrics, Gaps(folder, clock.wall_ms), lambda: ("KRW-BTC",), lambda _: None, clock)
    sink = StreamSink(contracted, shared)
    [socket] = sink.sockets
    sink.connected(socket, ("KRW-BTC",))
    sent = list(alternating(stream, block))
    for number, data in enumerate(sent):
        sink.frame(socket, "c", number, data, 1_787_728_600_000_000_000 + number)
        expected.frame(number, data)
    found = [(lane, int(dict(record.headers)["frame"])) for lane, record in pump.records]
    assert found == expected.records
    assert {number for _, number in found} >= set(range(0, BLOCK, 2)), "a good frame is missing"
    for lane, record in pump.records:
        check_record(lane, record, sent)
    assert metrics.dead_lettered[stream] == sum(lane == DEAD_LETTER for lane, _ in found)
    check_spool([record for _, record in pump.records], folder / f"{block}")


def check_record(lane: str, record: Record, sent: list[bytes]) -> None:
    headers = dict(record.headers)
    assert record.value == sent[int(headers["frame"])]
    assert record.key
    assert set(headers) == {"source", "conn", "frame", "recv_ns", *(("reason",) if lane == DEAD_LETTER else ())}
    if lane == DEAD_LETTER:
        assert one_line(headers["reason"].decode())


def check_spool(records: list[Record], folder: Path) -> None:
    spool = Spool(folder, lambda: 0.0)
    spool.append(records)
    assert list(spool.left_over()) == records
    spool.close()


@pytest.mark.parametrize("blocks", PATH_BLOCKS)
@pytest.mark.parametrize("stream", BASES)
def test_a_bad_frame_is_kept_whole_and_its_neighbours_do_not_notice(stream: str, blocks: int, tmp_path: Path) -> None:
    for block in range(blocks):
        try:
            run_block(stream, block, tmp_path)
        except Exception as error:
            raise AssertionError(f"{stream} block {block}") from error
