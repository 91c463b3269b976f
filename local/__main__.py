"""Entry of `./pipeline`. Runs on a bare Python: makes the runner's own environment first, then hands over to it."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from pathlib import Path

from local.arguments import parse
from local.errors import PipelineError
from local.home.environment import for_the_runner
from local.home.places import Places
from local.software.self_install import ensure_own_environment


def main() -> int:
    # Folders must be enterable by the account that PostgreSQL runs under; secrets get their own mode.
    os.umask(0o022)
    try:
        options = parse(sys.argv[1:])
        places = Places.from_environment()
        places.refuse_foreign_home()
        python = ensure_own_environment(places)
        if os.path.realpath(sys.prefix) != os.path.realpath(places.venv("local")):
            sys.stdout.flush()
            os.execve(
                python, [str(python), "-m", "local", *sys.argv[1:]], for_the_runner(os.environ, places.repository)
            )
        from local.cli import run

        return run(places, options)
    except PipelineError as error:
        print(f"pipeline: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("pipeline: interrupted; what was started stays supervised, `./pipeline status` shows it", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output has left (`./pipeline status | head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        where = _keep(traceback.format_exc())
        said = " ".join(str(error).split())[:200]
        print(f"pipeline: unexpected {type(error).__name__}: {said}; {where} has the details", file=sys.stderr)
        return 70


def _keep(details: str) -> Path:
    """Appends the stack trace to a file of the home, or of the temporary folder when there is no home to write to."""
    for folder in (Places.from_environment().logs, Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / "pipeline-error.log").open("a") as log:
                log.write(details)
            return folder / "pipeline-error.log"
        except OSError:
            continue
    return Path(os.devnull)


sys.exit(main())
