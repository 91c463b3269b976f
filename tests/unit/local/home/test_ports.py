from __future__ import annotations

import socket

import psutil
import pytest

from local.errors import PipelineError
from local.home.places import Places
from local.home.ports import DEFAULTS, Ports, refuse_taken


def test_without_settings_the_defaults_hold() -> None:
    assert dict(Ports.choose({}).numbers) == DEFAULTS


def test_an_offset_moves_every_port() -> None:
    moved = Ports.choose({"PIPELINE_PORT_OFFSET": "400"})
    assert {name: number - 400 for name, number in moved.numbers.items()} == DEFAULTS


def test_one_port_alone_can_be_moved_on_top_of_the_offset() -> None:
    moved = Ports.choose({"PIPELINE_PORT_OFFSET": "400", "PIPELINE_PORT_AIRFLOW": "8080"})
    assert (moved["airflow"], moved["gateway"]) == (8080, 18483)


def test_what_the_home_recorded_holds_when_nothing_is_said() -> None:
    recorded = dict(Ports.choose({"PIPELINE_PORT_OFFSET": "400"}).numbers)
    assert Ports.choose({}, recorded)["s3"] == 18733
    assert Ports.choose({"PIPELINE_PORT_OFFSET": "0"}, recorded)["s3"] == 18333, (
        "the environment goes before the record"
    )


def test_a_home_remembers_its_ports(places: Places) -> None:
    places.home.mkdir()
    Ports.choose({"PIPELINE_PORT_OFFSET": "700"}).record(places)
    assert Ports.of_home(places, {})["airflow"] == 18780


def test_a_home_without_a_record_has_the_defaults(places: Places) -> None:
    assert dict(Ports.of_home(places, {}).numbers) == DEFAULTS


def test_a_broken_record_is_refused_by_name(places: Places) -> None:
    places.home.mkdir()
    places.ports_file.write_text('["not a table"]')
    with pytest.raises(PipelineError, match=r"ports\.json cannot be read"):
        Ports.of_home(places, {})


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"PIPELINE_PORT_OFFSET": "many"}, "PIPELINE_PORT_OFFSET='many' is not a number"),
        ({"PIPELINE_PORT_OFFSET": "50000"}, r"port 68080 for airflow is outside 1024\.\.65535"),
        ({"PIPELINE_PORT_S3": "60000"}, r"port 60000 for s3 is outside 1024\.\.55535"),
        ({"PIPELINE_PORT_AIRFLOW": "80"}, "port 80 for airflow is outside"),
        ({"PIPELINE_PORT_AIRFLOW": "18081"}, "port 18081 is given to airflow, flink_rest"),
        ({"PIPELINE_PORT_GATEWAY": "28333"}, "port 28333 is given to gateway, s3"),
        ({"PIPELINE_PORT_AIRFLO": "9000"}, "PIPELINE_PORT_AIRFLO is unknown: use PIPELINE_PORT_AIRFLOW"),
    ],
)
def test_nonsense_is_refused(environment: dict[str, str], said: str) -> None:
    with pytest.raises(PipelineError, match=said):
        Ports.choose(environment)


def test_a_taken_port_is_refused_with_its_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as neighbour:
        number = neighbour.getsockname()[1]
        with pytest.raises(PipelineError) as refused:
            refuse_taken(Ports({"gateway": number}), ("gateway",))
    said = str(refused.value)
    this = psutil.Process()
    assert f"port {number} for gateway is taken by {this.name()} (pid {this.pid})" in said
    assert "PIPELINE_PORT_GATEWAY" in said


def test_a_free_port_and_one_that_was_just_left_are_taken_for_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as neighbour:
        number = neighbour.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", number))
        served, _ = neighbour.accept()
        served.close()  # the server's side goes to TIME_WAIT
        client.close()
    refuse_taken(Ports({"gateway": number}), ("gateway",))


def test_the_s3_stores_second_port_is_looked_at_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as neighbour:
        number = neighbour.getsockname()[1]
        with pytest.raises(PipelineError, match=f"port {number} for s3 is taken"):
            refuse_taken(Ports({"s3": number - 10000}), ("s3",))
