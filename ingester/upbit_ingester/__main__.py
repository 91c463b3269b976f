"""`python -m upbit_ingester`: configured by the environment alone (ingester/README.md). Exit codes: 0 stopped and all
delivered, 1 stopped with records left in the spool, 2 wrong settings, 70 ended by the watchdog."""

import gc
import logging
import os
import sys

import uvloop

from upbit_ingester import settings
from upbit_ingester.health import logs, malloc_trim
from upbit_ingester.service import Service

EXIT_SETTINGS = 2
# Of the objects that a frame makes none is part of a cycle: looking for cycles among them every 700 objects, as Python
# does by itself, is an eighth of what a frame costs.
OBJECTS_BETWEEN_COLLECTIONS = 50_000


def main() -> int:
    """The ingester runs until it is stopped; returns the exit code."""
    try:
        loaded, warning = settings.load(os.environ), settings.warning(os.environ)
        if sys.argv[1:] == ["--check"]:
            if warning:
                print(warning, file=sys.stderr)
            return 0
        logs.set_up(loaded.log_level, loaded.log_format)
        if warning:
            logging.getLogger(__name__).warning("%s", warning)
        gc.freeze()
        gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
        malloc_trim.trim_for_ever()
        return uvloop.run(_run(loaded))
    except settings.SettingsError as error:
        print(f"upbit_ingester: {error}", file=sys.stderr)
        return EXIT_SETTINGS


async def _run(loaded: settings.Settings) -> int:
    return await Service(loaded).run()


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    # The producer's destructor may wait for brokers that are gone; everything is synced and said.
    os._exit(code)
