"""Continuity's decisions, asked of it alone: no pump, no file, no clock; the state is the only thing that moves."""

import ast
from pathlib import Path

import pytest

from tests.unit.ingester.stream_setting import STREAMS
from upbit_ingester.continuity import continuity as module
from upbit_ingester.continuity.continuity import SILENT_LOOKS, Continuity
from upbit_ingester.continuity.pending import PATIENCE_S
from upbit_ingester.continuity.refetch import Target
from upbit_ingester.gate.gate import Accepted
from upbit_ingester.spool.gap_log import Gap, GapOpened, GapOver
from upbit_ingester.spool.state import Change, State, StreamMark
from upbit_ingester.upbit.socket import Socket

BTC = "KRW-BTC"
AT_MS = 1_785_369_600_000


def event(number: int, snapshot: bool = False) -> Accepted:
    return Accepted(BTC, AT_MS + number, snapshot, number, (number, b""))


def seen(number: int) -> Change:
    return Change("seen", "trade", BTC, AT_MS + number, AT_MS + number, number)


class Trades:
    """The trades' continuity with two sockets, after trade 5 has been kept."""

    def __init__(self, open_sockets: int = 1) -> None:
        self.state = State()
        self.state.apply(seen(5))
        self.sockets = (Socket(), Socket())
        self.continuity = Continuity(STREAMS["trade"], self.state, lambda: (BTC,), self.sockets)
        for socket in self.sockets[:open_sockets]:
            self.continuity.connected(socket, (BTC,), 100.0)

    def lost(self, socket: int, cause: str = "close_1006") -> module.Decisions:
        return self.continuity.lost(self.sockets[socket], cause, 200.0, 200 * 10**9)

    def snapshot(self, number: int, socket: int = 0) -> tuple[bool, module.Decisions]:
        return self.continuity.snapshot(self.sockets[socket], event(number, True), 0, 200.0)

    def live(self, number: int, socket: int = 0, now_s: float = 200.0) -> module.Decisions:
        return self.continuity.live(self.sockets[socket], event(number), AT_MS + number, now_s)


def test_a_known_snapshot_costs_nothing_and_an_unknown_one_is_noted_before_it_is_fetched() -> None:
    trades = Trades()
    assert trades.continuity.started(None) == (GapOpened(StreamMark(AT_MS + 5, AT_MS + 5), "down"),)
    is_news, decisions = trades.snapshot(9)
    assert is_news
    assert decisions == (Change("gap", "trade", BTC, AT_MS + 9), Target(BTC, AT_MS + 5, 9, AT_MS + 9))
    assert trades.state.trades[BTC].gap_from_ms == AT_MS + 5, "what is decided stands in the state"
    assert list(trades.live(10)) == [Gap("trade", 1, "down", AT_MS + 5, AT_MS + 10, AT_MS + 5, AT_MS + 10), GapOver()]


def test_a_loss_opens_a_gap_and_a_snapshot_of_the_last_trade_lets_it_be_dismissed() -> None:
    trades = Trades()
    assert trades.lost(0) == [GapOpened(StreamMark(AT_MS + 5, AT_MS + 5), "close_1006")]
    trades.continuity.connected(trades.sockets[0], (BTC,), 300.0)
    assert trades.snapshot(5) == (True, (Target(BTC, AT_MS + 5, 5, AT_MS + 5),)), "one that it overtook may be missing"
    assert list(trades.live(6)) == [GapOver()]
    assert trades.live(7) == ()


def test_what_the_other_socket_does_not_bring_in_time_is_fetched_and_recorded() -> None:
    trades = Trades(open_sockets=2)
    for socket in trades.sockets:
        socket.seen.add(BTC)
        socket.last_ns = 200 * 10**9
    assert trades.lost(0) == []
    trades.continuity.connected(trades.sockets[0], (BTC,), 200.0)
    assert trades.snapshot(9)[1] == [Change("gap", "trade", BTC, AT_MS + 9)]
    assert trades.continuity.look(1, False, 200.0 + PATIENCE_S - 0.1).decisions == []
    assert trades.continuity.look(2, False, 200.0 + PATIENCE_S).decisions == [
        Change("gap", "trade", BTC, AT_MS + 9),
        Target(BTC, AT_MS + 5, 9, AT_MS + 9),
        Gap("trade", 1, "stale", AT_MS + 5, AT_MS + 9, AT_MS + 5, 0),
    ]


def test_a_silence_ends_with_the_trades_of_every_code() -> None:
    trades = Trades()
    trades.snapshot(5)
    decided = [
        decision for _ in range(SILENT_LOOKS + 1) for decision in trades.continuity.look(1, False, 150.0).decisions
    ]
    assert decided == [GapOpened(StreamMark(AT_MS + 5, AT_MS + 5), "silence")]
    assert list(trades.live(8)) == [
        Change("gap", "trade", BTC, AT_MS + 8),
        Target(BTC, AT_MS + 5, 0, AT_MS + 8),
        Gap("trade", 1, "silence", AT_MS + 5, AT_MS + 8, AT_MS + 5, AT_MS + 8),
        GapOver(),
    ]


@pytest.mark.parametrize("name", ["continuity", "gap_tracker", "pending", "staleness"])
def test_what_decides_imports_nothing_to_act_with(name: str) -> None:
    tree = ast.parse((Path(module.__file__).parent / f"{name}.py").read_text(encoding="utf-8"))
    imported = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    acting = (
        "time",
        "os",
        "logging",
        "asyncio",
        "upbit_ingester.clock",
        "upbit_ingester.delivery",
        "upbit_ingester.health",
    )
    assert not [module for module in imported if module.startswith(acting)]
