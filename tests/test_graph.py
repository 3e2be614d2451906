"""Graph over a fake transport: where a token goes, what an answer means, and what a broken connection becomes."""

from __future__ import annotations

import asyncio
import inspect
import json
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
import tenacity
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError

from connector.outside.graph import LOG_WINDOW, Graph, Throttled, TokenRefused, retry_after
from connector.outside.retries import retrying
from connector.outside.system_clock import SystemClock
from connector.outside.tokens import TokenSource
from connector.vocabulary.errors import ConnectorError, Forbidden, Refused, Retryable, Stopped

BASE = "https://graph.microsoft.com"
PATH = "/v1.0/servicePrincipals/s/synchronization/jobs/j/bulkUpload"
NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
Answer = Callable[[httpx.Request], httpx.Response]


class Clock(SystemClock):
    """Always noon."""

    def now(self) -> datetime:
        return NOON


def once() -> tenacity.AsyncRetrying:
    """The policy of one try."""
    return retrying(Clock(), random.Random(0), attempts=1)


class Credential:
    """Hands out token-1, token-2, …; each credential counts on from the one before."""

    given = 0

    def __init__(self, log: list[str]) -> None:
        self._log = log

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        token = f"token-{len(self._log) + 1}"
        self._log.append(scopes[0])
        return AccessToken(token, int(time.time()) + 3600)


class Wire:
    """A Graph whose transport is `answer`; `seen` are the requests that left."""

    def __init__(self, answer: Answer | Sequence[httpx.Response], base: str = BASE) -> None:
        self.seen: list[httpx.Request] = []
        self.scopes: list[str] = []
        queue = None if callable(answer) else iter(answer)

        def handle(request: httpx.Request) -> httpx.Response:
            self.seen.append(request)
            return answer(request) if callable(answer) else next(queue)  # type: ignore[arg-type] # one of the two

        tokens = TokenSource(lambda: Credential(self.scopes), f"{base}/.default")
        self.graph = Graph(base, tokens, Clock(), httpx.MockTransport(handle))

    def tokens(self) -> list[str]:
        return [request.headers["authorization"] for request in self.seen]


def refusing(status: int, **headers: str) -> httpx.Response:
    body = {"error": {"code": "SomeCode", "message": "Some message.", "innerError": {}}}
    return httpx.Response(status, json=body, headers=headers)


async def test_an_upload_is_a_post_of_scim_json_with_the_token_of_graph() -> None:
    wire = Wire([httpx.Response(202, headers={"request-id": "r1", "date": format_datetime(NOON, usegmt=True)})])
    accepted = await wire.graph.upload(PATH, b"{}")
    (request,) = wire.seen
    assert (request.method, str(request.url), request.content) == ("POST", BASE + PATH, b"{}")
    assert (request.headers["content-type"], request.headers["authorization"]) == (
        "application/scim+json",
        "Bearer token-1",
    )
    assert wire.scopes == [f"{BASE}/.default"]
    assert accepted.request_id == "r1"
    # By the server's clock, never later than Entra can have had it.
    assert NOON - timedelta(seconds=3) <= accepted.at <= NOON - timedelta(seconds=1)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Refused),
        (403, Forbidden),
        (404, Stopped),
        (301, Stopped),
        (302, Stopped),
        (303, Stopped),
        (307, Stopped),
        (308, Stopped),
        (408, Retryable),
        (425, Retryable),
        (429, Throttled),
        (500, Retryable),
        (502, Retryable),
        (503, Retryable),
        (504, Retryable),
        (509, Retryable),
        # Only 202 means that Entra has it.
        (200, Retryable),
        (204, Retryable),
    ],
)
async def test_each_status_says_what_to_do_next(status: int, kind: type[ConnectorError]) -> None:
    wire = Wire([refusing(status, location="https://elsewhere.example/x")])
    with pytest.raises(ConnectorError) as raised:
        await wire.graph.upload(PATH, b"{}")
    assert type(raised.value) is kind
    assert len(wire.seen) == 1
    if isinstance(raised.value, Stopped):
        assert raised.value.advice


async def test_a_400_carries_graphs_own_words() -> None:
    with pytest.raises(Refused) as refused:
        await Wire([refusing(400)]).graph.upload(PATH, b"{}")
    assert (refused.value.code, refused.value.message) == ("SomeCode", "Some message.")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": "x"}', b'{"error": {"code": 7}}', b"null"])
async def test_an_error_without_graphs_form_is_an_error_all_the_same(body: bytes) -> None:
    with pytest.raises(Refused):
        await Wire([httpx.Response(400, content=body)]).graph.upload(PATH, b"{}")


