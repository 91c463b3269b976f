"""Makes sure that the ingester runs and says that it is alive."""

from __future__ import annotations

from upbit_lake.engines.clock import SYSTEM, Clock, wait_until
from upbit_lake.engines.ingester.control import ControlError, IngesterControl
from upbit_lake.engines.ingester.probe import livez
from upbit_lake.reconcile.outcome import UNCHANGED, Outcome, State

LIVE_TIMEOUT_S = 60.0
POLL_S = 0.3


def ensure_running(control: IngesterControl, url: str, repair: bool = True, dry_run: bool = False) -> Outcome:
    """Start the ingester when it does not run; gives the outcome. Raises ControlError when it does not come up."""
    state = control.state()
    if state.running and livez(url)[0]:
        return UNCHANGED
    what = f"the process is {state.word}" + (", /livez is not green" if state.running else "")
    if dry_run or not repair:
        return Outcome(State.DRIFT, drift=(what,), note="dry run" if dry_run else "repair is off")
    if not state.running:
        control.restart()
    wait_live(control, url)
    if state.running:
        return Outcome(State.UNCHANGED, note="it was still starting")
    return Outcome(State.REPAIRED, (what, "it runs now"))


def wait_live(
    control: IngesterControl,
    url: str,
    timeout_s: float = LIVE_TIMEOUT_S,
    clock: Clock = SYSTEM,
) -> None:
    """Wait until `/livez` is green; raises ControlError after `timeout_s` (seconds)."""
    live, why = wait_until(lambda: livez(url), lambda answer: bool(answer[0]), timeout_s, POLL_S, clock)
    if not live:
        said = f"/livez is red: {why}" if live is False else f"/livez at {url} does not answer"
        raise ControlError(f"the ingester is {control.state().word}, but {said}; see its log")
