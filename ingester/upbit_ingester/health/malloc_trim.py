"""Memory that a backlog has needed goes back to the system when the backlog is gone.

glibc keeps freed memory that lies below a living block, and each of librdkafka's threads has a place of its own: after
a second in which the brokers did not answer the process would stay as large as it then was.
"""

import ctypes
import threading
import time

EVERY_S = 10.0


def trim() -> None:
    """glibc gives back what it can: half a millisecond when there is nothing to give back, 10 to 20 for 100 MiB."""
    ctypes.CDLL(None).malloc_trim(0)


def trim_for_ever() -> None:
    """A thread of its own trims, and ends with the process. Does nothing where the C library is not glibc."""
    if hasattr(ctypes.CDLL(None), "malloc_trim"):
        threading.Thread(target=_run, name="malloc_trim", daemon=True).start()


def _run() -> None:
    while True:
        time.sleep(EVERY_S)
        trim()
