"""Shows what an expression makes of a row, step by step, for authors who try things out."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from connector.commands.local_files import feed_of
from connector.commands.printing import say, visible
from connector.feed.file_options import FileOptions
from connector.mapping.expressions.expression_error import ExpressionError
from connector.mapping.expressions.parser import Expression, parse
from connector.mapping.expressions.trace import Step, trace
from connector.mapping.expressions.values import IGNORE, Cell, Value, ValueFault
from connector.readers import BadRow, ScimTable, open_drop
from connector.vocabulary.errors import Fault, Unusable

FAULTY = 2


EXAMPLE = """eval 'Join("@", ToLower([UserID]), "contoso.com")' UserID=JDoe"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("expression", metavar="EXPRESSION")
    parser.add_argument("values", nargs="*", metavar="Column=value")
    parser.add_argument("--row", metavar="FILE:N", help="a row of a file; rows count from 1")
    parser.add_argument("--feed", type=Path, metavar="FEED.yaml", help="how to read the file, and the lookup tables")
    parser.add_argument("--now", metavar="TIME", help="what Now() gives (the present)")


def run(options: argparse.Namespace) -> int:
    return evaluate(options.expression, options.values, row=options.row, feed=options.feed, now=options.now)


def evaluate(text: str, values: Sequence[str], *, row: str | None, feed: Path | None, now: str | None) -> int:
    """Each step to stdout, or what is wrong to stderr with a caret under the place.

    `values` are `Column=value`; `row` is `FILE:N`, whose cells they replace; `feed` tells how to read the file and has
    the lookup tables; `now` is an ISO 8601 time, the present without it. Gives 0, or 2 when the expression or the row
    is at fault. Raises Unusable for a file, a feed file or a time that cannot be used.
    """
    loaded = feed_of(feed) if feed else None
    tables = loaded.mapping.tables if loaded else {}
    try:
        expression = parse(text, tables=tables)
        cells = _row(row, expression, loaded.feed.file if loaded else FileOptions()) if row else {}
        given = dict(map(_pair, values))
        cells |= given
        _check_columns(expression, cells)
        steps = trace(expression, cells, now=_time(now), tables=tables, known=given)
    except ExpressionError as error:
        _point(text, error.position, f"{error.message} ({error.advice})" if error.advice else error.message)
        return FAULTY
    say(*_lines(steps))
    value = steps[-1].value
    if isinstance(value, ValueFault):
        # The same text gives the same fault, so the first place is as good as any.
        _point(text, text.index(steps[-1].source_text), str(value))
        return FAULTY
    return 0


def _pair(text: str) -> tuple[str, Cell]:
    column, equals, value = text.partition("=")
    if not equals or not column:
        raise Unusable(text, [Fault(message="is not Column=value", advice="for example LastName=Doe, or LastName= ")])
    return column, value


def _time(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise Unusable("--now", [Fault(message="is no time", advice="write 2026-11-24T09:30:00Z")]) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _row(place: str, expression: Expression, options: FileOptions) -> dict[str, Cell]:
    file, _, wanted = place.rpartition(":")
    if not file or not wanted.isascii() or not wanted.isdigit() or not int(wanted):
        raise Unusable("--row", [Fault(message="is not FILE:N", advice="people.csv:1 is the first row of people.csv")])
    count = 0
    try:
        with Path(file).open("rb") as stream:
            table = open_drop(stream, name=file, options=options, wanted=expression.columns)
            if isinstance(table, ScimTable):
                raise Unusable(file, [Fault(message="is a SCIM bulk request, whose users are not mapped")])
            for item in table:
                if isinstance(item, BadRow):
                    count = item.number
                    if count == int(wanted):
                        raise Unusable(file, [Fault(message=f"row {wanted}: {item.fault}")])
                    continue
                count, cells = item
                if count == int(wanted):
                    return dict(zip(table.columns, cells, strict=True))
    except OSError as error:
        raise Unusable(file, [Fault(message=f"cannot be read: {error.strerror}")]) from None
    raise Unusable(file, [Fault(message=f"there is no row {wanted}: the file has {count:,}")])


def _check_columns(expression: Expression, cells: Mapping[str, Cell]) -> None:
    """Says how to give values where there are none at all; a misspelt column is `trace`'s to tell."""
    if expression.columns and not cells:
        column = expression.columns[0]
        advice = f"give it a value, as '{column}=…', or a row of a file, as --row FILE:1"
        raise ExpressionError(f"[{column}] has no value here", advice, expression.text.index(f"[{column}]"))


def _lines(steps: Sequence[Step]) -> list[str]:
    """One line a step; what is inside something else is indented, and stands above it."""
    sources = [f"{'  ' * step.depth}{' '.join(step.source_text.split())}" for step in steps]
    width = min(max(map(len, sources)), 60)
    return [f"{source:{width}}  ->  {_shown(step.value)}" for source, step in zip(sources, steps, strict=True)]


def _shown(value: Value | ValueFault) -> str:
    if isinstance(value, ValueFault):
        return "cannot be worked out"
    if value is IGNORE:
        return "nothing: the attribute is left out"
    # Escapes of JSON's own, and those of `say`, for what is not printable.
    return json.dumps(value, ensure_ascii=False)


def _point(text: str, position: int, message: str) -> None:
    """The expression's line with a caret under the position, then what is wrong there."""
    start = max(text.rfind(end, 0, position) for end in "\r\n") + 1
    line = (text[start:].splitlines() or [""])[0]
    indent = "".join("\t" if char == "\t" else " " for char in visible(text[start:position]))
    say(line, f"{indent}^", message, to=sys.stderr)
