"""The Flink image's configuration: the local way's own text, and what FLINK_PROPERTIES changes of it."""

from __future__ import annotations

from string import Template

import pytest

from flink.entrypoint import DEFAULTS, HERE, LOGINS, configuration

TEMPLATE = "a: ${A}\nopts: >-\n  one\n  two\n# opts: of old\nz.opts: 1\n"
REQUIRED = {"S3_ENDPOINT", "S3_ACCESS_KEY", "S3_SECRET_KEY"}


def test_without_properties_the_text_is_the_templates() -> None:
    assert configuration(TEMPLATE, {"A": "1"}, "") == TEMPLATE.replace("${A}", "1")


def test_properties_replace_a_key_with_all_its_lines_and_nothing_else() -> None:
    given = configuration(TEMPLATE, {"A": "1"}, "\nopts: three\nnew: 4\n")
    assert given == "a: 1\n# opts: of old\nz.opts: 1\nopts: three\nnew: 4\n"


def test_a_value_that_is_missing_is_named() -> None:
    with pytest.raises(KeyError, match="A"):
        configuration(TEMPLATE, {}, "")


def test_the_image_knows_every_name_of_the_configuration() -> None:
    texts = ((HERE / name).read_text() for name in ("config.yaml", *LOGINS.values()))
    names = {name for text in texts for name in Template(text).get_identifiers()}
    assert names == {*DEFAULTS, *REQUIRED, "HOST", "TMP", *LOGINS}
