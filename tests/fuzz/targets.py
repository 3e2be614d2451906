"""What is fuzzed: each target makes an input from a random source and feeds it to the product."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

from connector.commands.drafting.from_csv2scim import draft as feed_of_psd1
from connector.mapping import Rejected, load_feed
from connector.mapping.expressions.expression_error import ExpressionError
from connector.mapping.expressions.interpreter import Surroundings, evaluate
from connector.mapping.expressions.parser import parse
from connector.mapping.expressions.values import ValueFault
from connector.vocabulary.errors import FeedUnusable, Unusable
from tests.fuzz import inputs
from tests.fuzz.ticks import whole_ticks
from tests.unit.readers.samples import SAMPLES, read

NOW: Final = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


def expressions(random: Random) -> None:
    """Parsing says what is wrong, and where; what parses gives a value or says what is wrong with the row."""
    text = inputs.expression(random)
    try:
        parsed = parse(text)
    except ExpressionError as error:
        assert error.message
        assert 0 <= error.position <= len(text)
        return
    row = {name: random.choice(inputs.CELLS) for name in parsed.columns}
    try:
        evaluate(parsed.root, Surroundings(row=row, now=NOW))
    except ValueFault as fault:
        assert str(fault)


def feeds(random: Random) -> None:
    """Loading says what is wrong; what loads maps or rejects whatever a row holds."""
    try:
        loaded = load_feed(inputs.feed(random), name="feed.yaml")
    except FeedUnusable as error:
        assert error.faults
        assert all(fault.message and fault.line for fault in error.faults)
        return
    columns = loaded.mapping.columns
    bound = loaded.mapping.bind(columns, now=NOW)
    for _ in range(3):
        cells = [random.choice(inputs.CELLS) for _ in columns]
        user, warnings = bound.map_with_warnings(cells)
        if isinstance(user, dict):
            assert user["externalId"] == bound.external_id(cells)
            assert warnings == bound.warnings(user)
        elif isinstance(user, Rejected):
            assert user.faults


def psd1(random: Random) -> None:
    """A draft loads, or the file is said to be no mapping."""
    try:
        text = feed_of_psd1(inputs.psd1(random), name="x.psd1")
    except Unusable as error:
        assert error.faults
        return
    load_feed(text.encode(), name="feed.yaml", graph=None)


def reader(kind: str) -> Callable[[Random], None]:
    """A reader gives rows and bad rows, or says that the file is unusable."""

    def run(random: Random) -> None:
        options: dict[str, Any] = {"format": "fixed", "columns": {"a": "1-3", "b": 3}} if kind == "fixed" else {}
        read(inputs.mutated_bytes(random, SAMPLES[kind]), **options)

    return run


Target = tuple[int, Callable[[Random], None]]
"""How often it is chosen, and what is run."""

TARGETS: Final[dict[str, Target]] = {
    "expressions": (40, expressions),
    "feeds": (8, feeds),
    "psd1": (4, psd1),
    **{f"reader of {kind}": (1 if kind == "xlsx" else 6, reader(kind)) for kind in SAMPLES},
}
"""By name. What is slow is chosen seldom."""
TICKS: Final[dict[str, Target]] = {"whole ticks": (1, whole_ticks)}
