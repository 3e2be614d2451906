"""Graph over a fake transport: where a token goes, what an answer means, and what a broken connection becomes."""

from __future__ import annotations

import asyncio
import gzip
import inspect
import random
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
import tenacity
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError

from connector.outside import telemetry
from connector.outside.graph import Accepted, Graph, LogBounds, Throttled, TokenRefused
from connector.outside.retries import retrying
from connector.outside.system_clock import SystemClock
from connector.outside.telemetry.spans import exporting_to
from connector.outside.tokens import TokenSource
from connector.vocabulary.errors import ConnectorError, Exceeded, Forbidden, Refused, Retryable, Stopped
from connector.vocabulary.plausible import ahead_of, retry_after

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


class Stopwatch(Clock):
    """Noon at first; two seconds pass between any two looks at it."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        self.seconds += 2.0
        return self.seconds - 2.0


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

    def __init__(
        self,
        answer: Answer | Sequence[httpx.Response],
        base: str = BASE,
        clock: SystemClock | None = None,
        **bounds: Any,
    ) -> None:
        self.seen: list[httpx.Request] = []
        self.scopes: list[str] = []
        queue = None if callable(answer) else iter(answer)

        def handle(request: httpx.Request) -> httpx.Response:
            self.seen.append(request)
            return answer(request) if callable(answer) else next(queue)  # type: ignore[arg-type] # one of the two

        tokens = TokenSource(lambda: Credential(self.scopes), f"{base}/.default")
        self.graph = Graph(base, tokens, clock or Clock(), httpx.MockTransport(handle), **bounds)

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
    ("date", "at"),
    [
        # The answer came 8 s after the call was begun: three looks at the clock lie between.
        (format_datetime(NOON + timedelta(seconds=40), usegmt=True), NOON + timedelta(seconds=32)),
        ("Tue, 24 Nov 2026 13:00:40 +0100", NOON + timedelta(seconds=32)),
        # Without a time of the server's, ours of the beginning.
        ("", NOON),
        ("soon", NOON),
        # RFC 5322's way to say that nobody knows the zone.
        ("Tue, 24 Nov 2026 12:00:40 -0000", NOON),
    ],
)
async def test_entra_can_have_had_a_request_from_when_the_call_began_by_the_servers_clock(
    date: str, at: datetime
) -> None:
    wire = Wire([httpx.Response(202, headers={"date": date} if date else {})], clock=Stopwatch())
    assert await wire.graph.upload(PATH, b"{}") == Accepted(at=at, request_id="")


async def test_what_began_within_a_second_counts_from_its_beginning_as_the_log_does() -> None:
    class Later(Clock):
        def now(self) -> datetime:
            return NOON + timedelta(milliseconds=1700)

    wire = Wire([httpx.Response(202)], clock=Later())
    assert await wire.graph.upload(PATH, b"{}") == Accepted(at=NOON + timedelta(seconds=1), request_id="")


async def test_how_far_graphs_clock_is_ahead_is_known_from_its_last_answer_that_told() -> None:
    def answer(seconds: int) -> httpx.Response:
        date = format_datetime(NOON + timedelta(seconds=seconds), usegmt=True)
        return httpx.Response(202, headers={"date": date})

    wire = Wire([httpx.Response(202), answer(30), httpx.Response(202), answer(0), answer(-5)])
    found = [wire.graph.ahead]
    for _ in range(5):
        await wire.graph.upload(PATH, b"{}")
        found.append(wire.graph.ahead)
    told = [timedelta(seconds=seconds) for seconds in (30, 30, 0, -5)]
    assert found == [None, None, *told]


def test_a_clock_is_compared_with_the_middle_of_the_call() -> None:
    date = format_datetime(NOON + timedelta(seconds=32), usegmt=True)
    assert ahead_of(date, NOON, NOON + timedelta(seconds=4)) == timedelta(seconds=30)
    assert [ahead_of(odd, NOON, NOON) for odd in (None, "soon", "Tue, 24 Nov 2026 12:00:40")] == [None] * 3


async def test_every_call_has_an_id_of_its_own_and_only_an_upload_has_a_body() -> None:
    wire = Wire([httpx.Response(202), httpx.Response(202), httpx.Response(200, json={})])
    await wire.graph.upload(PATH, b"{}")
    await wire.graph.upload(PATH, b"{}")
    await wire.graph.job(PATH.removesuffix("/bulkUpload"))
    ids = [str(uuid.UUID(request.headers["client-request-id"])) for request in wire.seen]
    assert len(set(ids)) == 3
    assert [(request.method, request.headers.get("content-type"), request.content) for request in wire.seen] == [
        ("POST", "application/scim+json", b"{}"),
        ("POST", "application/scim+json", b"{}"),
        ("GET", None, b""),
    ]


async def test_a_call_waits_15_seconds_for_a_connection_and_60_for_anything_else() -> None:
    wire = Wire([httpx.Response(202)])
    await wire.graph.upload(PATH, b"{}")
    assert wire.seen[0].extensions["timeout"] == {"connect": 15.0, "read": 60.0, "write": 60.0, "pool": 60.0}


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


_GRANT = " to the connector's identity"
_IDENTITY = (
    "assign the managed identity and set AZURE_CLIENT_ID to its client id; `python -m connector doctor` checks it"
)


@pytest.mark.parametrize(
    ("call", "status", "message", "advice"),
    [
        (
            "upload",
            403,
            "Graph answered 403 SomeCode",
            f"grant SynchronizationData-User.Upload{_GRANT} (infra/grant-graph-roles.sh)",
        ),
        (
            "log",
            403,
            "Graph answered 403 SomeCode",
            f"grant ProvisioningLog.Read.All{_GRANT} (infra/grant-graph-roles.sh)",
        ),
        (
            "job",
            403,
            "Graph answered 403 SomeCode",
            f"grant Synchronization.Read.All{_GRANT}, or leave it: it is optional",
        ),
        (
            "upload",
            404,
            "Graph answered 404 SomeCode",
            "compare the feed's endpoint with Provisioning API Endpoint in the portal: the app or its job is not there",
        ),
        (
            "upload",
            302,
            "Graph answered 302 SomeCode, a redirect, which was not followed",
            "set GRAPH_BASE_URL to your cloud's Graph",
        ),
        ("upload", 401, "Graph answered 401 SomeCode, with a fresh token too", _IDENTITY),
    ],
)
async def test_what_stops_sending_says_what_to_do(call: str, status: int, message: str, advice: str) -> None:
    wire = Wire([refusing(status, location=f"{BASE}/x")] * 2)
    calls: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
        "upload": lambda: wire.graph.upload(PATH, b"{}"),
        "log": lambda: _people(wire),
        "job": lambda: wire.graph.job(PATH),
    }
    with suppress(TokenRefused):
        await calls[call]() if status == 401 else None
    with pytest.raises(Stopped) as stopped:
        await calls[call]()
    assert (stopped.value.message, stopped.value.advice) == (message, advice)


@pytest.mark.parametrize("status", [408, 425, 500, 503])
@pytest.mark.parametrize(("value", "wait"), [("7", 7.0), ("", None)])
async def test_what_may_go_through_later_is_tried_again_when_graph_says(
    status: int, value: str, wait: float | None
) -> None:
    answer = httpx.Response(status, headers={"Retry-After": value} if value else {})
    with pytest.raises(Retryable) as later:
        await Wire([answer]).graph.upload(PATH, b"{}")
    assert (type(later.value), str(later.value), later.value.wait) == (Retryable, f"Graph answered {status}", wait)


@pytest.mark.parametrize("status", [402, 409, 410, 418, 499])
async def test_any_other_refusal_is_of_what_was_sent(status: int) -> None:
    with pytest.raises(Refused) as refused:
        await Wire([httpx.Response(status)]).graph.upload(PATH, b"{}")
    assert (refused.value.code, refused.value.message) == (str(status), "")


async def test_a_400_carries_graphs_own_words() -> None:
    with pytest.raises(Refused) as refused:
        await Wire([refusing(400)]).graph.upload(PATH, b"{}")
    assert (refused.value.code, refused.value.message) == ("SomeCode", "Some message.")


async def test_graphs_codes_and_ids_are_short_and_printable() -> None:
    body = {"error": {"code": "Bad\u0007\nCode" + "x" * 300, "message": None}}
    headers = {"request-id": "r" * 300}
    wire = Wire([httpx.Response(400, json=body), httpx.Response(202, headers=headers)])
    with pytest.raises(Refused) as refused:
        await wire.graph.upload(PATH, b"{}")
    # Of 200 characters two could not be printed.
    assert (refused.value.code, refused.value.message) == ("BadCode" + "x" * 191, "")
    assert (await wire.graph.upload(PATH, b"{}")).request_id == "r" * 200


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b"", "400", ""),
        (b"<html>", "400", ""),
        (b"[]", "400", ""),
        (b"null", "400", ""),
        (b'{"error": "x"}', "400", ""),
        (b'{"error": {"code": 7}}', "7", ""),
        (b'{"error": {"message": "Why."}}', "400", "Why."),
    ],
)
async def test_an_error_without_graphs_form_is_an_error_all_the_same(body: bytes, code: str, message: str) -> None:
    with pytest.raises(Refused) as refused:
        await Wire([httpx.Response(400, content=body)]).graph.upload(PATH, b"{}")
    assert (refused.value.code, refused.value.message) == (code, message)


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


async def test_a_token_that_graph_took_in_between_may_expire_again() -> None:
    wire = Wire([refusing(401), httpx.Response(202), refusing(401), refusing(400), refusing(401), httpx.Response(202)])
    for _ in range(3):
        with pytest.raises(TokenRefused) as again:
            await wire.graph.upload(PATH, b"{}")
        assert again.value.wait == 0.0
        # A 400 is no refusal of the token either.
        with suppress(Refused):
            await wire.graph.upload(PATH, b"{}")
    assert wire.tokens() == [f"Bearer token-{n}" for n in (1, 2, 2, 3, 3, 4)]


async def test_a_token_is_kept_until_five_minutes_before_it_expires() -> None:
    class Hourly:
        seconds = 0.0
        given = 0

        def get_token(self, *_: str, **__: Any) -> AccessToken:
            self.given += 1
            return AccessToken(f"token-{self.given}", int(self.seconds) + 3600)

    hourly, asked = Hourly(), []

    def connect() -> Hourly:
        asked.append(hourly.seconds)
        return hourly

    tokens = TokenSource(connect, "scope", now=lambda: hourly.seconds)

    async def token_at(seconds: float) -> str:
        hourly.seconds = seconds
        return await tokens.token()

    found = [await token_at(seconds) for seconds in (0.0, 3299.0, 3300.0, 3300.5, 6600.0, 6600.5)]
    assert found == ["token-1", "token-1", "token-1", "token-2", "token-2", "token-3"]
    # The credential itself is kept.
    assert asked == [0.0]


async def test_a_refused_token_goes_with_its_credential_which_would_give_it_again() -> None:
    made: list[object] = []

    class Caching:
        def __init__(self) -> None:
            made.append(self)
            self.kept = AccessToken(f"token-{len(made)}", int(time.time()) + 3600)

        def get_token(self, *_: str, **__: Any) -> AccessToken:
            return self.kept

    tokens = TokenSource(Caching, "scope")
    first = await tokens.token()
    assert (tokens.refuse(first), await tokens.token()) == (True, "token-2")
    # A late answer to the first token says nothing of the second.
    assert (tokens.refuse(first), await tokens.token()) == (True, "token-2")
    assert (tokens.refuse("token-2"), tokens.refuse("token-2")) == (False, False)


async def test_calls_at_once_whose_token_is_refused_count_as_one_refusal() -> None:
    tokens = TokenSource(lambda: Credential([]), "scope")
    token = await tokens.token()
    assert [tokens.refuse(token) for _ in range(16)] == [True] * 16


async def test_an_identity_that_failed_is_asked_anew() -> None:
    made: list[int] = []

    class Late:
        def __init__(self) -> None:
            made.append(len(made))

        def get_token(self, *_: str, **__: Any) -> AccessToken:
            if made == [0]:
                raise ClientAuthenticationError("no identity yet")
            return AccessToken(f"token of {made[-1]}", int(time.time()) + 3600)

    tokens = TokenSource(Late, "scope")
    with pytest.raises(Retryable) as later:
        await tokens.token()
    assert str(later.value) == f"no token for Microsoft Graph (ClientAuthenticationError): {_IDENTITY}"
    assert (await tokens.token(), await tokens.token(), made) == ("token of 1", "token of 1", [0, 1])


@pytest.mark.parametrize(
    "answer",
    [
        KeyError("access_token"),
        ValueError("Expecting value"),
        OverflowError("int too large"),
        RecursionError("nested"),
        AccessToken("tokén", 2**40),
    ],
)
async def test_whatever_an_identity_endpoint_answers_there_is_a_token_or_none(answer: Exception | AccessToken) -> None:
    class Odd:
        def get_token(self, *_: str, **__: Any) -> AccessToken:
            if isinstance(answer, Exception):
                raise answer
            return answer

    kind = type(answer) if isinstance(answer, Exception) else UnicodeEncodeError
    with pytest.raises(Retryable) as later:
        await TokenSource(Odd, "scope").token()
    assert str(later.value) == f"no token for Microsoft Graph ({kind.__name__}): {_IDENTITY}"


async def test_an_identity_endpoint_that_drips_is_left_after_a_time() -> None:
    answered = threading.Event()

    class Slow:
        def get_token(self, *_: str, **__: Any) -> AccessToken:
            answered.wait(30)
            return AccessToken("late", 2**40)

    try:
        with pytest.raises(Retryable, match=r"no token for Microsoft Graph within 0\.05 seconds"):
            await TokenSource(Slow, "scope", seconds=0.05).token()
    finally:
        answered.set()


async def test_by_a_clock_that_is_a_day_ahead_a_token_is_not_fetched_for_every_call() -> None:
    class Hourly:
        given = 0

        def get_token(self, *_: str, **__: Any) -> AccessToken:
            Hourly.given += 1
            return AccessToken(f"token-{Hourly.given}", 3600)

    seconds = 0.0
    tokens = TokenSource(Hourly, "scope", now=lambda: seconds)

    async def token_at(moment: float) -> str:
        nonlocal seconds
        seconds = moment
        return await tokens.token()

    found = [await token_at(moment) for moment in (86_400.0, 86_459.0, 86_460.0, 86_400.0)]
    # Where the clock is set back, a token is fetched anew.
    assert found == ["token-1", "token-1", "token-2", "token-3"]


async def test_after_a_token_that_graph_took_one_more_refusal_is_forgiven_and_no_second() -> None:
    wire = Wire([httpx.Response(202), refusing(401), refusing(401)])
    await wire.graph.upload(PATH, b"{}")
    with pytest.raises(TokenRefused):
        await wire.graph.upload(PATH, b"{}")
    with pytest.raises(Stopped):
        await wire.graph.upload(PATH, b"{}")


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
        ("604800", 604800.0),
        ("604801", None),
        ("1e9", None),
        ("1e400", None),
        ("9" * 5000, None),
        ("1_000", None),
        ("٧", None),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        (format_datetime(NOON + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOON - timedelta(seconds=90), usegmt=True), 0.0),
        ("Tue, 24 Nov 2026 12:00:30", None),
        ("Tue, 99 Nov 2026 12:00:30 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 -0100", None),
        ("Tue, 24 Nov 2026 12:00:30 +99999999999999", None),
        ("Tue, 24 Nov 99999999999999999999 12:00:30 GMT", None),
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


@pytest.mark.parametrize(("value", "wait"), [("3", 3.0), ("0", 0.0), ("", 10.0), ("nonsense", 10.0)])
async def test_a_429_of_the_log_without_retry_after_is_waited_for_as_long_as_its_window(
    value: str, wait: float
) -> None:
    with pytest.raises(Throttled) as throttled:
        await _people(Wire([httpx.Response(429, headers={"Retry-After": value} if value else {})]))
    assert throttled.value.wait == wait


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


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/v1.0/auditLogs/provisioning",
        "http://graph.microsoft.com/v1.0/auditLogs/provisioning",
        "https://graph.microsoft.com:444/v1.0/auditLogs/provisioning",
        "https://somebody@graph.microsoft.com/v1.0/auditLogs/provisioning",
        "https://somebody:secret@graph.microsoft.com/v1.0/auditLogs/provisioning",
        "https://[graph.microsoft.com/",
        "https://graph.microsoft.com:x/",
        "//evil.example/v1.0",
    ],
)
async def test_a_link_to_another_host_or_with_a_name_in_it_stops_with_what_to_do(link: str) -> None:
    wire = Wire(lambda _: page(link))
    with pytest.raises(Stopped) as stopped:
        await _people(wire)
    assert (stopped.value.message, stopped.value.advice, len(wire.seen)) == (
        "the provisioning log's @odata.nextLink leads to another host and was not followed",
        "check GRAPH_BASE_URL: a token is sent to its host alone",
        1,
    )


@pytest.mark.parametrize(
    ("base", "link"),
    [
        ("http://127.0.0.1", "http://127.0.0.1:80"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        (BASE, f"{BASE}:443"),
        (f"{BASE}:443", BASE),
    ],
)
async def test_a_link_may_say_the_port_that_goes_without_saying(base: str, link: str) -> None:
    wire = Wire([page(f"{link}/v1.0/next"), page(person="7002")], base)
    assert (await _people(wire), wire.seen[1].url.path) == (["7001", "7002"], "/v1.0/next")


async def test_the_log_is_asked_from_a_moment_in_utc_whatever_its_zone() -> None:
    wire = Wire([page()])
    since = NOON.astimezone(timezone(timedelta(hours=2)))
    assert [event.person async for events in wire.graph.events("j", since, once) for event in events] == ["7001"]
    assert str(wire.seen[0].url) == (
        f"{BASE}/v1.0/auditLogs/provisioning?$filter=jobId%20eq%20'j'%20and%20activityDateTime%20ge%202026-11-24T12%3A00%3A00Z"
    )


@pytest.mark.parametrize("link", [None, ""])
async def test_a_page_without_a_link_is_the_last(link: Any) -> None:
    wire = Wire([httpx.Response(200, json={"value": [], "@odata.nextLink": link})])
    assert (await _people(wire), len(wire.seen)) == ([], 1)


async def test_pages_that_lead_in_a_circle_end() -> None:
    wire = Wire(lambda _: page(f"{BASE}/v1.0/auditLogs/provisioning?$skiptoken=same"))
    with pytest.raises(Retryable, match="circle"):
        await _people(wire)
    assert len(wire.seen) == 2


async def test_pages_that_never_end_end() -> None:
    link = "/v1.0/auditLogs/provisioning?$skiptoken="
    wire = Wire(lambda _: page(f"{link}{len(wire.seen)}"), log_bounds=LogBounds(pages=3))
    with pytest.raises(Exceeded, match="the provisioning log has more than 3 pages"):
        await _people(wire)
    assert len(wire.seen) == 3


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"value": [{"id"', b"\xff"])
async def test_half_a_page_is_no_page(body: bytes) -> None:
    with pytest.raises(Retryable):
        await _people(Wire([httpx.Response(200, content=body)]))


@pytest.mark.parametrize("values", [[], [None, 1, {}], [{"sourceIdentity": None}]])
async def test_a_page_without_events_has_none(values: Any) -> None:
    assert await _people(Wire([httpx.Response(200, json={"value": values})])) == []


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


class Measures:
    """Telemetry that is told and keeps it."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, float, dict[str, Any]]] = []

    def begin(self, *_: Any) -> telemetry.Span:
        return telemetry.NO_SPAN

    def measure(self, name: str, value: float, attributes: Mapping[str, Any]) -> None:
        self.kept.append((name, value, dict(attributes)))

    def flush(self) -> None:
        pass