async def test_a_401_gets_a_fresh_token_once() -> None:
    wire = Wire([refusing(401), httpx.Response(202), httpx.Response(202)])
    with pytest.raises(TokenRefused):
        await wire.graph.upload(PATH, b"{}")
    await wire.graph.upload(PATH, b"{}")
    await wire.graph.upload(PATH, b"{}")
    assert wire.tokens() == ["Bearer token-1", "Bearer token-2", "Bearer token-2"]


async def test_a_401_with_a_fresh_token_too_stops() -> None:
    wire = Wire([refusing(401), refusing(401)])
    with pytest.raises(TokenRefused):
        await wire.graph.upload(PATH, b"{}")
    with pytest.raises(Stopped) as stopped:
        await wire.graph.upload(PATH, b"{}")
    assert "AZURE_CLIENT_ID" in stopped.value.advice
    assert len(wire.seen) == 2


async def test_an_identity_that_gives_no_token_may_do_so_later() -> None:
    class Nobody:
        def get_token(self, *_: str, **__: Any) -> AccessToken:
            raise ClientAuthenticationError("no identity")

    graph = Graph(BASE, TokenSource(Nobody, "x"), Clock(), httpx.MockTransport(lambda _: httpx.Response(202)))
    with pytest.raises(Retryable, match="AZURE_CLIENT_ID"):
        await graph.upload(PATH, b"{}")


def _request_errors() -> list[type[httpx.RequestError]]:
    """Every exception that a request of httpx can raise, by its own module."""
    found = [kind for _, kind in inspect.getmembers(httpx, inspect.isclass) if issubclass(kind, httpx.RequestError)]
    assert len(found) > 15
    return found


@pytest.mark.parametrize("kind", _request_errors(), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("call", ["upload", "job", "events"])
async def test_no_exception_of_httpx_gets_through(kind: type[httpx.RequestError], call: str) -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise kind("zyx: what the other side said")

    graph = Wire(fail).graph
    with pytest.raises(Retryable) as raised:
        if call == "upload":
            await graph.upload(PATH, b"{}")
        elif call == "job":
            await graph.job("/v1.0/servicePrincipals/s/synchronization/jobs/j")
        else:
            async for _ in graph.events("j", NOON, once):
                pass
    assert (kind.__name__ in str(raised.value), "zyx" in str(raised.value)) == (True, False)


def test_httpx_has_no_other_exceptions_than_these() -> None:
    kinds = [kind for _, kind in inspect.getmembers(httpx, inspect.isclass) if issubclass(kind, Exception)]
    other = {kind.__name__ for kind in kinds if not issubclass(kind, httpx.RequestError)}
    # None of them comes of a request that we make: status is never raised, URLs are ours, bodies are read whole.
    assert other == {
        "HTTPError",
        "HTTPStatusError",
        "InvalidURL",
        "CookieConflict",
        "StreamError",
        "StreamConsumed",
        "StreamClosed",
        "ResponseNotRead",
        "RequestNotRead",
    }


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("-3", 0.0),
        ("1e9", 1e9),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        (format_datetime(NOON + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOON - timedelta(seconds=90), usegmt=True), 0.0),
        ("Tue, 24 Nov 2026 12:00:30", None),
        ("Tue, 99 Nov 2026 12:00:30 GMT", None),
    ],
)
def test_retry_after_is_read_in_seconds_or_as_a_date_and_never_guessed(
    value: str | None, seconds: float | None
) -> None:
    assert retry_after(value, NOON) == seconds


@pytest.mark.parametrize(("value", "wait"), [("7", 7.0), ("", None), ("nonsense", None)])
async def test_a_429_says_how_long_to_wait_where_it_does(value: str, wait: float | None) -> None:
    headers = {"Retry-After": value} if value else {}
    with pytest.raises(Throttled) as throttled:
        await Wire([httpx.Response(429, headers=headers)]).graph.upload(PATH, b"{}")
    assert throttled.value.wait == wait


async def test_a_429_of_the_log_without_retry_after_is_waited_for_as_long_as_its_window() -> None:
    with pytest.raises(Throttled) as throttled:
        await _people(Wire([httpx.Response(429)]))
    assert throttled.value.wait == LOG_WINDOW


def page(link: str = "", *, person: str = "7001") -> httpx.Response:
    item = {"id": person, "activityDateTime": "2026-11-24T12:00:00Z", "sourceIdentity": {"id": person}}
    return httpx.Response(200, json={"value": [item]} | ({"@odata.nextLink": link} if link else {}))


async def _people(wire: Wire) -> list[str]:
    return [event.person async for events in wire.graph.events("j'x", NOON, once) for event in events]


