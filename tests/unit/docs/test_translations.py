"""What README.md and docs/runbook.md say, their Korean versions say: block by block, but for the words.

The words are the translator's. What is the same in every language is compared: headings, lists, tables and their order,
code blocks byte for byte, and in each paragraph, item and cell the inline code, links, emphasis and numbers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from local.home.places import REPOSITORY

DOCUMENTS = [REPOSITORY / "README.md", REPOSITORY / "docs" / "runbook.md"]
HANGUL = re.compile("[가-힣]")
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
WORD = re.compile("[A-Za-z_]+")
NAMES = 3  # words: a cell of column names, a status or a product's name stands in both languages


class Block(NamedTuple):
    """A block, or the beginning or end of one; `line` counts from 1."""

    line: int
    kind: str
    verbatim: str
    marks: list[tuple[str, str]]
    prose: str


def korean(document: Path) -> Path:
    return document.with_suffix(".ko.md")


def twin(name: str, folder: Path) -> str:
    """The same document in the other language where there is one, else the name as it is."""
    if not name.endswith(".md"):
        return name
    other = name.replace(".ko.md", ".md") if name.endswith(".ko.md") else name.removesuffix(".md") + ".ko.md"
    return other if (folder / other).is_file() else name


def marks(inline: Token) -> Iterator[tuple[str, str]]:
    """Inline code, links, images, emphasis: all that is not words."""
    for child in inline.children or []:
        if child.type not in ("text", "softbreak"):
            yield child.type, str(child.attrGet("href") or child.attrGet("src") or child.content)


def blocks(document: Path) -> Iterator[Block]:
    line = 0
    for token in MarkdownIt("commonmark").enable("table").parse(document.read_text()):
        line = token.map[0] + 1 if token.map else line
        kind = f"{token.type} {token.tag} {token.info}"
        if token.type == "inline":
            prose = " ".join(child.content for child in token.children or [] if child.type == "text")
            yield Block(line, kind, "", sorted(marks(token)), prose)
        else:
            yield Block(line, kind, token.content, [], "")


def pairs(document: Path) -> Iterator[tuple[Block, Block]]:
    """One after the other, so that each difference has its place. Raises ValueError when one side ends first."""
    yield from zip(blocks(document), blocks(korean(document)), strict=True)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_both_have_the_same_blocks_code_and_links(document: Path) -> None:
    for en, ko in pairs(document):
        place = f"{korean(document).name}:{ko.line}, {document.name}:{en.line}"
        assert (ko.kind, ko.verbatim) == (en.kind, en.verbatim), place
        assert ko.marks == sorted((kind, twin(name, document.parent)) for kind, name in en.marks), place


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_the_first_link_of_each_leads_to_the_other_language(document: Path) -> None:
    for here, there in ((document, korean(document)), (korean(document), document)):
        assert ("link_open", there.name) in next(block.marks for block in blocks(here) if block.marks)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_no_number_differs(document: Path) -> None:
    """Korean may write in digits what English writes in words."""
    missing = {
        f"{korean(document).name}:{ko.line}": numbers
        for en, ko in pairs(document)
        if (numbers := Counter(NUMBER.findall(en.prose)) - Counter(NUMBER.findall(ko.prose)))
    }
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_what_is_not_translated_are_names(document: Path) -> None:
    left = {
        f"{korean(document).name}:{ko.line}": ko.prose
        for en, ko in pairs(document)
        if not HANGUL.search(ko.prose) and (ko.prose != en.prose or len(WORD.findall(ko.prose)) > NAMES)
    }
    assert not left