async def test_every_call_is_counted_by_what_it_is_and_how_it_was_answered() -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("gone")

    answers = [httpx.Response(202), httpx.Response(428), httpx.Response(429), httpx.Response(430)]
    wire, measures = Wire(answers), Measures()
    with exporting_to(measures):
        for _ in answers:
            with suppress(ConnectorError):
                await wire.graph.upload(PATH, b"{}")
        with suppress(ConnectorError):
            await Wire([httpx.Response(429)]).graph.job(PATH)
        await _people(Wire([page()]))
        with suppress(ConnectorError):
            await _people(Wire(fail))
    assert measures.kept == [
        ("connector.requests", 1, {"call": "upload", "status": "202"}),
        ("connector.requests", 1, {"call": "upload", "status": "428"}),
        ("connector.requests", 1, {"call": "upload", "status": "429"}),
        ("connector.throttled", 1, {"call": "upload"}),
        ("connector.requests", 1, {"call": "upload", "status": "430"}),
        ("connector.requests", 1, {"call": "job", "status": "429"}),
        ("connector.throttled", 1, {"call": "job"}),
        ("connector.requests", 1, {"call": "log", "status": "200"}),
        ("connector.requests", 1, {"call": "log", "status": "unreachable"}),
    ]


class Loopback:
    """A server on this machine that answers every request once `enough` have come."""

    def __init__(self, status: str = "200 OK", enough: int = 1, body: bytes = b"{}") -> None:
        self.heads: list[bytes] = []
        self.connections = 0
        self.open = 0
        self.left_alone = asyncio.Event()
        self._answer = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
        self._enough = enough
        self._there = asyncio.Event()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                if len(self.heads) >= self._enough:
                    self._there.set()
                await self._there.wait()
                writer.write(self._answer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        self.open -= 1
        if not self.open:
            self.left_alone.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Until its clients have closed their connections."""
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0) as server, asyncio.timeout(30):
            yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            if self.connections:
                await self.left_alone.wait()


def real(base: str) -> Graph:
    return Graph(base, TokenSource(lambda: Credential([]), "scope"), Clock())


async def test_as_many_connections_as_requests_in_flight_and_one_for_the_log_are_kept_until_it_is_closed() -> None:
    server = Loopback(enough=17)
    async with server.running() as address:
        graph = real(f"http://{address}")
        await asyncio.gather(*(graph.job("/x") for _ in range(40)))
        await asyncio.gather(*(graph.job("/x") for _ in range(17)))
        assert (server.connections, server.open, len(server.heads)) == (17, 17, 57)
        # The server waits for its clients to leave.
        await graph.close()


async def test_a_connection_is_used_again_after_an_answer_that_was_packed() -> None:
    server = Loopback("200 OK\r\ncontent-encoding: gzip", body=gzip.compress(b'{"status": {"code": "Active"}}') + b"\0")
    async with server.running() as address:
        graph = real(f"http://{address}")
        assert [(await graph.job("/x")).code for _ in range(3)] == ["Active"] * 3
        await graph.close()
    assert (server.connections, len(server.heads)) == (1, 3)


async def test_a_proxy_of_the_environment_tunnels_https_and_never_sees_http(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy, server = Loopback("502 Bad Gateway"), Loopback()
    async with proxy.running() as elsewhere, server.running() as address:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://{elsewhere}")
            monkeypatch.delenv(name.lower(), raising=False)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        plain, secure = real(f"http://{address}"), real(BASE)
        await plain.job("/x")
        assert (len(server.heads), proxy.heads) == (1, [])
        with pytest.raises(Retryable):
            await secure.job("/x")
        assert [head.splitlines()[0] for head in proxy.heads] == [b"CONNECT graph.microsoft.com:443 HTTP/1.1"]
        assert b"token" not in b"".join(proxy.heads).lower()
        await plain.close()
        await secure.close()


async def test_many_calls_at_once_share_one_token() -> None:
    wire = Wire(lambda _: httpx.Response(202))
    await asyncio.gather(*(wire.graph.upload(PATH, b"{}") for _ in range(20)))
    assert (len(wire.scopes), set(wire.tokens())) == (1, {"Bearer token-1"})
