"""The documentation keeps its word: links lead somewhere, examples load and give what they say, tables match the code.

Nothing here needs a network. Examples write `…` for the ids of a provisioning app, which nobody else's are of use to;
`_whole` puts some ids there.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest

from connector import __main__ as command_line
from connector.commands import COMMANDS as KNOWN_COMMANDS
from connector.feed.file_options import FileOptions, Format
from connector.feed.model import Feed
from connector.mapping import load_feed
from connector.mapping.expressions.expression_error import ExpressionError
from connector.mapping.expressions.interpreter import Surroundings, evaluate
from connector.mapping.expressions.parser import parse
from connector.mapping.expressions.signatures import REFUSED, SIGNATURES
from connector.mapping.expressions.values import IGNORE, Cell, ValueFault
from connector.outside.settings import DEFAULTS, NAMES
from connector.reporting.csv_files import OUTCOMES_HEADER, REJECTS_HEADER
from connector.reporting.outcomes import outcome_of
from connector.sandbox.servers import PROJECT
from connector.vocabulary.event import Event
from connector.vocabulary.run import ProblemCode, State
from connector.vocabulary.summary import Outcomes, Rows, Summary
from tests.kit.command import command
from tests.rules.test_rooms import BESIDE, ROOMS

ROOT = PROJECT
SAMPLES = ROOT / "tests" / "samples" / "docs"
GUIDES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = [
    *GUIDES,
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*/**/*.md")),
    *sorted((ROOT / "infra").glob("**/*.md")),
]

# When the drop of the examples landed: what Now() gives.
LANDED = datetime(2021, 8, 25, 17, 41, 18, tzinfo=UTC)
TABLES = {"cities": {"HQ": "Berlin", "F1": "Paris"}}
RUN_HERE = {"check", "eval", "import-psd1", "new", "preview"}
"""Commands that need neither storage nor network."""

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)|^\[[^\]]+\]:\s*(\S+)", re.MULTILINE)
_HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
_CODE = re.compile(r"`([^`]*)`")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of that language."""
    return [text for found, text in _FENCE.findall(page.read_text(encoding="utf-8")) if found == language]


def prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    found: set[str] = set()
    for heading in _HEADING.findall(prose(page)):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        count = 0
        while (unique := f"{slug}-{count}" if count else slug) in found:
            count += 1
        found.add(unique)
    return found


def rows(page: Path, *header: str) -> list[list[str]]:
    """The rows of every table with exactly this header."""
    found: list[list[str]] = []
    inside = False
    for line in prose(page).splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] if line.startswith("|") else []
        if cells == list(header):
            inside = True
        elif not cells:
            inside = False
        elif inside and not set("".join(cells)) <= set("-: "):
            found.append(cells)
    return found


def codes(cell: str) -> list[str]:
    return _CODE.findall(cell)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    broken = []
    for match in _LINK.finditer(re.sub(r"`[^`\n]*`", "`", prose(page))):
        link = match[1] or match[2]
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if (
            not target.exists()
            or (target.is_dir() and not any(target.iterdir()))
            or (anchor and anchor not in anchors(target))
        ):
            broken.append(link)
    assert broken == []


def test_the_index_names_every_guide() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    guides = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert {guide for guide in guides if f"({guide})" not in index} == set()


# Feed files


def _whole(text: str) -> bytes:
    """An example as a feed file: with ids for `…`, and with what a fragment leaves out."""
    job = "API2AAD." + "0" * 32 + ".00000000-0000-0000-0000-000000000000"
    text = text.replace("API2AAD.…", job).replace("servicePrincipals/…", "servicePrincipals/" + "0" * 8)
    if not re.search(r"^mapping:", text, re.MULTILINE):
        text += '\nmapping:\n  externalId: "[WorkerID]"\n'
    if not re.search(r"^endpoint:", text, re.MULTILINE):
        text += "\nendpoint: https://graph.microsoft.com/v1.0/servicePrincipals/0/synchronization/jobs/0/bulkUpload\n"
    return text.encode()


@pytest.mark.parametrize(
    ("page", "text"),
    [
        pytest.param(page, text, id=f"{name_of(page)}-{n}")
        for page in GUIDES
        for n, text in enumerate(blocks(page, "yaml"))
    ],
)
def test_every_example_of_a_feed_file_is_accepted(page: Path, text: str) -> None:
    feed = load_feed(_whole(text), name="feeds/example.yaml", files=lambda _: b"site,region\nHQ,East\n")
    assert feed.mapping.columns[0] == "WorkerID", name_of(page)


FEED_FILES = ROOT / "docs" / "feed-files.md"


def test_every_key_of_a_feed_file_is_explained() -> None:
    keys = [codes(row[0])[0] for row in rows(FEED_FILES, "key", "what it says", "default")]
    assert sorted(keys) == sorted(set(Feed.model_fields) - {"name"})
    options = [codes(row[0])[0] for row in rows(FEED_FILES, "key of `file`", "for", "meaning", "default")]
    assert sorted(options) == sorted(FileOptions.model_fields)
    formats = [
        name for row in rows(FEED_FILES, "format", "recognised by", "rows and columns") for name in codes(row[0])
    ]
    assert sorted(formats) == sorted(get_args(Format))


