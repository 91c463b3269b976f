"""Staleness names the codes that have gone quiet. An alarm, not a cure: a market without trades is not a gap."""

from collections.abc import Iterable


class Staleness:
    """Staleness remembers when each code of one stream was heard.

    Times in seconds, monotonic; counted from when a code was first asked for.
    """

    def __init__(self, bound_s: float) -> None:
        """A code is quiet when it has brought no live frame for `bound_s`."""
        self.bound_s = bound_s
        self._heard: set[str] = set()  # since the last look: one step of a set is all that a frame costs
        self._last_s: dict[str, float] = {}
        self._stale: set[str] = set()

    def heard(self, code: str) -> None:
        """A live frame of `code` came."""
        self._heard.add(code)

    def look(self, codes: Iterable[str], now_s: float) -> tuple[int, set[str]]:
        """How many of `codes` are quiet for longer than the bound, and those which were not at the last look."""
        self._last_s = {code: now_s if code in self._heard else self._last_s.get(code, now_s) for code in codes}
        self._heard.clear()
        stale = {code for code, last_s in self._last_s.items() if now_s - last_s >= self.bound_s}
        fresh, self._stale = stale - self._stale, stale
        return len(stale), fresh
