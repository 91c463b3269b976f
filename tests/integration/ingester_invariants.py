"""What must hold after every fault between the exchange and Kafka, compared with the exchange's ledger."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from tests.integration.ingester_setup import (
    STREAMS,
    Kept,
    Place,
    Setup,
    assert_bytes_are_the_exchanges,
    assert_missing_only_in_gaps,
    gaps_of,
    wait_for_every_trade,
)


def segments(setup: Setup) -> list[Path]:
    """The segment files in the spool."""
    return list((setup.folder / "spool").glob("*/*.seg"))


def assert_heals(setup: Setup, shed: tuple[str, ...] = ()) -> None:
    """No trade is missing, everything else is in Kafka or inside a recorded gap, bytes and order are the exchange's.

    `shed`: streams of which frames were dropped for want of room while their connection went on.
    """
    wait_for_every_trade(setup)
    assert setup.stop_ingester() == 0
    assert segments(setup) == []
    for stream in STREAMS:
        kept = setup.kept(stream)
        assert kept.null_keys == 0
        assert_order_is_kept(kept)
        if stream not in shed:
            assert_connections_have_no_hole(setup, stream, kept)
    for stream in ("ticker", "orderbook"):
        assert_missing_only_in_gaps(setup, stream)
        assert_bytes_are_the_exchanges(setup, stream)
    assert list(setup.records("dead-letter")) == []


def assert_nothing_was_missed(setup: Setup) -> None:
    """As `assert_heals`, and the fault has not even cost a gap or a request: the socket was never lost."""
    assert_heals(setup)
    assert [gaps_of(setup, stream) for stream in STREAMS] == [[], [], []]
    assert setup.kept("trade").sources == {"ws"}


def assert_order_is_kept(kept: Kept) -> None:
    """Per code: what is sent again after a restart begins further back, and goes on in order from there."""
    for code, places in kept.order.items():
        assert list(dict.fromkeys(places)) == sorted(set(places)), code
        assert list(dict.fromkeys(reversed(places))) == sorted(set(places), reverse=True), code


def assert_connections_have_no_hole(setup: Setup, stream: str, kept: Kept) -> None:
    """What one connection brought is a stretch of the ledger without a hole, whatever was killed meanwhile."""
    numbers = {key: number for number, key in enumerate(setup.published(stream))}
    connections: dict[tuple[int, int], list[tuple[Place, int]]] = defaultdict(list)
    for place, key in kept.live.items():
        connections[place.run, place.connection].append((place, numbers[key]))
    for connection, brought in connections.items():
        found = [number for _, number in sorted(brought)]
        assert found == list(range(found[0], found[0] + len(found))), (stream, connection)
