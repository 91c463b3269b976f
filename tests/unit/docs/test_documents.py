"""The documents hold together: links lead somewhere, decisions have a status, and nothing cites what is not here."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from local.home.places import REPOSITORY

DECISIONS = sorted((REPOSITORY / "docs" / "decisions").glob("*.md"))
DAY = r"\d{4}-\d{2}-\d{2}"
STATUS = re.compile(rf"Status: (accepted|superseded by \[(\d{{4}})\]\(\2-[\w-]+\.md\)) · {DAY}(, changed {DAY})?")
# Documents of the workplace, and the ways in which they were cited.
ABSENT = re.compile(
    r"DESIGN\.md|LAYOUT\.md|shared/facts|upbit_api\.md|"
    r"\bfacts(: (?![A-Z]\w+[,)])| §| of (the )?(wire|exchange))|facts, section"
)
CITED = re.compile(r"docs/[\w./-]+\.(?:md|svg)(?:#[\w-]+)?|docs/decisions/\d{4}\b(?!-)")
OUTSIDE = ("http://", "https://", "mailto:")


def tracked(*patterns: str) -> list[Path]:
    """The files that git knows or would add, by pathspec."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate", "--", *patterns]
    names = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.splitlines()
    return [path for name in names if (path := REPOSITORY / name).is_file()]


@cache
def anchors(document: Path) -> frozenset[str]:
    """What GitHub makes of a document's headings: lower case, no punctuation, hyphens for blanks, doubles counted."""
    tokens = MarkdownIt("commonmark").enable("table").parse(document.read_text())
    seen: Counter[str] = Counter()
    found = set()
    for opened, inline in pairwise(tokens):
        if opened.type == "heading_open":
            text = "".join(child.content for child in inline.children or [])
            slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
            seen[slug] += 1
    return frozenset(found)


def links(document: Path) -> Iterator[str]:
    """Where the links and pictures of a document lead."""
    for token in MarkdownIt("commonmark").enable("table").parse(document.read_text()):
        for child in token.children or []:
            target = child.attrGet("href") or child.attrGet("src")
            if target:
                yield str(target)


def broken(target: str, folder: Path, own: Path) -> bool:
    """Whether a relative link from a document in `folder` leads nowhere; code cites a decision by its number alone."""
    name, _, anchor = target.partition("#")
    if name[-4:].isdecimal():
        return not any(path.name.startswith(f"{name[-4:]}-") for path in DECISIONS)
    path = folder / name if name else own
    if not path.exists():
        return True
    return bool(anchor) and path.suffix == ".md" and anchor not in anchors(path.resolve())


@pytest.mark.parametrize("document", tracked("*.md"), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    relative = [target for target in links(document) if not target.startswith(OUTSIDE)]
    assert [target for target in relative if broken(target, document.parent, document)] == []


def test_every_document_that_code_cites_is_there() -> None:
    cited = {
        f"{path.relative_to(REPOSITORY)}: {target}"
        for path in tracked("*.py", "*.sql", "*.toml", "*.sh", "*.yml", "*.yaml", "*.cfg", "*Dockerfile", "pipeline")
        for target in CITED.findall(path.read_text())
        if broken(target, REPOSITORY, path)
    }
    assert cited == set()


def test_nothing_cites_a_document_that_is_not_in_the_repository() -> None:
    found = {
        f"{path.relative_to(REPOSITORY)}:{number}: {line.strip()}"
        for path in tracked()
        if path.suffix not in (".svg", ".lock") and path != Path(__file__)
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if ABSENT.search(line)
    }
    assert found == set()


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda path: path.name)
def test_a_decision_has_its_number_a_status_and_a_date(decision: Path) -> None:
    title, blank, status, *_ = decision.read_text().splitlines()
    assert title.startswith(f"# {decision.name[:4]}. ")
    assert blank == ""
    assert STATUS.fullmatch(status), f"third line: {status!r}"


def test_decisions_are_numbered_without_a_hole() -> None:
    assert [path.name[:4] for path in DECISIONS] == [f"{number:04}" for number in range(1, len(DECISIONS) + 1)]


@pytest.mark.parametrize(
    ("line", "cites"),
    [
        ("a counter costs 0.7 µs (facts: reliability §4)", True),
        ("corrected before (facts of the exchange)", True),
        ("the rule (DESIGN.md, decision 9)", True),
        ("Decisions only; `lake_hours` gathers the facts.", False),
        ("def test_it(facts: Progress, closed: bool) -> None:", False),
    ],
)
def test_citations_are_distinguished_from_words(line: str, cites: bool) -> None:
    assert bool(ABSENT.search(line)) is cites
