from __future__ import annotations

import ctypes
import threading

import psutil
import pytest

from upbit_ingester.health import malloc_trim

BLOCKS, BLOCK_BYTES, KEPT = 40_000, 2000, 50


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library is not glibc")
def test_what_a_backlog_needed_is_given_back_although_some_of_it_lives() -> None:
    def backlog() -> None:
        blocks = [bytes(BLOCK_BYTES) for _ in range(BLOCKS)]
        living.extend(blocks[::KEPT])
        sizes.append(psutil.Process().memory_info().rss)

    living: list[bytes] = []
    sizes: list[int] = []
    thread = threading.Thread(target=backlog)  # of its own arena, as librdkafka's are
    thread.start()
    thread.join()
    malloc_trim.trim()
    given_back = sizes[0] - psutil.Process().memory_info().rss
    assert given_back > BLOCKS * BLOCK_BYTES / 2, f"{given_back} of {BLOCKS * BLOCK_BYTES} bytes"
