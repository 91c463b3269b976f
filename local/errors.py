"""PipelineError is the one error that a user of the runner meets."""

from __future__ import annotations

import subprocess


class PipelineError(Exception):
    """Its text is one line: what is wrong, where, and what to do."""


def last_words(done: subprocess.CompletedProcess[str]) -> str:
    """Returns the last line that a failed command printed."""
    lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}, nothing said"
