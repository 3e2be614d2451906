"""What the server saw, for tests to assert against: the server's view, not the client's."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from connector.sandbox.bulk import Operation
from connector.sandbox.faults import Endpoint
from connector.sandbox.throttle import most_in_any_window


@dataclass(slots=True, kw_only=True)
class Seen:
    """One request. `at` is its arrival in seconds of the sandbox's monotonic clock; `status` 0 means that no complete
    answer went out; `fault` is the action of the script that hit it; `token` a hash of the token it came with."""

    at: float
    endpoint: Endpoint
    method: str
    path: str
    status: int = 0
    fault: str = ""
    token: str = ""
    operations: int = 0
    request_id: str = ""
    client_request_id: str = ""
    detail: str = ""


@dataclass(slots=True)
class Report:
    """Everything that arrived. `window` is the length, in seconds, of the window that the upload limit counts in."""

    window: float = 5.0
    requests: list[Seen] = field(default_factory=list)
    tokens_issued: int = 0
    bodies: Counter[str] = field(default_factory=Counter)
    people: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(externalId, digest of the user) to how often it was accepted."""

    def arrive(self, seen: Seen) -> None:
        self.requests.append(seen)

    def accept(self, body: bytes, operations: Sequence[Operation]) -> None:
        """A bulk request that was staged, whether or not the caller got to know."""
        self.bodies[hashlib.sha256(body).hexdigest()] += 1
        for operation in operations:
            digest = hashlib.sha256(orjson.dumps(operation.user, option=orjson.OPT_SORT_KEYS)).hexdigest()
            self.people[operation.external_id, digest] += 1

    def of(self, endpoint: Endpoint) -> list[Seen]:
        """The requests to one endpoint, in order of arrival."""
        return [seen for seen in self.requests if seen.endpoint is endpoint]

    @property
    def uploads(self) -> int:
        """Upload calls that arrived, however they ended."""
        return len(self.of(Endpoint.UPLOAD))

    @property
    def accepted(self) -> int:
        """Bulk requests that took effect."""
        return self.bodies.total()

    @property
    def throttled(self) -> int:
        """429 answers to uploads."""
        return sum(seen.status == 429 for seen in self.of(Endpoint.UPLOAD))

    @property
    def most_uploads_in_window(self) -> int:
        """The most upload calls that arrived in any window, the refused ones included."""
        return most_in_any_window((seen.at for seen in self.of(Endpoint.UPLOAD)), self.window)

    @property
    def people_received(self) -> frozenset[str]:
        """The externalIds of all operations that took effect."""
        return frozenset(external_id for external_id, _ in self.people)

    @property
    def duplicate_bodies(self) -> int:
        """How many bulk requests took effect that had taken effect before, byte for byte."""
        return self.bodies.total() - len(self.bodies)

    @property
    def duplicate_people(self) -> int:
        """How many operations took effect with a user that had been accepted before, value for value."""
        return self.people.total() - len(self.people)

    @property
    def tokens_seen(self) -> int:
        """Different tokens that came with requests."""
        return len({seen.token for seen in self.requests if seen.token})

    def statuses(self, endpoint: Endpoint) -> dict[int, int]:
        """How often each status was answered; 0 stands for no complete answer."""
        return dict(sorted(Counter(seen.status for seen in self.of(endpoint)).items()))

    def as_json(self) -> dict[str, Any]:
        """For `GET /sandbox/report`."""
        return {
            "uploads": self.uploads,
            "accepted": self.accepted,
            "throttled": self.throttled,
            "window_seconds": self.window,
            "most_uploads_in_window": self.most_uploads_in_window,
            "operations_received": self.people.total(),
            "people_received": len(self.people_received),
            "duplicate_bodies": self.duplicate_bodies,
            "duplicate_people": self.duplicate_people,
            "tokens_issued": self.tokens_issued,
            "tokens_seen": self.tokens_seen,
            "statuses": {
                str(endpoint): {str(status): count for status, count in self.statuses(endpoint).items()}
                for endpoint in Endpoint
                if self.of(endpoint)
            },
        }