# Expressions


def _examples() -> Iterator[list[str]]:
    for _, _, example, row, gives in rows(FEED_FILES, "function", "what to know", "example", "row", "gives"):
        yield [example, row, gives]
    for _, _, example, row, here in rows(FEED_FILES, "subject", "Entra", "example", "row", "here"):
        yield [example, row, here]


def _value(text: str) -> Cell:
    return json.loads(text) if text.startswith("[") else text


def _shown(expression: str, row: dict[str, Cell]) -> Cell:
    """What the table shows for a result."""
    try:
        root = parse(expression, tables=TABLES).root
        value = evaluate(root, Surroundings(row=row, now=LANDED, tables=TABLES))
    except ExpressionError:
        return "*refused*"
    except ValueFault:
        return "*rejected*"
    return "*left out*" if value is IGNORE else "*nothing*" if value is None else value


@pytest.mark.parametrize(("example", "row", "gives"), list(_examples()))
def test_every_example_of_a_function_gives_what_its_table_says(example: str, row: str, gives: str) -> None:
    cells = {name: _value(value) for name, _, value in (cell.partition("=") for cell in codes(row))}
    (expression,) = codes(example)
    assert _shown(expression, cells) == (_value(codes(gives)[0]) if codes(gives) else gives)


def test_every_function_has_an_example_or_a_reason() -> None:
    table = rows(FEED_FILES, "function", "what to know", "example", "row", "gives")
    assert {codes(row[0])[0] for row in table} == set(SIGNATURES)
    assert [row[0] for row in table if not codes(row[2])[0].startswith(codes(row[0])[0] + "(")] == []
    refused = {name for row in rows(FEED_FILES, "function", "why", "instead") for name in codes(row[0])}
    assert refused == set(REFUSED)


# Commands


def _commands() -> Iterator[tuple[str, list[str]]]:
    for page in GUIDES:
        for line in "".join(blocks(page, "sh")).splitlines():
            if line.startswith("python -m connector"):
                yield name_of(page), shlex.split(line, comments=True)[3:]


def _cases(commands: Iterable[tuple[str, list[str]]]) -> list[object]:
    return [pytest.param(words, id=f"{page}: {' '.join(words)}") for page, words in commands]


def _without_redirection(words: list[str]) -> list[str]:
    return words[: words.index(">")] if ">" in words else words


@pytest.mark.parametrize("words", _cases(_commands()))
def test_every_command_of_the_guides_is_one(words: list[str]) -> None:
    assert command_line.parser(words[0]).parse_args(_without_redirection(words)).command == words[0]


@pytest.mark.parametrize("words", _cases(case for case in _commands() if case[1][0] in RUN_HERE))
def test_every_command_that_needs_no_account_runs_as_it_stands(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for sample in SAMPLES.iterdir():
        shutil.copy(sample, tmp_path)
    monkeypatch.chdir(tmp_path)
    ran = command(*_without_redirection(words))
    assert (ran.code, "Traceback" in ran.errors) == (0, False), ran.errors
    assert ran.output or "--out" in words


def test_the_steps_that_eval_is_shown_to_print_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    shown = blocks(FEED_FILES, "text")
    for page, words in _commands():
        if page == name_of(FEED_FILES) and words[0] == "eval" and "--row" not in words:
            assert command_line.main(words) == 0
            assert capsys.readouterr().out == shown.pop(0)
    assert shown == []


# Settings, states, problems, summaries


def _settings(page: Path) -> dict[str, str]:
    """Setting to default, of a table; `a, b` in one row share a default, or have one each. `__x` is HR_STORAGE's."""
    found: dict[str, str] = {}
    for setting, _, default in rows(page, "setting", "meaning", "default"):
        names = ["HR_STORAGE" + name if name.startswith("__") else name for name in codes(setting)]
        values = codes(default) or [""]
        found |= dict(zip(names, values if len(values) == len(names) else values * len(names), strict=True))
    return found


@pytest.mark.parametrize("page", [page for page in GUIDES if _settings(page)], ids=name_of)
def test_a_table_of_settings_has_the_codes_names_and_defaults(page: Path) -> None:
    table = _settings(page)
    assert table == {name: DEFAULTS.get(name, "") for name in NAMES if name in table}


def test_every_setting_is_in_the_table_of_operating() -> None:
    assert set(_settings(ROOT / "docs" / "operating.md")) == NAMES


OPERATING = ROOT / "docs" / "operating.md"


def test_every_problem_code_that_the_code_can_write_is_explained_and_no_other() -> None:
    table = rows(OPERATING, "code", "what it means", "goes on by itself", "what to do")
    assert sorted(codes(row[0])[0] for row in table) == sorted(ProblemCode)


def test_states_and_the_fields_of_a_summary_are_explained() -> None:
    states = [codes(row[0])[0] for row in rows(OPERATING, "state", "meaning", "what ends it")]
    assert sorted(states) == sorted(state.value for state in State)
    outer: set[str] = set()
    inner: dict[str, set[str]] = {"rows": set(), "outcomes": set()}
    for row in rows(OPERATING, "field", "meaning"):
        for name in codes(row[0]):
            section, _, rest = name.rpartition(".")
            if not _:
                outer.add(rest)
            else:
                inner[section or "outcomes"].add(rest)
    assert outer | set(inner) == {field.name for field in fields(Summary)} | {"failures"}
    assert inner == {"rows": {f.name for f in fields(Rows)}, "outcomes": {f.name for f in fields(Outcomes)}}


def test_the_columns_of_the_csv_files_are_named_in_order() -> None:
    table = {codes(row[0])[0]: tuple(codes(row[2])) for row in rows(OPERATING, "file", "one line for", "columns")}
    assert table == {"<run>.outcomes.csv": OUTCOMES_HEADER, "<run>.rejects.csv": REJECTS_HEADER}


# Architecture


def test_the_table_of_rooms_has_the_order_that_the_code_is_held_to() -> None:
    table = [tuple(codes(cells[0])) for cells in rows(ROOT / "docs" / "architecture.md", "room", "job")]
    assert table == [*reversed(ROOMS), tuple(BESIDE)]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_test_that_a_page_names_exists(page: Path) -> None:
    missing = []
    for path, test in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page.read_text(encoding="utf-8")):
        file = ROOT / path
        if not file.is_file() or (test and f"def {test}(" not in file.read_text(encoding="utf-8")):
            missing.append((path, test))
    assert missing == []


