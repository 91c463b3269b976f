"""A synced directory keeps its files' names through a power cut."""

import os
from pathlib import Path


def sync_directory(directory: Path) -> None:
    """Sync the names in `directory`; OSError when the disk does not take them."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
