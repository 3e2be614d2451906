"""A body on its way, halved wherever Entra refuses."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson

from connector.outside.graph import Accepted
from connector.vocabulary.bulk_request import bulk_body, digest
from connector.vocabulary.errors import Refused
from connector.vocabulary.run import Receipt, Refusal


def intact(body: bytes, expected: str) -> bool:
    """Whether a body is as planned: by its own digest, or by its records' digests where the index of bodies is gone."""
    if not expected or digest(body) == expected:
        return True
    try:
        records = [digest(orjson.dumps(operation["data"])) for operation in orjson.loads(body)["Operations"]]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return False
    return "".join(records) == expected


def people_in(body: bytes) -> int:
    """How many people a body carries, where nothing else tells."""
    return len(orjson.loads(body)["Operations"])


class Parts:
    """A body on its way, halved wherever Entra refuses: what is left of it, and what was answered."""

    def __init__(self, body: bytes, begun: Receipt | None) -> None:
        self._body = body
        self._begun = begun
        self._accepted: list[Accepted] = []
        self._refusals: list[Refusal] = list(begun.refusals) if begun else []
        # The whole body is sent as it was spooled: parsed only once it is refused.
        self.left: list[list[Any] | None] = [None]
        self.answered = False
        if begun is not None:
            people = {operation["data"]["externalId"]: operation for operation in orjson.loads(body)["Operations"]}
            self.left = [[people[person] for person in part] for part in begun.unsent]

    def next_body(self) -> bytes:
        part = self.left[-1]
        return self._body if part is None else bulk_body([orjson.dumps(operation) for operation in part])

    def accept(self, accepted: Accepted) -> None:
        self.left.pop()
        self.answered = True
        self._accepted.append(accepted)

    def refuse(self, error: Refused) -> None:
        part = self.left.pop()
        self.answered = True
        operations = orjson.loads(self._body)["Operations"] if part is None else part
        if len(operations) > 1:
            middle = len(operations) // 2
            self.left += [operations[middle:], operations[:middle]]
            return
        person = operations[0]["data"]["externalId"]
        self._refusals.append(Refusal(external_id=person, code=error.code, message=error.message))

    def receipt(self, number: int, people: int, now: datetime, earliest: datetime | None = None) -> Receipt:
        times = [accepted.at for accepted in self._accepted]
        if earliest is not None:
            times.append(earliest)
        ids = [accepted.request_id for accepted in self._accepted if accepted.request_id]
        if self._begun is not None:
            times.append(self._begun.accepted)
            ids = [*self._begun.request_ids, *ids]
        return Receipt(
            request=number,
            accepted=min(times, default=now),
            people=people,
            request_ids=tuple(ids),
            refusals=tuple(self._refusals),
            unsent=tuple(tuple(o["data"]["externalId"] for o in part or ()) for part in self.left),
        )
