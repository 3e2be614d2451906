"""The bulk request: one body for `/bulkUpload`, of at most 50 operations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

import orjson

# Graph refuses more than 50 operations a request (Graph page "synchronizationJob: bulkUpload").
PEOPLE_PER_REQUEST = 50

_HEAD = b'{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],"Operations":['
_TAIL = b'],"failOnErrors":null}'


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkRequest:
    """One body for `/bulkUpload`: its number in the run, counting from 1, and how many people it carries."""

    number: int
    people_count: int
    body: bytes

    @property
    def digest(self) -> str:
        return digest(self.body)


class PlannedBody(NamedTuple):
    """What a run knows of a body that it planned: how many people it carries, and the body's digest."""

    people_count: int
    digest: str


def digest(data: bytes) -> str:
    """The first 128 bits of the SHA-256 of a serialised record or body, in hex: processors have instructions for it."""
    return sha256(data).hexdigest()[:32]


def bulk_body(operations: Sequence[bytes]) -> bytes:
    """A SCIM BulkRequest (RFC 7644 section 3.7) of serialised operations."""
    return _HEAD + b",".join(operations) + _TAIL


def operation(external_id: str, user: bytes) -> bytes:
    """One operation. POST /Users is Entra's upsert (Graph page "synchronizationJob: bulkUpload")."""
    return b"".join((b'{"method":"POST","path":"/Users","bulkId":', orjson.dumps(external_id), b',"data":', user, b"}"))
