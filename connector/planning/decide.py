"""Turns a drop's bytes into decisions and bodies: opens it, decrypts it, reads it twice."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, BinaryIO

from connector.mapping import AsItStands, BoundMapping, LoadedFeed
from connector.outside import telemetry
from connector.outside.keys import Secrets
from connector.outside.memory_files import Kept, MemoryFiles
from connector.planning.plan import last_rows, plan
from connector.readers import BadRow, ScimTable, Table, open_drop
from connector.vocabulary.bulk_request import BulkRequest
from connector.vocabulary.errors import DropUnusable, Fault, Unusable
from connector.vocabulary.run import PlannedRow

NOTED_WARNINGS = 10
# Looking at the clock at every row would cost more than reading some of them.
ROWS_BETWEEN_LOOKS = 64


def plaintext(
    opened: Callable[[], BinaryIO], *, name: str, feed: LoadedFeed, secrets: Secrets
) -> Callable[[], BinaryIO]:
    """`opened` itself, or for a feed with `pgp:` what it decrypts to, in memory and once for all passes."""
    pgp = feed.feed.pgp
    if pgp is None:
        return opened

    @cache
    def decrypted() -> Kept:
        from connector.readers.pgp import decrypt

        content = decrypt(
            opened(),
            private_key=secrets.read(pgp.key),
            passphrase=secrets.text(pgp.passphrase) if pgp.passphrase else None,
            signers=[secrets.read(signer) for signer in pgp.signed_by],
            files=MemoryFiles(),
            name=name,
        )
        return Kept(content)

    return lambda: decrypted().view()


def decide(
    opened: Callable[[], BinaryIO],
    *,
    name: str,
    landed: datetime,
    feed: LoadedFeed,
    go_on: Callable[[], None] = lambda: None,
    max_rows: int | None = None,
) -> Iterator[PlannedRow | BulkRequest | Notes]:
    """A drop's decisions and bodies as `plan` gives them, and at the end the reader's notes.

    `opened` gives the drop's bytes from the start, once for each of two passes. `go_on` is asked every few rows and
    may raise. `max_rows` is MAX_ROWS; None is no bound. Raises DropRejected.
    """
    counted = _Counted(go_on)
    # An encrypted file's name ends in what it was before.
    inner = re.sub(r"\.(pgp|gpg|asc)$", "", name, flags=re.IGNORECASE) if feed.feed.pgp else name

    def table() -> Table | ScimTable:
        options, wanted = feed.feed.file, feed.mapping.columns
        return open_drop(opened(), name=inner, options=options, wanted=wanted, max_rows=max_rows)

    try:
        first = table()
        try:
            mapping: AsItStands | BoundMapping
            rows: Iterable[tuple[int, Any] | BadRow]
            if isinstance(first, ScimTable):
                mapping, rows = AsItStands(), first
            else:
                mapping = feed.mapping.bind(first.columns, now=landed)
                rows = first.leading(mapping.reach)
        except DropUnusable:
            for _ in counted(first):
                pass
            raise
        with telemetry.span("read") as span:
            last = last_rows(counted(rows), mapping)
            span.set(rows=counted.rows)
        second = table()
        warned: Counter[Fault] = Counter()
        yield from plan(second, mapping, last, warned)
        odd = (
            f"{count} {'row' if count == 1 else 'rows'}: {fault}" for fault, count in warned.most_common(NOTED_WARNINGS)
        )
        yield Notes((*second.notes, *odd))
    except Unusable as error:
        raise DropRejected(error, counted.rows) from error


@dataclass(frozen=True, slots=True)
class Notes:
    """What is odd about a drop as a whole, or about those of it who are sent: a text each."""

    texts: tuple[str, ...]


class DropRejected(Exception):
    """The drop as a whole is unusable; `rows` is how many of its rows could be counted."""

    def __init__(self, cause: Unusable, rows: int) -> None:
        self.cause = cause
        self.rows = rows
        super().__init__(str(cause))


class _Counted:
    """Passes rows through and counts them, so that an unusable drop's rows are accounted for."""

    def __init__(self, go_on: Callable[[], None]) -> None:
        self._go_on = go_on
        self.rows = 0

    def __call__(self, rows: Iterable[Any]) -> Iterator[Any]:
        for self.rows, row in enumerate(rows, start=1):
            if not self.rows % ROWS_BETWEEN_LOOKS:
                self._go_on()
            yield row