@pytest.mark.parametrize(
    "link",
    [
        f"{BASE}/v1.0/auditLogs/provisioning?$skiptoken=abc",
        "https://GRAPH.microsoft.com:443/v1.0/auditLogs/provisioning?$skiptoken=abc",
        "/v1.0/auditLogs/provisioning?$skiptoken=abc",
    ],
)
async def test_pages_are_followed_on_the_same_host_as_the_link_says(link: str) -> None:
    wire = Wire([page(link), page(person="7002")])
    assert await _people(wire) == ["7001", "7002"]
    first, second = wire.seen
    assert first.url.params["$filter"] == "jobId eq 'j''x' and activityDateTime ge 2026-11-24T12:00:00Z"
    assert (second.url.host, second.url.params["$skiptoken"]) == ("graph.microsoft.com", "abc")


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/v1.0/auditLogs/provisioning",
        "http://graph.microsoft.com/v1.0/auditLogs/provisioning",
        "https://graph.microsoft.com:444/v1.0/auditLogs/provisioning",
        "https://graph.microsoft.com.evil.example/",
        "https://graph.microsoft.com@evil.example/",
        "https://evil.example@graph.microsoft.com/",
        "https://evil.example#@graph.microsoft.com/",
        "https://evil.example?@graph.microsoft.com/",
        r"https://evil.example\@graph.microsoft.com/",
        "//evil.example/v1.0",
        "///evil.example/v1.0",
        "https:evil.example/v1.0",
        "ftp://graph.microsoft.com/",
        "file:///etc/passwd",
        "https://graph.microsoft.us/v1.0/auditLogs/provisioning",
        "https://xn--grph-moa.microsoft.com/",
        "https://graph.microsoft.com\t.evil.example/",
        "https://[::1]/",
        "https://[graph.microsoft.com/",
        "https://graph.microsoft.com:99999/",
        "https://graph.microsoft.com:x/",
    ],
)
async def test_a_link_that_leads_elsewhere_never_gets_the_token(link: str) -> None:
    wire = Wire(lambda request: page(link) if len(wire.seen) == 1 else page())
    with suppress(ConnectorError):
        await _people(wire)
    assert {(r.url.scheme, r.url.host, r.url.port) for r in wire.seen} == {("https", "graph.microsoft.com", None)}


async def test_pages_that_lead_in_a_circle_end() -> None:
    wire = Wire(lambda _: page(f"{BASE}/v1.0/auditLogs/provisioning?$skiptoken=same"))
    with pytest.raises(Retryable, match="circle"):
        await _people(wire)
    assert len(wire.seen) == 2


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"value": [{"id"', b"\xff"])
async def test_half_a_page_is_no_page(body: bytes) -> None:
    with pytest.raises(Retryable):
        await _people(Wire([httpx.Response(200, content=body)]))


@pytest.mark.parametrize("body", [{}, {"value": None}, {"value": {}}, {"value": [None, 1, {}]}, [], None, 7])
async def test_a_page_without_events_has_none(body: Any) -> None:
    assert await _people(Wire([httpx.Response(200, content=json.dumps(body).encode())])) == []


async def test_a_jobs_status_is_read_and_odd_ones_are_tolerated() -> None:
    path = PATH.removesuffix("/bulkUpload")
    bodies = [
        {"status": {"code": "Active", "quarantine": None}},
        {"status": {"code": "Quarantine", "quarantine": {"reason": "EncounteredBaseEscrowThreshold"}}},
        {"status": None},
        {},
    ]
    wire = Wire([httpx.Response(200, json=body) for body in bodies])
    found = [(status.code, status.reason) for status in [await wire.graph.job(path) for _ in bodies]]
    assert found == [("Active", ""), ("Quarantine", "EncounteredBaseEscrowThreshold"), ("", ""), ("", "")]


async def test_the_time_of_graph_is_its_last_date_and_what_has_gone_by_since_in_whole_seconds() -> None:
    class Passing(Clock):
        passed = 0.7

        def monotonic(self) -> float:
            return self.passed

    clock = Passing()
    dates = iter([NOON + timedelta(hours=1), None])

    def answer(_: httpx.Request) -> httpx.Response:
        date = next(dates)
        return httpx.Response(202, headers={"Date": format_datetime(date, usegmt=True) if date else "soon"})

    graph = Graph(BASE, TokenSource(lambda: Credential([]), "scope"), clock, httpx.MockTransport(answer))
    assert graph.now() == NOON
    for _ in range(2):
        await graph.upload(PATH, b"{}")
    clock.passed = 3.6
    assert graph.now() == NOON + timedelta(hours=1, seconds=2)


async def test_many_calls_at_once_share_one_token() -> None:
    wire = Wire(lambda _: httpx.Response(202))
    await asyncio.gather(*(wire.graph.upload(PATH, b"{}") for _ in range(20)))
    assert (len(wire.scopes), set(wire.tokens())) == (1, {"Bearer token-1"})
