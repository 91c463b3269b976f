"""A part is one supervised process, with all that the runner knows of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


def nothing() -> None:
    """The step of a part that has none."""


@dataclass(frozen=True)
class Part:
    """One supervised process.

    Attributes:
        name: the supervisor's program name, also of its log file.
        command: argument vector; the first one is an absolute path.
        ready: True when the process does its work (not merely has a port).
        ports: names in `Ports` it listens on.
        needs: names of parts that must be ready before it starts.
        asks: names of parts that `ready` asks: started with it, but not before it.
        environment: on top of the runner's own.
        files: rendered configuration, written before the start; a change restarts the part.
        software: names of the installed parts it runs on; another release of one restarts it.
        code: folders of the checkout whose Python it runs for as long as it lives; a change restarts it.
        prepare: runs before each start, must be idempotent (format a disk, migrate a database).
        settle: runs after it is ready, must be idempotent (create databases and roles).
        user: account it runs under when the runner is root, else None.
        patience_s: how long it may take to be ready.
        start_retries: tries before the supervisor gives up, each a second further from the last (25 = 6 minutes).
        stop_signal: asks it to end, for example "TERM".
        stop_s: how long it may take to end after that.
    """

    name: str
    command: tuple[str, ...]
    ready: Callable[[], bool]
    ports: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[Path, str] = field(default_factory=dict)
    software: tuple[str, ...] = ()
    code: tuple[Path, ...] = ()
    prepare: Callable[[], None] = nothing
    settle: Callable[[], None] = nothing
    user: str | None = None
    patience_s: int = 300
    start_retries: int = 25
    stop_signal: str = "TERM"
    stop_s: int = 20
