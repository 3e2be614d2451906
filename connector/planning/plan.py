"""Decides what becomes of every row of a drop, and packs the people who are to be sent into bulk requests.

Pure: the same rows, mapping and duplicates give the same decisions and byte-identical bodies
(docs/architecture.md, "Invariants").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Any, Protocol

import orjson

from connector.mapping import FILTERED, Rejected
from connector.readers import BadRow
from connector.vocabulary.bulk_request import PEOPLE_PER_REQUEST, BulkRequest, bulk_body, digest, operation
from connector.vocabulary.errors import Fault
from connector.vocabulary.run import Decision, PlannedRow

Cells = Sequence[Any]


_TOO_LARGE = Fault(
    message="the person as SCIM has more than 1,048,576 bytes: this bound is fixed",
    advice="map fewer long texts, or shorten them, for example with Left",
)


class RowMapping(Protocol):
    """What a plan needs of a mapping that is bound to a drop's columns (`mapping.BoundMapping`)."""

    def external_id(self, cells: Cells, /) -> str: ...

    def map_with_warnings(self, cells: Cells, /) -> tuple[dict[str, Any] | Rejected | object, tuple[Fault, ...]]: ...


_SHORT = 32
"""Characters of an externalId that is kept as it is; of a longer one its digest is, or a drop could fill the memory."""

RECORD_MAX = 1 << 20
"""Bytes of a person as JSON. Ours: with a request's other people it must go into a body."""

BODY_MAX = 4_000_000
"""Bytes of a body, unless it carries one person. Graph takes 4 MB."""


def _key(external_id: str) -> str:
    if len(external_id) <= _SHORT:
        return external_id
    # Longer than any that is kept as it is.
    return " " + blake2b(external_id.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


class LastRows:
    """Finds the rows that a later row with the same externalId replaces, in memory that does not grow with the drop.

    A fixed bitmap says "perhaps seen before"; only those externalIds (the true duplicates, and about one in a hundred
    of a million others) are kept, each with the last row that had it.
    """

    BITS = 26

    def __init__(self) -> None:
        self._bitmap = bytearray(1 << (self.BITS - 3))
        self._last: dict[str, int] = {}

    def see(self, rows: Iterable[tuple[int, Any] | BadRow], external_id: Callable[[Any], str]) -> None:
        """To be called with all rows, in order, before `replaced_by` is asked.

        `external_id` gives that of a row's cells, "" where it has none.
        """
        bitmap, mask = self._bitmap, (1 << self.BITS) - 1
        for row in rows:
            if row.__class__ is not tuple:
                continue
            number, cells = row
            if key := external_id(cells):
                if len(key) > _SHORT:
                    key = _key(key)
                place = hash(key) & mask
                byte, bit = place >> 3, 1 << (place & 7)
                seen = bitmap[byte]
                if seen & bit:
                    self._last[key] = number
                else:
                    bitmap[byte] = seen | bit

    def replaced_by(self, row: int, external_id: str) -> int:
        """The number of the last row with this externalId where that is not `row` itself, else 0."""
        last = self._last.get(_key(external_id), row)
        return last if last > row else 0


def last_rows(rows: Iterable[tuple[int, Any] | BadRow], mapping: RowMapping) -> LastRows:
    """The first pass over a drop."""
    found = LastRows()
    found.see(rows, mapping.external_id)
    return found


def plan(
    rows: Iterable[tuple[int, Any] | BadRow], mapping: RowMapping, last: LastRows, warned: Counter[Fault]
) -> Iterator[PlannedRow | BulkRequest]:
    """The second pass: one `PlannedRow` for every row, in order, and each bulk request as soon as it is full.

    A `PlannedRow` may come before the `BulkRequest` that its `request` names. The last row with an externalId wins, and
    the others are duplicates, whatever becomes of the last: sending an older row instead would be a guess. `warned`
    counts what is odd about those who are sent.
    """
    operations: list[bytes] = []
    number = 1
    size = 0
    map_row, replaced_by, send = mapping.map_with_warnings, last.replaced_by, Decision.SEND
    for row in rows:
        if isinstance(row, BadRow):
            yield PlannedRow(row=row.number, decision=Decision.REJECTED, faults=(row.fault,))
            continue
        position, cells = row
        user, warnings = map_row(cells)
        # A user has its externalId; working it out once more takes as long as a tenth of the mapping.
        external_id = user["externalId"] if user.__class__ is dict else mapping.external_id(cells)
        if later := replaced_by(position, external_id):
            reason = f"a later row, {later}, has the same externalId; that one was used"
            name = _name(external_id)
            yield PlannedRow(row=position, decision=Decision.DUPLICATE, external_id=name, reason=reason)
            continue
        if isinstance(user, dict):
            record = orjson.dumps(user)
            if len(record) > RECORD_MAX:
                yield PlannedRow(
                    row=position, decision=Decision.REJECTED, external_id=_name(external_id), faults=(_TOO_LARGE,)
                )
                continue
            if warnings:
                warned.update(warnings)
            if size + len(record) > BODY_MAX:
                yield BulkRequest(number=number, people_count=len(operations), body=bulk_body(operations))
                operations.clear()
                size = 0
                number += 1
            operations.append(operation(external_id, record))
            size += len(operations[-1])
            yield PlannedRow(
                row=position,
                decision=send,
                external_id=external_id,
                digest=digest(record),
                request=number,
                warnings=warnings,
            )
            if len(operations) == PEOPLE_PER_REQUEST:
                yield BulkRequest(number=number, people_count=len(operations), body=bulk_body(operations))
                operations.clear()
                size = 0
                number += 1
        elif isinstance(user, Rejected):
            name = _name(external_id)
            yield PlannedRow(row=position, decision=Decision.REJECTED, external_id=name, faults=user.faults)
        elif user is FILTERED:
            yield PlannedRow(row=position, decision=Decision.FILTERED, external_id=_name(external_id))
        else:
            raise AssertionError("a mapping gives a user, Rejected or FILTERED")
    if operations:
        yield BulkRequest(number=number, people_count=len(operations), body=bulk_body(operations))


def _name(external_id: str) -> str:
    """An externalId that nobody has checked, fit to be written down: no half characters, and not a page long."""
    return external_id[:256].encode("utf-8", "replace").decode()
