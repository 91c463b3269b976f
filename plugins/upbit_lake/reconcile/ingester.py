"""Makes sure that the ingester runs and says that it is alive."""

from __future__ import annotations

from upbit_lake.engines.ingester.control import IngesterControl
from upbit_lake.engines.ingester.probe import livez, wait_live
from upbit_lake.reconcile.outcome import UNCHANGED, Outcome, State


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