# Contracts, Entra's side, decisions


def test_the_table_of_commands_has_every_command_and_says_what_its_help_says() -> None:
    table = rows(ROOT / "docs" / "contracts.md", "command", "what it does", "ends with")
    assert {codes(name)[0]: about for name, about, _ in table} == {
        name: about for name, (_, about) in KNOWN_COMMANDS.items()
    }


def test_a_command_ends_only_with_codes_that_are_explained() -> None:
    page = ROOT / "docs" / "contracts.md"
    used = {code for row in rows(page, "command", "what it does", "ends with") for code in row[2].split(", ")}
    assert used == {code for code, _ in rows(page, "exit code", "meaning")}


def test_what_the_log_says_has_the_outcome_that_the_page_of_entra_states() -> None:
    at = datetime(2026, 11, 24, tzinfo=UTC)
    table = rows(ROOT / "docs" / "entra.md", "action", "status", "outcome")
    said = {
        (action, status): outcome.partition(",")[0]
        for actions, statuses, outcome in table
        for action in codes(actions) or ["whatever"]
        for status in statuses.split(", ")
    }
    found = {
        (action, status): outcome_of([Event(id="1", at=at, person="1", action=action, status=status)])[0].value
        for action, status in said
    }
    assert said == found


def test_the_index_of_decisions_has_every_page_by_its_title() -> None:
    folder = ROOT / "docs" / "decisions"
    index = dict(re.findall(r"^\| \[(.+?)\]\((.+?)\) \|", (folder / "README.md").read_text("utf-8"), re.MULTILINE))
    pages = {page.name: page.read_text("utf-8") for page in folder.glob("*.md") if page.name != "README.md"}
    assert {name: title for title, name in index.items()} == {
        name: text.partition("\n")[0].removeprefix("# ") for name, text in pages.items()
    }
    assert [name for name, text in pages.items() if "**What would change our mind.**" not in text] == []


def test_every_runtime_dependency_has_its_reason_and_its_cost() -> None:
    table = rows(ROOT / "docs" / "decisions" / "dependencies.md", "package", "what for", "start", "when", "instead of")
    lines = (ROOT / "requirements.in").read_text(encoding="utf-8").splitlines()
    pinned = {line.partition("==")[0] for line in lines if line and not line.startswith("#")}
    assert sorted(codes(row[0])[0] for row in table) == sorted(pinned)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_module_that_a_page_names_exists(page: Path) -> None:
    folders = ("bench", "connector", "infra", "tests", "tools")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    there = [*(path.relative_to(ROOT).as_posix() for path in paths), "function_app.py"]
    named = {name for code in codes(prose(page)) for name in re.findall(r"[\w./-]+\.py\b", code)}
    assert [name for name in sorted(named) if not any(f"/{path}".endswith(f"/{name}") for path in there)] == []


def test_every_target_of_the_makefile_says_what_it_makes() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z-]+):", text, re.MULTILINE)
    assert targets == re.findall(r"^([a-z-]+):.*## \S", text, re.MULTILINE)
    (phony,) = re.findall(r"^\.PHONY: (.+)$", text, re.MULTILINE)
    assert sorted(targets) == sorted(phony.split())
