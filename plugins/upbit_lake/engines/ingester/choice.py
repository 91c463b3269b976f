"""The control of the ingester's process that the settings choose."""

from __future__ import annotations

from upbit_lake.contract.settings import Settings
from upbit_lake.engines.ingester.control import ControlError, IngesterControl
from upbit_lake.engines.ingester.docker import DockerControl
from upbit_lake.engines.ingester.supervisord import SupervisorControl


def ingester_control(settings: Settings) -> IngesterControl:
    """The implementation that the settings name; raises ControlError when its own setting is missing."""
    if settings.ingester_control == "docker":
        return DockerControl(settings.ingester_docker_url, settings.ingester_process)
    if not settings.ingester_supervisor_socket:
        raise ControlError("INGESTER_SUPERVISOR_SOCKET is not set; it is the unix socket of supervisord")
    return SupervisorControl(settings.ingester_supervisor_socket, settings.ingester_process)
