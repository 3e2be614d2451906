"""What a comment, a message or a page refers to can be read where it is: the repository has each page that it names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

from connector.sandbox.servers import PROJECT

# Neither a web address nor a part of one; a pattern such as *.md names no page.
_PAGE = re.compile(r"(?<![\w/.*:-])(?:\.{1,2}/)*((?:[\w-]+/)*[\w-]+\.md)\b(?:, \"([^\"\n]+)\")?")
_FOLDER = re.compile(r"(?<![\w/.-])(docs(?:/[\w-]+)+)/?(?![\w/.*<-])")
_HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)


@cache
def files() -> tuple[Path, ...]:
    """Everything that a commit can hold: what .gitignore names is others'."""
    ignored = [line.rstrip("/") for line in (PROJECT / ".gitignore").read_text().splitlines()] + [".git"]

    def wanted(name: str) -> bool:
        return not any(fnmatch(name, pattern) for pattern in ignored)

    found: list[Path] = []
    for folder, folders, names in os.walk(PROJECT):
        folders[:] = [name for name in folders if wanted(name)]
        found += [Path(folder, name) for name in names if wanted(name)]
    return tuple(found)


@cache
def pages() -> dict[str, Path]:
    return {path.relative_to(PROJECT).as_posix(): path for path in files() if path.suffix == ".md"}


def missing(text: str) -> Iterator[str]:
    """What the text names that is not there: pages by the end of their path, sections of a page, folders of docs/."""
    for match in _PAGE.finditer(text):
        found = [path for name, path in pages().items() if f"/{name}".endswith(f"/{match[1]}")]
        if not found:
            yield match[1]
        elif match[2] and not any(match[2] in _HEADING.findall(path.read_text("utf-8")) for path in found):
            yield match[0]
    for match in _FOLDER.finditer(text):
        if not (PROJECT / match[1]).exists():
            yield match[1]


def test_no_file_names_a_page_or_a_section_that_is_not_there() -> None:
    found = []
    for path in files():
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        # What the tests below make up.
        if path != Path(__file__):
            found += [f"{path.relative_to(PROJECT)}: {name}" for name in missing(text)]
    assert found == []


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("as docs/operating.md, operating.md and ../docs/operating.md say", []),
        ('(docs/security.md, "The token stays home")', []),
        ("[see](https://learn.microsoft.com/some/page.md) and `*.md`", []),
        ("(design.md, section 3)", ["design.md"]),
        ("docs/nowhere.md", ["docs/nowhere.md"]),
        ('(docs/security.md, "The token travels")', ['docs/security.md, "The token travels"']),
        ("the pages in docs/runbooks/ and docs/playbooks/", ["docs/playbooks"]),
    ],
)
def test_what_is_named_and_not_there_is_found(text: str, names: list[str]) -> None:
    assert list(missing(text)) == names
