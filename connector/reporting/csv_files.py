"""The CSV files of a run, line by line: who was not sent and why, and what became of everybody who was."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from connector.reporting.causes import advice_for
from connector.vocabulary.errors import Fault
from connector.vocabulary.run import Decision, Ending, PlannedRow

REJECTS_HEADER: Final = ("row", "externalId", "column", "fault", "advice")
OUTCOMES_HEADER: Final = ("row", "externalId", "outcome", "code", "reason", "advice", "at")


_DUPLICATE_FAULT: Final = "a later row has the same externalId; that one was used"
_DUPLICATE_ADVICE: Final = "Let the HR system export each person once."
_UNEXPLAINED_FAULT: Final = "the row could not be used"


def rejects_csv(rows: Iterable[PlannedRow]) -> Iterator[str]:
    """`<run>.rejects.csv`, line by line: a line for every fault of a rejected row, and one for every duplicate.

    So whoever misses a person in Entra finds the row here, or its outcome in `outcomes_csv`. Other decisions are passed
    over: a whole plan may be handed in. A duplicate's `reason`, where the plan gives one, is its fault.

    Lines end with LF, which spreadsheets accept as well as RFC 4180's CRLF; with CRLF every line-wise tool would see a
    carriage return as part of the last column. See `_cell` for what makes it safe to open.
    """
    yield _csv_line(REJECTS_HEADER)
    for row in rows:
        for fault in reject_faults(row):
            yield _csv_line((row.row, row.external_id, fault.column, fault.message, fault.advice))


def outcomes_csv(endings: Iterable[Ending]) -> Iterator[str]:
    """`<run>.outcomes.csv`, line by line: one line a person sent; `at` is ISO 8601 in UTC, or empty. LF likewise."""
    yield _csv_line(OUTCOMES_HEADER)
    for ending in endings:
        yield _csv_line(
            (
                ending.row,
                ending.external_id,
                ending.outcome,
                ending.code,
                ending.reason,
                advice_for(ending),
                iso(ending.at) or "",
            )
        )


def reject_faults(row: PlannedRow) -> Sequence[Fault]:
    if row.decision is Decision.REJECTED:
        return row.faults or (Fault(message=row.reason or _UNEXPLAINED_FAULT),)
    if row.decision is Decision.DUPLICATE:
        return row.faults or (Fault(message=row.reason or _DUPLICATE_FAULT, advice=_DUPLICATE_ADVICE),)
    return ()


# What a spreadsheet may take for the beginning of a formula (OWASP, "CSV Injection"), full-width forms included. Where
# the list separator is not a comma, a line is opened as one text that is split at each separator and line break,
# whatever the quotes: so a formula must not begin after any of those either, nor after a quote that then opens a cell.
_FORMULA: Final = re.compile(r"""(?:^|(?<=[;,|\t\r\n]))(?=[\s"]*[=+\-@＝＋－＠])|^(?=[\t\r])""")
_QUOTED: Final = re.compile(r'[",;|\t\r\n]')


def _cell(value: str | int) -> str:
    """A field as RFC 4180 writes it, with an apostrophe before what a spreadsheet would evaluate."""
    if isinstance(value, int):
        return str(value)
    text = _FORMULA.sub("'", value).encode("utf-8", "replace").decode()
    if not _QUOTED.search(text):
        return text
    doubled = text.replace('"', '""')
    return f'"{doubled}"'


def _csv_line(values: Iterable[str | int]) -> str:
    # csv.writer leaves a bare CR unquoted when lines end with LF (Python 3.11), and readers then see two rows.
    return ",".join(map(_cell, values)) + "\n"


def iso(moment: datetime | None) -> str | None:
    """ISO 8601 in UTC with "Z". Raises `ValueError` for a time without an offset: local time is not ours to assume."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise ValueError("a time of a summary has no offset from UTC")
    return moment.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"
