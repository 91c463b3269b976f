"""Recent frames: what the stream's other socket has brought already.

The rule: a live frame is a repetition when its bytes, all of them, are those of a frame that the stream took a short
while ago. Equal bytes are one event with one key, (code, sequential_id) or (code, timestamp[, acc_trade_volume]); two
frames that share a key and differ in a byte both go on, and the lake decides. A frame that comes later than the
window reaches goes on a second time, which the lake's keys make harmless.
"""

WINDOW_FRAMES = 32_768  # of one stream: 6 s at 5,000 frames/s, half a minute at what all markets send


class RecentFrames:
    """The set knows the last `window` frames or more, at most twice as many, 100 bytes each, for all codes together.

    It keeps Python's keyed 64-bit hash of a frame's bytes. Two different frames within one window share it once in
    about two thousand years of 5,000 frames/s.
    """

    __slots__ = ("_older", "_window", "_younger")

    def __init__(self, window: int = WINDOW_FRAMES) -> None:
        self._window = window
        self._younger: set[int] = set()
        self._older: set[int] = set()

    def __contains__(self, data: bytes) -> bool:
        fingerprint = hash(data)
        return fingerprint in self._younger or fingerprint in self._older

    def add(self, data: bytes) -> None:
        """Take note of a frame."""
        self._younger.add(hash(data))
        if len(self._younger) >= self._window:
            self._older, self._younger = self._younger, set()
