"""Trailer lines: what the last lines of a file say about the rest."""

from __future__ import annotations

import re
from collections.abc import Sequence

from connector.feed.file_options import FileOptions
from connector.readers.table import Unreadable

MAX_HELD = 4 * 1024 * 1024
"""Characters that are held back, for they may turn out to be the trailer."""
_LONGEST = 10_000
"""Characters of a trailer line in which a count is looked for."""
_SECONDS = 2.0
# What a pattern says of characters beside those that it names: classes, escapes, what begins a group.
_NO_LITERALS = re.compile(r"\\.|\[\^?\]?[^\]]*\]|\(\?[^)]*")
_WORD = re.compile(r"[^\W\d_]{2}")


def trailer_too_long(lines: int) -> Unreadable:
    return Unreadable(
        f"the last {lines} lines, which may be the trailer, have more than {MAX_HELD:,} characters",
        "correct file: footer in the feed file, or the export",
        column="file.footer",
    )


def check_trailer(trailer: Sequence[str], options: FileOptions, *, rows: int) -> None:
    """Compare the count of rows that the trailer states, where the feed declares how, with `rows` (bad ones included).

    Raises `Unreadable` when they differ, or when no trailer line states a count: such a file arrived in part.
    """
    pattern = options.footer.count
    if pattern is None:
        return
    trailer = [line[:_LONGEST] for line in trailer]
    # The pattern is the feed author's: `regex` has the timeout that `re` lacks.
    import regex

    try:
        found = next((m for line in trailer if (m := regex.search(pattern, line, timeout=_SECONDS))), None)
        stated = int(found[1]) if found else None
    except (TimeoutError, ValueError, TypeError, IndexError):
        stated = None
    if stated is None:
        raise Unreadable(
            "no trailer line states a count of rows as file: footer: count describes it",
            "the file may have arrived in part; if it did not, correct the pattern",
            column="file.footer.count",
        )
    if stated != rows:
        # Where no word of the pattern tells a trailer from a row, the number may be a person's.
        is_told = "|" not in pattern and _WORD.search(_NO_LITERALS.sub("", pattern))
        says = f"{stated:,} rows" if is_told else "more rows" if stated > rows else "fewer rows"
        raise Unreadable(
            f"the trailer states {says}, but the file has {rows:,}",
            "the file may have arrived in part: send it again",
        )
