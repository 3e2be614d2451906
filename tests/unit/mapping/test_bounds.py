"""What a row's values may be made into: no more than can be sent, and not for as long as it takes."""

from __future__ import annotations

import tracemalloc
from datetime import UTC, datetime
from typing import Any

import pytest

from connector.mapping import BoundMapping, Rejected, load_feed
from connector.vocabulary.errors import DropUnusable, Fault
from tests.unit.mapping.test_load import HEAD

NOW = datetime(2026, 11, 24, tzinfo=UTC)
LONG = "x" * 60_000


def bound(*lines: str, patience: float = 0.3, head: str = HEAD) -> BoundMapping:
    text = head + "".join(f"  {line}\n" for line in lines)
    mapping = load_feed(text.encode(), name="feed.yaml", graph=None).mapping
    return mapping.bind(mapping.columns, now=NOW, patience=patience)


def title_of(expression: str, cell: Any) -> Any:
    """The title, or what is wrong with it."""
    mapping = bound(f"title: '{expression}'")
    user = mapping.map(["1", cell])
    if isinstance(user, Rejected):
        return [fault.message for fault in user.faults]
    assert isinstance(user, dict)
    return user["title"]


@pytest.mark.parametrize(
    ("expression", "grows"),
    [
        ('Replace([B], "x", , , "yy", , )', "Replace: 'source'"),
        ('Replace([B], , "x", , "yy", , )', "Replace: 'source'"),
        ('Replace([B], , "(?<c>x)", , "$1$1", , )', "Replace: 'source'"),
        ('Replace([B], , "(?<c>x)", "c", "yy", , )', "Replace: 'source'"),
        ('Replace([B], "%", , , , , "%%")', "Replace: 'source'"),
        ('Join("", Split([B], "no"), [B])', "Join: 'source'"),
        ("ConvertToBase64([B])", "ConvertToBase64: 'source'"),
        ("ConvertToUTF8Hex([B])", "ConvertToUTF8Hex: 'source'"),
        ("Append([B], ToUpper([B]))", "Append: 'source'"),
    ],
)
def test_a_value_that_grows_beyond_what_can_be_sent_rejects_its_row(expression: str, grows: str) -> None:
    reason = f"{grows} ([B]) becomes longer than 65,536 characters"
    assert title_of(expression, LONG) == [f"'B', which becomes title, cannot be worked out: {reason}"]


def test_a_value_that_grows_to_what_can_be_sent_is_sent() -> None:
    half = "x" * 32_768
    assert title_of('Replace([B], "x", , , "yy", , )', half) == "y" * 65_536
    assert title_of('Replace([B], , "x", , "yy", , )', half) == "y" * 65_536
    assert title_of('Replace([B], "%", , , , , "%%")', half) == half * 2
    assert title_of("Append([B], [B])", half) == half * 2
    assert title_of('Left(Replace([B], "x", , , "y", , ), 3)', "x" * 100_000) == "yyy"


MUCH = "y" * 20_000
GROWING = ', "x", , , "xxxxxxxxxxxxxxxxxxxx", , )'
GROWING_PATTERN = ', , "x", , "xxxxxxxxxxxxxxxxxxxx", , )'


@pytest.mark.parametrize(
    "expression",
    [
        f"{'Replace(' * 12}[B]{GROWING * 12}",
        f"{'Replace(' * 12}[B]{GROWING_PATTERN * 12}",
        f'Join("{MUCH}", Split([B], "x"))',
        f'Replace([B], "x", , , "{MUCH}", , )',
        f'Replace([B], "y", , , , , "{MUCH}")',
    ],
    ids=["replace", "pattern", "join", "text", "template"],
)
def test_a_small_row_does_not_fill_the_memory_on_its_way(expression: str) -> None:
    mapping = bound(f"title: '{expression}'")
    tracemalloc.start()
    try:
        user = mapping.map(["1", "ax" * 10_000])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(user, Rejected)
    assert "becomes longer than 65,536 characters" in user.faults[0].message
    assert peak < 8_000_000


EVIL = "(a|aa)+$"
POISON = "a" * 60 + "!"


@pytest.mark.parametrize(
    ("lines", "column", "line"),
    [
        ([f'title: \'Replace([B], , "{EVIL}", , "b", , )\''], "mapping.title", 4),
        ([f'externalId: \'Join("", [A], Replace([B], , "{EVIL}", , "b", , ))\''], "mapping.externalId", 3),
    ],
)
def test_a_pattern_that_runs_out_of_its_time_on_row_after_row_ends_the_drop_and_is_named(
    lines: list[str], column: str, line: int
) -> None:
    head = HEAD if column == "mapping.title" else HEAD[: HEAD.index("  externalId")]
    mapping = bound(*lines, head=head)
    for number in range(1_000):
        try:
            user = mapping.map_with_warnings([f"{number}", POISON])[0]
        except DropUnusable as unusable:
            message = f"the regular expression {EVIL} has run out of its time {number + 1:,} times"
            advice = "write it so that it cannot try the same characters in many ways, as (a|aa)+ and (a+)+ do"
            assert unusable.name == "feed.yaml"
            assert unusable.faults == (Fault(message=message, advice=advice, column=column, line=line),)
            break
        assert isinstance(user, Rejected)
    else:
        raise AssertionError("the drop never ends")


def test_the_pass_that_looks_for_identifiers_ends_too() -> None:
    mapping = bound(
        f'externalId: \'Join("", [A], Replace([B], , "{EVIL}", , "b", , ))\'', head=HEAD[: HEAD.index("  externalId")]
    )
    with pytest.raises(DropUnusable):
        for number in range(1_000):
            assert mapping.external_id([f"{number}", POISON]) == ""


def test_a_pattern_that_seldom_runs_out_of_its_time_rejects_single_rows() -> None:
    mapping = bound(f'title: \'Replace([B], , "{EVIL}", , "b", , )\'', patience=10.0)
    found = [mapping.map(["1", cell]) for cell in ("aaa", POISON, "aaa")]
    assert [isinstance(user, Rejected) for user in found] == [False, True, False]
