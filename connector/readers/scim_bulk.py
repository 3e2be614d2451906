"""SCIM bulk requests as drops (RFC 7644 section 3.7; Graph's bulkUpload): somebody else has mapped the people
already."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import orjson

from connector.feed.file_options import FileOptions
from connector.readers.json_text import Scanner, Values
from connector.readers.table import BadRow, Notes, Operations, ScimTable, Unreadable
from connector.readers.text import Text
from connector.vocabulary.errors import Fault
from connector.vocabulary.scim import BULK_REQUEST, CORE_USER, ENTERPRISE_USER


def open_bulk(stream: BinaryIO, head: bytes, *, name: str, options: FileOptions, notes: Notes) -> ScimTable:
    """The operations of one bulk request, or of many one after the other (JSON Lines); each may hold any number of
    them."""
    scanner = Scanner(Text(stream, head, options, notes).decoded(), Values(as_written=False))

    def operations() -> Operations:
        number = 0
        try:
            for operation in _operations(scanner):
                number += 1
                fault = operation if isinstance(operation, Fault) else _fault(operation)
                yield BadRow(number=number, fault=fault) if fault else (number, operation["data"])
        except Unreadable as fault:
            raise fault.of(name, after=number) from None

    return ScimTable(operations, notes)


def _operations(scanner: Scanner) -> Iterator[Any]:
    requests = 0
    while scanner.peek():
        requests += 1
        schemas = operations = None
        if scanner.peek() != "{":
            raise Unreadable(f"bulk request {requests} is no JSON object", "correct the export")
        for member in scanner.members():
            if member == "Operations":
                operations = True
                if scanner.peek() != "[":
                    raise Unreadable(f"the Operations of bulk request {requests} are no list", "correct the export")
                yield from scanner.items()
            elif member == "schemas":
                schemas = scanner.value()
            else:
                scanner.value()
        if not isinstance(schemas, list) or BULK_REQUEST not in schemas:
            raise Unreadable(f"bulk request {requests} lacks the schema {BULK_REQUEST}", "correct the export")
        if operations is None:
            raise Unreadable(f"bulk request {requests} has no Operations", "correct the export")


def _fault(operation: Any) -> Fault | None:
    """Why Entra would not take an operation; a `bulkId` is not looked at, for it is replaced."""
    if not isinstance(operation, dict):
        return Fault(message="the operation is no JSON object")
    method, path = operation.get("method"), operation.get("path")
    if not isinstance(method, str) or method.upper() != "POST":
        return Fault(
            message="the operation's method is not POST",
            advice="every operation is a POST (bulkUpload)",
            column="method",
        )
    if path != "/Users":
        return Fault(
            message="the operation's path is not /Users", advice="every operation has the path /Users", column="path"
        )
    user = operation.get("data")
    if not isinstance(user, dict):
        return Fault(message="the operation has no data", advice="data is the SCIM user, a JSON object", column="data")
    external_id = user.get("externalId")
    if not isinstance(external_id, str) or not external_id.strip():
        return Fault(
            message="the user has no externalId", advice="externalId is text and not empty", column="data.externalId"
        )
    schemas = user.get("schemas")
    missing = [urn for urn in (CORE_USER, ENTERPRISE_USER) if not isinstance(schemas, list) or urn not in schemas]
    if missing:
        return Fault(message=f"the user's schemas lack {missing[0]}", advice="Entra requires it", column="data.schemas")
    try:
        text = orjson.dumps(user)
    except (orjson.JSONEncodeError, RecursionError):
        return Fault(
            message="the user has a value that JSON in UTF-8 cannot carry", advice="correct the export", column="data"
        )
    if b"\\u0000" in text:
        return Fault(message="the user has a NUL character", advice="correct the export", column="data")
    return None
