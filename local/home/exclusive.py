"""One command at a time changes a home."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from local.errors import PipelineError
from local.home.places import Places


@contextmanager
def exclusive(places: Places) -> Iterator[None]:
    """Holds the home's lock. Raises PipelineError when another up or down is at work."""
    try:
        places.run.mkdir(parents=True, exist_ok=True)
        handle = (places.run / "lock").open("a+")
    except OSError as error:
        raise PipelineError(
            f"cannot write {places.run}: {error.strerror}; set PIPELINE_HOME to a folder of yours"
        ) from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.seek(0)
            raise PipelineError(
                f"another ./pipeline up or down is at work on {places.home} (pid {handle.read().strip()}): wait for it"
            ) from None
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield
