from __future__ import annotations

import pytest

from local.errors import PipelineError
from local.home import ingester_settings
from local.home.places import Places


def test_what_was_given_once_needs_no_repetition(places: Places) -> None:
    places.home.mkdir()
    given = {"UPBIT_CODES": "KRW-BTC", "INGESTER_SILENCE_S": "30", "PATH": "/bin"}
    ingester_settings.record(places, ingester_settings.of_home(places, given))
    assert ingester_settings.of_home(places, {}) == {"UPBIT_CODES": "KRW-BTC", "INGESTER_SILENCE_S": "30"}
    assert ingester_settings.of_home(places, {"UPBIT_CODES": "KRW-ETH"})["UPBIT_CODES"] == "KRW-ETH"
    assert ingester_settings.of_home(places, {"UPBIT_CODES": ""}) == {"INGESTER_SILENCE_S": "30"}


def test_a_typo_is_left_for_the_ingester_to_refuse(places: Places) -> None:
    assert ingester_settings.of_home(places, {"UPBIT_STRAEMS": "trade"}) == {"UPBIT_STRAEMS": "trade"}


def test_what_the_runner_sets_itself_is_not_kept(places: Places) -> None:
    """A DAG task's environment holds these; they are no wish of a user's."""
    assert ingester_settings.of_home(places, {"INGESTER_URL": "http://x", "UPBIT_REST_URL": "http://y"}) == {}


@pytest.mark.parametrize("text", ["", "{", "[1]"])
def test_a_broken_record_is_refused(places: Places, text: str) -> None:
    places.home.mkdir()
    places.ingester_file.write_text(text)
    with pytest.raises(PipelineError, match=r"ingester\.json cannot be read: remove it"):
        ingester_settings.of_home(places, {})
