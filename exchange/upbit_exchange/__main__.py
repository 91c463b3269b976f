"""`python -m upbit_exchange`: exit code 0 after SIGTERM, 2 for a setting or a recording that cannot be used, 1 else."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

import uvloop

from upbit_exchange import settings
from upbit_exchange.clock import wall_ms
from upbit_exchange.exchange import open_exchange
from upbit_exchange.journal import replay
from upbit_exchange.journal.ledger import LedgerError
from upbit_exchange.server.server import serve_until_signal


def main(arguments: Sequence[str]) -> int:
    """Runs the exchange; every error a user can meet is one line on stderr."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        chosen = settings.load(arguments, os.environ, int(wall_ms()))
        recording = replay.check(chosen.replay) if chosen.replay else None
        if recording and chosen.check:
            print(f"{recording.path}: {recording.frames} frames, {len(recording.markets)} markets, all well-formed")
            return 0
        exchange = open_exchange(chosen, recording, wall_ms)
    except (settings.SettingsError, replay.RecordingError, LedgerError) as error:
        print(f"upbit_exchange: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"upbit_exchange: {error}; give a --ledger directory that can be written", file=sys.stderr)
        return 2
    try:
        uvloop.run(serve_until_signal(exchange, chosen))
    except (OSError, replay.RecordingError) as error:
        print(f"upbit_exchange: {_cure(error, chosen)}", file=sys.stderr)
        return 1
    finally:
        exchange.close()
    return 0


def _cure(error: Exception, chosen: settings.Settings) -> str:
    if isinstance(error, OSError) and "address already in use" in str(error).lower():
        return f"{chosen.host}:{chosen.port} is taken; end what listens there or give another --port"
    return f"{error}; the exchange stopped, its ledger in {chosen.ledger} is intact up to the last whole line"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
