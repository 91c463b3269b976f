"""A socket of a stream knows whether it is open, what it has brought, and whether it carries every code."""

SNAPSHOT_WAIT_S = 10.0
SILENCE = "silence"  # why a socket is given up that was open and brought nothing, and the cause of such a gap
STALE_NS = 10 * 10**9  # a socket that was quiet for so long does not count as one that carries the stream


class Socket:
    """A socket of a stream is the same one, whatever connection it has at the moment."""

    __slots__ = ("codes", "is_open", "last_ns", "recheck", "seen", "snapshots", "subscribed_s")

    def __init__(self) -> None:
        self.is_open = False
        self.codes: tuple[str, ...] = ()  # those of its subscription
        self.subscribed_s = 0.0  # monotonic
        self.last_ns = 0  # our time of the last data frame of this connection, 0 = none came
        self.snapshots: set[str] = set()  # codes whose SNAPSHOT this subscription has brought
        self.seen: set[str] = set()  # codes whose first frame of this connection was compared with what is kept
        self.recheck: set[str] = set()  # codes whose SNAPSHOT comes again because of another subscription

    def opened(self, codes: tuple[str, ...], now_s: float) -> None:
        """It is connected and has subscribed to `codes`."""
        self.is_open = True
        self.codes, self.subscribed_s = codes, now_s
        self.last_ns = 0
        for brought in (self.snapshots, self.seen, self.recheck):
            brought.clear()

    def resubscribed(self, codes: tuple[str, ...], now_s: float) -> None:
        """Its codes were replaced by `codes`; every SNAPSHOT comes again."""
        self.codes, self.subscribed_s = codes, now_s
        self.recheck = set(self.seen)
        self.snapshots.clear()

    def closed(self) -> None:
        """It is gone."""
        self.is_open = False

    def is_settled(self, now_s: float) -> bool:
        """True when every SNAPSHOT that comes has had its time."""
        return self.is_open and now_s - self.subscribed_s >= SNAPSHOT_WAIT_S

    def missing(self) -> set[str]:
        """The codes that have brought nothing on this subscription."""
        return set(self.codes).difference(self.snapshots, self.seen - self.recheck)

    def carries(self, codes: tuple[str, ...], now_s: float, now_ns: int) -> bool:
        """True when it brings what is published of `codes`, as far as can be known without waiting."""
        if not self.is_open or self.codes != codes or now_ns - self.last_ns >= STALE_NS:
            return False
        return self.is_settled(now_s) or self.snapshots.issuperset(codes)
