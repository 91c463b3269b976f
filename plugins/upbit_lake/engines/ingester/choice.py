"""The control of the ingester's process that the settings choose."""

from __future__ import annotations

from upbit_lake.contract.settings import DockerSettings, Settings
from upbit_lake.engines.ingester.control import ControlError, IngesterControl
from upbit_lake.engines.ingester.docker import DockerControl
from upbit_lake.engines.ingester.supervisord import SupervisorControl


def ingester_control(settings: Settings) -> IngesterControl:
    """The implementation that the settings name; raises ControlError when its own setting is missing."""
    chosen = settings.ingester_control
    if isinstance(chosen, DockerSettings):
        return DockerControl(chosen.url, chosen.container)
    if not chosen.socket:
        raise ControlError("CONTROL_INGESTER_SUPERVISOR_SOCKET is not set; it is the unix socket of supervisord")
    return SupervisorControl(chosen.socket, chosen.process)
