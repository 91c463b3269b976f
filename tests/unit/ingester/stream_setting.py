"""One stream with its sockets, and what goes out of it; shared by the tests of streams, redundancy and markets."""

import json
import re
from pathlib import Path

from tests.unit.ingester.sample_frames import ORDERBOOK, TICKER, TRADE_LIVE
from upbit_ingester import contract
from upbit_ingester.clock import Clock
from upbit_ingester.continuity.refetch import Target
from upbit_ingester.delivery.pump import Item, Pump
from upbit_ingester.health.metrics import Metrics
from upbit_ingester.spool.gap_log import Gaps
from upbit_ingester.spool.state import State
from upbit_ingester.streams.shared import Shared
from upbit_ingester.streams.socket_sink import SocketSink
from upbit_ingester.streams.stream import StreamSink

STREAMS = contract.load(contract.DEFAULT_PATH).streams
SAMPLES = {"trade": TRADE_LIVE, "ticker": TICKER, "orderbook": ORDERBOOK}
DAY_MS = 1_785_369_600_000
WALL_S = DAY_MS / 1000  # our clock stands here when the monotonic one is 0
NAMES = {"trade": ("sequential_id", "trade_timestamp"), "ticker": ("timestamp",), "orderbook": ("timestamp",)}


class Inbox(Pump):
    """Takes what is offered; `shedding` plays a spool that is nearly full, `full` one that is."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.shedding = False
        self.full = False

    def offer(self, item: Item) -> None:
        self.items.append(item)

    def must_shed(self) -> bool:
        return self.shedding

    def is_full(self) -> bool:
        return self.full


class Setting:
    """One stream's sink, and what went out of it."""

    def __init__(
        self,
        stream: str,
        folder: Path,
        state: State | None = None,
        codes: tuple[str, ...] = ("KRW-BTC",),
        sockets: int = 1,
        contracted: contract.Stream | None = None,
    ) -> None:
        """`contracted`: what the contract says of the stream, where it is none of the repository's."""
        self.stream = stream
        self.pump = Inbox()
        self.metrics = Metrics()
        self.state = State() if state is None else state
        self.targets: list[Target] = []
        self.gaps_path = folder / "gaps.jsonl"
        self.codes = codes
        self.now_s = 1000.0
        clock = Clock(lambda: self.now_s, lambda: int((WALL_S + self.now_s) * 10**9))
        gaps = Gaps(folder, clock.wall_ms)
        shared = Shared(self.pump, self.state, self.metrics, gaps, lambda: self.codes, self.targets.append, clock)
        self.stream_sink = StreamSink(contracted or STREAMS[stream], shared, sockets)
        self.sinks = [SocketSink(stream, self.stream_sink, socket) for socket in self.stream_sink.sockets]
        self.sink = self.sinks[0]

    def frame(
        self, number: int, kind: str = "REALTIME", code: str = "KRW-BTC", at_s: float = 0, socket: int = 0
    ) -> None:
        self.raw(frame(self.stream, number, kind, code), at_s, socket)

    def raw(self, data: bytes, at_s: float = 0, socket: int = 0) -> None:
        self.sinks[socket].frame("c1", 1, data, int(at_s * 10**9))

    def snapshot(self, number: int, code: str = "KRW-BTC", at_s: float = 0, socket: int = 0) -> None:
        self.frame(number, "SNAPSHOT", code, at_s, socket)

    def reconnect(self, cause: str = "close_1006", socket: int = 0) -> None:
        self.sinks[socket].lost(cause)
        self.sinks[socket].connected(self.codes)

    def quiet(self, looks: int) -> None:
        """So many looks pass without a frame."""
        for _ in range(looks):
            self.look(1.0)

    def look(self, later_s: float = 0.0) -> None:
        """The look of once a second, `later_s` seconds later."""
        self.now_s += later_s
        self.stream_sink.look()

    def wall_s(self) -> float:
        """Our time now, in seconds since the epoch."""
        return WALL_S + self.now_s

    def records(self) -> list[bytes]:
        return [item.record.value for item in self.pump.items if item.record is not None]

    def marks(self) -> list[str]:
        """Kinds of the changes in the order in which the pump sees them."""
        return [item.change.kind for item in self.pump.items if item.change is not None]

    def gaps(self) -> list[str]:
        lines = self.gaps_path.read_text().splitlines() if self.gaps_path.exists() else []
        return [json.loads(line)["cause"] for line in lines]


def frame(stream: str, number: int, kind: str = "REALTIME", code: str = "KRW-BTC") -> bytes:
    """A frame whose key and time follow `number`."""
    data = SAMPLES[stream].replace(b"REALTIME", kind.encode()).replace(b"KRW-BTC", code.encode())
    for name in NAMES[stream]:
        value = number if name == "sequential_id" else DAY_MS + number
        data = re.sub(rb'"%s":[0-9]+' % name.encode(), b'"%s":%d' % (name.encode(), value), data, count=1)
    return data
