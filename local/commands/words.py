"""The words that a reader stumbles over, and better ones: a part of `./pipeline test lint`.

Looks at every text of the repository: names, docstrings, comments, messages, documents. Alone:
`python -m local.commands.words` lists what it finds, `… --count [FOLDER]` counts it by package, here or in another
working copy.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from local.home.places import REPOSITORY

# Word (a pattern) -> what to write instead. A word counts inside names too: `made_anew`, `MadeAnew`.
WORDS: Mapping[str, str] = {
    "anew": "again, or recreated",
    "anybody": "name the part or the person",
    "doubts?": "pending, unsettled",
    "doubted": "not trusted",
    "fates?": "expected row, outcome",
    "hands[_ ]off": "blocked, or a reason to wait",
    "lettered": "dead_lettered",
    "mine": "say whose: matching_jobs, own_gaps",
    "nobody": "say what does not happen, or which part does not do it",
    "somebody": "another run, another process, a person",
    "told": "reported, given, distinguished",
}
# Right, though a poor word is in it: the metric's name, and the account of that name.
RIGHT = ("dead[_ -]lettered", '["`]nobody["`]')
# Turns of speech that read like riddles.
PHRASES: Mapping[str, str] = {
    "Kafka takes nothing": "Kafka accepts no records",
    "takes it up": "retries",
    "starts from none of": "all N restart points failed",
    "by a defect": "by an unexpected error (a bug)",
    "[Ww]hatever became of": "say what runs in which case",
    "no verdict is not a good one": "an hour without a verdict does not count as green",
    r"(?<=\}) is no (?!longer|more)": "is not a",
    r"(?<=['\"`]) is no (?!longer|more)": "is not a",
}
SUFFIXES = {".py", ".sql", ".toml", ".md", ".sh", ".yml", ".yaml", ".cfg", ".go", ".env", ".conf", ".properties"}
NAMES = {"Dockerfile", "pipeline", "run"}
# The list itself, the test that shows that it is found, and what stands as another version wrote it.
EXEMPT = ("local/commands/words.py", "tests/unit/local/commands/test_words.py", "tests/fixtures/")


def _pattern() -> re.Pattern[str]:
    """One group for each entry: a word also behind `_` or inside CamelCase, a phrase as it stands."""
    words = [rf"((?:(?<![A-Za-z])(?i:{word})|(?<=[a-z]){word[0].upper()}{word[1:]})(?![a-z]))" for word in WORDS]
    # What is right stands first and in no group, so that it is not a finding.
    return re.compile("|".join([*RIGHT, *words, *(f"({phrase})" for phrase in PHRASES)]))


_PATTERN = _pattern()
_CURES = (*WORDS.values(), *PHRASES.values())


class Finding(NamedTuple):
    """A poor word: the file below the repository, the line (from 1), the word, what to write instead."""

    path: str
    line: int
    word: str
    instead: str

    @property
    def package(self) -> str:
        """The folder at the top that the file belongs to, "." for the repository's own."""
        return self.path.split("/")[0] if "/" in self.path else "."


def find(text: str, path: str = "") -> Iterator[Finding]:
    """The poor words of a text, in order."""
    for number, line in enumerate(text.splitlines(), 1):
        for match in _PATTERN.finditer(line):
            if match.lastindex is not None:
                yield Finding(path, number, match[0], _CURES[match.lastindex - 1])


def find_all(root: Path = REPOSITORY) -> list[Finding]:
    """The poor words of every tracked text below `root`."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate"]
    names = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.splitlines()
    texts = [name for name in names if Path(name).suffix in SUFFIXES or Path(name).name in NAMES]
    return [
        finding
        for name in texts
        if not name.startswith(EXEMPT) and (root / name).is_file()
        for finding in find((root / name).read_text(encoding="utf-8"), name)
    ]


def main(arguments: list[str]) -> int:
    """Print what is found; 1 when there is any."""
    if arguments[:1] == ["--count"]:
        counts = Counter(finding.package for finding in find_all(Path(*arguments[1:]) if arguments[1:] else REPOSITORY))
        for package, count in sorted(counts.items()):
            print(f"{package}: {count}")
        print(f"all: {counts.total()}")
        return 0
    findings = find_all()
    for finding in findings:
        print(f"{finding.path}:{finding.line}: {finding.word!r}: {finding.instead}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
