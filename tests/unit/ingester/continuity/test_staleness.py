"""Codes that have gone quiet: counted, and named once."""

import logging
from pathlib import Path

import pytest

from tests.unit.ingester.stream_setting import Setting
from upbit_ingester.continuity.staleness import Staleness

BTC, ETH = "KRW-BTC", "KRW-ETH"


def test_a_code_is_stale_after_its_bound_and_named_once() -> None:
    books = Staleness(120)
    assert books.look((BTC, ETH), 0) == (0, set())
    books.heard(BTC)
    assert books.look((BTC, ETH), 119) == (0, set())
    assert books.look((BTC, ETH), 120) == (1, {ETH})
    assert books.look((BTC, ETH), 121) == (1, set())
    books.heard(ETH)
    assert books.look((BTC, ETH), 122) == (0, set())
    assert books.look((BTC, ETH), 239) == (1, {BTC})


def test_a_listing_counts_from_when_it_came_and_a_delisting_not_at_all() -> None:
    books = Staleness(120)
    books.look((BTC,), 0)
    assert books.look((BTC, ETH), 120) == (1, {BTC})
    assert books.look((ETH,), 121) == (0, set())


def test_a_stream_says_which_codes_are_quiet(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    setting = Setting("orderbook", tmp_path, codes=(BTC, ETH))
    setting.sink.connected(setting.codes)
    setting.look()
    with caplog.at_level(logging.WARNING):
        for number in range(3):
            setting.frame(number + 1, code=BTC)
            setting.snapshot(1, code=ETH)
            setting.look(60)
    assert setting.metrics.stale_markets == {"orderbook": 1}
    quiet = [line for line in caplog.messages if "brought nothing" in line]
    assert quiet == ["orderbook: 1 codes have brought nothing for 120 s: KRW-ETH"]
