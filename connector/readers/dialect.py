"""Which delimiter and quote a delimited file uses.

`csv.Sniffer` guesses whenever it can and takes letters for delimiters; here each candidate is tried on the first
lines with the same strict parser that reads the file, and what is ambiguous is said, not guessed.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from connector.readers.table import Unreadable

_LIKELY = ",;\t|"
# Seen in exports of mainframes, Hive and ETL tools. Letters, digits and what names and dates are made of are left out.
_UNLIKELY = "^~!#:¦§\x1f\x1e\x1c\x01\x02"
_QUOTES = "\"'`|~^"
_ADVICE = "say file: delimiter in the feed file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """Two single characters; `quote` is "" where nothing is quoted."""

    delimiter: str
    quote: str


class Reader(Protocol):
    """What `csv.reader` returns: `line_num` lines were taken so far."""

    @property
    def line_num(self) -> int: ...
    def __iter__(self) -> Iterator[list[str]]: ...
    def __next__(self) -> list[str]: ...


def reader_of(lines: Iterable[str], dialect: Dialect) -> Reader:
    """The strict parser for a dialect: a quote that is never closed, or text after a closing quote, is a
    `csv.Error`."""
    if not dialect.quote:
        return csv.reader(lines, delimiter=dialect.delimiter, quoting=csv.QUOTE_NONE)
    return csv.reader(lines, delimiter=dialect.delimiter, quotechar=dialect.quote, strict=True)


def separator_line(line: str) -> str | None:
    """The delimiter that Excel's own first line (`sep=;`) names; None where the line is any other."""
    text = line.rstrip("\r\n").strip('"')
    return text[4] if len(text) == 5 and text[:4].lower() == "sep=" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    """What one dialect makes of the sample: wanted names in the header, and how many of the rows are as wide as it."""

    dialect: Dialect
    width: int
    hits: int
    agreement: float
    wrapped: bool

    @property
    def rank(self) -> tuple[int, float, bool]:
        return self.hits, self.agreement, self.wrapped


def _try(lines: Sequence[str], dialect: Dialect, wanted: Collection[str], header: Sequence[str] | None) -> _Trial:
    rows: list[list[str]] = []
    faulty = start = 0
    while start < len(lines):
        reader = reader_of(lines[start:], dialect)
        try:
            rows.extend(row for row in reader if row)
            break
        except csv.Error:
            faulty += 1
            start += reader.line_num
    names = list(header or (rows[0] if rows else ()))
    body = rows if header else rows[1:]
    agreeing = sum(len(row) == len(names) for row in body)
    quote, first = dialect.quote, lines[0].rstrip("\r\n") if lines else ""
    return _Trial(
        dialect=dialect,
        width=len(names) if not header else max((len(row) for row in body), default=0),
        hits=sum(name.strip() in wanted for name in names),
        agreement=agreeing / max(len(body) + faulty, 1),
        wrapped=first[:1] == first[-1:] == quote and not any(quote in name for name in names),
    )


def find_dialect(
    lines: Sequence[str],
    *,
    delimiter: str | None,
    quote: str | None,
    wanted: Collection[str],
    header: Sequence[str] | None,
) -> Dialect:
    """The dialect of a file from its first lines (whole ones, the header first unless `header` lists the names).

    What is given is not questioned. A delimiter qualifies when the header row has it; among several, the one whose
    header has the `wanted` columns, then the one that gives most rows the header's width. Where two do equally,
    nothing is guessed: raises `Unreadable`. A file without any of the usual delimiters has one column.
    """
    if delimiter is not None and quote is not None:
        return Dialect(delimiter=delimiter, quote=quote)
    sample = "".join(lines)
    quotes = [quote] if quote is not None else [q for q in _QUOTES if q == '"' or q in sample]

    def trial(candidate: str) -> _Trial:
        dialects = (Dialect(delimiter=candidate, quote=q) for q in quotes if q != candidate)
        return max((_try(lines, dialect, wanted, header) for dialect in dialects), key=lambda t: t.rank)

    if delimiter is not None:
        return trial(delimiter).dialect
    width = len(header) if header else 2
    trials = [t for t in map(trial, (d for d in _LIKELY if d in sample and d != quote)) if t.width >= width]
    if not trials:
        unlikely = map(trial, (d for d in _UNLIKELY if d in sample and d != quote))
        trials = [t for t in unlikely if t.width >= width and (t.hits or t.agreement > 0.9)]
    if not trials:
        return trial(",").dialect
    hits = max(t.hits for t in trials)
    trials = [t for t in trials if t.hits == hits]
    agreement = max(t.agreement for t in trials)
    best, *others = [t for t in trials if t.agreement > agreement - 0.05]
    if others:
        names = " or ".join(repr(t.dialect.delimiter) for t in (best, *others))
        raise Unreadable(f"the delimiter could be {names}: each gives all rows the same number of fields", _ADVICE)
    return best.dialect
