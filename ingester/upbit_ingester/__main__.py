"""`python -m upbit_ingester`: configured by the environment alone (ingester/README.md). Exit codes: 0 stopped and all
delivered, 1 stopped with records left in the spool, 2 wrong settings, 70 ended by the watchdog."""

import logging
import os
import sys
import time

import uvloop

from upbit_ingester import settings
from upbit_ingester.service import Service

EXIT_SETTINGS = 2


def main() -> int:
    """Run the ingester; the exit code."""
    try:
        loaded = settings.load(os.environ)
        if sys.argv[1:] == ["--check"]:
            return 0
        _log_to_stderr(loaded.log_level)
        return uvloop.run(_run(loaded))
    except settings.SettingsError as error:
        print(f"upbit_ingester: {error}", file=sys.stderr)
        return EXIT_SETTINGS


async def _run(loaded: settings.Settings) -> int:
    return await Service(loaded).run()


def _log_to_stderr(level: str) -> None:
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("websockets").setLevel(logging.WARNING)
    logging.getLogger("librdkafka").addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """Failed connects come a second time through the producer's error callback, which says them once a minute."""
    return "FAIL [" not in record.getMessage()


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    # The producer's destructor may wait for brokers that are gone; everything is synced and said.
    os._exit(code)
