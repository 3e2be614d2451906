"""Microsoft Graph over HTTP: bulk upload, provisioning log, job status. All HTTP of the connector is here.

The token goes to the origin of GRAPH_BASE_URL and nowhere else (docs/security.md, "The token stays home"): paths are
joined to that origin, redirects are not followed, and a link that Graph hands out is followed on the same origin only.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import orjson

from connector.outside import telemetry
from connector.outside.bounded_http import BODY_BYTES, CALL_SECONDS, MIB, Answer, BoundedHttp
from connector.outside.provisioning_log import LONGEST_TEXT, parse_events, text
from connector.outside.tokens import NO_TOKEN, TokenSource
from connector.vocabulary import plausible
from connector.vocabulary.clock import Clock, Clocks
from connector.vocabulary.errors import Exceeded, Forbidden, Refused, Retryable, Stopped
from connector.vocabulary.event import Event
from connector.vocabulary.origin import origin

if TYPE_CHECKING:
    import tenacity

log = logging.getLogger(__name__)

# As many as requests are in flight, and one for the log.
CONNECTIONS = 17
# Report APIs allow about 5 requests per 10 s ("Identity and access reports" in Graph's page on throttling limits): a
# 429 without Retry-After is over by then, and hardly before.
LOG_WINDOW = 10.0
# A value of JSON takes up to 232 bytes in memory, so that a page of few bytes may be a large one. An entry of the log
# has about a hundred values.
MOST_VALUES = 2_000_000
LONGEST_LINK = 16_384
_ABOUT_LOG = "the provisioning log"

_FORBIDDEN = {
    "upload": "grant SynchronizationData-User.Upload to the connector's identity (infra/grant-graph-roles.sh)",
    "log": "grant ProvisioningLog.Read.All to the connector's identity (infra/grant-graph-roles.sh)",
    "job": "grant Synchronization.Read.All to the connector's identity, or leave it: it is optional",
}
_NOT_FOUND = "compare the feed's endpoint with Provisioning API Endpoint in the portal: the app or its job is not there"


class Throttled(Retryable):
    """429. `wait` is Retry-After in seconds, where Graph gave one; of the provisioning log, else its window."""


class TokenRefused(Retryable):
    """401. The next call has a fresh token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """202: `at` is the earliest time, by the server's clock where it tells, at which Entra had the request."""

    at: datetime
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """`synchronizationJob.status`: code is Active, Paused, Quarantine, NotConfigured, NotRun or something newer."""

    code: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogBounds:
    """Of one poll. A page holds hundreds of entries of some kilobytes: a log that needs more has no end.

    `seconds` are of the whole poll, what it waits for included; `page_seconds` of one page.
    """

    pages: int = 20_000
    bytes: int = 4096 * MIB
    page_bytes: int = 64 * MIB
    page_seconds: float = 120.0
    seconds: float = 600.0


class Graph:
    """One tenant's Graph. Methods raise Throttled, Retryable, Refused (400) or Stopped (401, 403, 404)."""

    def __init__(
        self,
        base_url: str,
        tokens: TokenSource,
        clock: Clock,
        transport: httpx.AsyncBaseTransport | None = None,
        *,
        call_seconds: float = CALL_SECONDS,
        log_bounds: LogBounds | None = None,
    ) -> None:
        self._base = base_url
        self._origin = origin(base_url)
        self._tokens = tokens
        self._clock = clock
        self._call_seconds = call_seconds
        self._log_bounds = log_bounds or LogBounds()
        self._ahead: timedelta | None = None
        self._told: tuple[datetime, float] | None = None
        self._http = BoundedHttp(
            "Graph",
            connections=CONNECTIONS,
            # A proxy of the environment tunnels https; of http it would read the token.
            proxies=self._origin.scheme == "https",
            transport=transport,
        )

    async def close(self) -> None:
        await self._http.close()

    @property
    def ahead(self) -> timedelta | None:
        """How far Graph's clock was ahead of ours at its last answer, to about a second; None before the first."""
        return self._ahead

    def now(self) -> datetime:
        """The earliest that Graph's clock can show: by its last answer, before the first one by our own clock."""
        if self._told is None:
            return self._clock.now().replace(microsecond=0)
        date, at = self._told
        return (date + timedelta(seconds=self._clock.monotonic() - at)).replace(microsecond=0)

    def clocks(self) -> Clocks:
        """This instance's clock and Graph's, by its last answer; where it has told nothing, they agree."""
        ours = self._clock.now()
        return Clocks(ours=ours, graphs=ours if self._told is None else self.now())

    async def upload(self, path: str, body: bytes) -> Accepted:
        """POST of one bulk request (Graph page "synchronizationJob: bulkUpload")."""
        started = self._clock.now()
        begun = self._clock.monotonic()
        try:
            answer = await self._call("upload", "POST", self._base + path, body)
        except Exceeded as error:
            # That Graph was slow once is no reason to send nothing more in this tick.
            raise Retryable(str(error)) from error
        if answer.status != 202:
            raise Retryable(f"Graph answered {answer.status} to a bulk request, where 202 means accepted")
        return Accepted(
            at=_earliest(answer.date, started, self._clock.monotonic() - begun),
            request_id=_printable(answer.headers.get("request-id", "")),
        )

    async def job(self, path: str) -> JobStatus:
        """GET of the job (Graph page "Get synchronizationJob")."""
        status = _object(_object(_json(await self._call("job", "GET", self._base + path))).get("status"))
        quarantine = _object(status.get("quarantine"))
        return JobStatus(code=_printable(text(status.get("code"))), reason=_printable(text(quarantine.get("reason"))))

    async def events(
        self, job_id: str, since: datetime, policy: Callable[[], tenacity.AsyncRetrying]
    ) -> AsyncIterator[list[Event]]:
        """The job's provisioning log from `since` on, page by page (Graph page "List provisioningObjectSummary").

        Each page is asked for under the retry policy. Unknown fields and values are passed over, and so are entries
        that nobody can have written: their number is logged. What was given before an exception is not the whole log.
        Raises Stopped for an @odata.nextLink that leaves Graph's origin.
        """
        moment = max(since, plausible.FIRST).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        criteria = f"jobId eq '{job_id.replace(chr(39), chr(39) * 2)}' and activityDateTime ge {moment}"
        url = f"{self._base}/v1.0/auditLogs/provisioning?$filter={quote(criteria, safe=chr(39))}"
        bounds = self._log_bounds
        until = self._clock.monotonic() + bounds.seconds
        # Digests, since an address may be long, and pages many.
        seen: set[bytes] = set()
        read = absurd = 0
        try:
            while url:
                mark = blake2b(url.encode(), digest_size=16).digest()
                if mark in seen:
                    raise Exceeded(f"{_ABOUT_LOG}'s pages lead in a circle")
                if len(seen) >= bounds.pages:
                    raise Exceeded(f"{_ABOUT_LOG} has more than {bounds.pages} pages")
                seen.add(mark)
                page: dict[str, Any]
                size: int
                page, size = await policy()(self._page, url, until)
                read += size
                if read > bounds.bytes:
                    raise Exceeded(f"{_ABOUT_LOG} is larger than {bounds.bytes // MIB} MiB")
                events, odd = parse_events(page["value"], self.clocks().latest)
                absurd += odd
                yield events
                link: str | None = page.get("@odata.nextLink")
                url = self._same_origin(link) if link else ""
        finally:
            if absurd:
                log.warning("log entries passed over", extra={"entries": absurd})

    async def _page(self, url: str, until: float) -> tuple[dict[str, Any], int]:
        """A page that is whole, and its size. What is not may be so when it is asked for again."""
        bounds = self._log_bounds
        left = until - self._clock.monotonic()
        if left <= 0:
            raise Exceeded(f"{_ABOUT_LOG} did not end within {bounds.seconds / 60:g} minutes")
        seconds = min(left, bounds.page_seconds)
        answer = await self._call("log", "GET", url, most=bounds.page_bytes, seconds=seconds)
        page = _object(_json(answer))
        if page.get("error") is not None:
            raise Retryable(f"a page of {_ABOUT_LOG} has an error in it {_graph_error(page)[0]}".rstrip())
        if not isinstance(page.get("value"), list):
            raise Retryable(f"a page of {_ABOUT_LOG} has no list of entries (value)")
        link = page.get("@odata.nextLink")
        if link is not None and (not isinstance(link, str) or len(link) > LONGEST_LINK):
            raise Retryable(f"a page of {_ABOUT_LOG} has an @odata.nextLink that is no address")
        return page, len(answer.content)

    def _same_origin(self, link: str) -> str:
        try:
            # Some servers hand out relative links; joined to the origin they are harmless.
            joined = httpx.URL(self._base + "/").join(link).copy_with(fragment=None)
            if origin(f"{joined.scheme}://{joined.netloc.decode()}") == self._origin and not joined.userinfo:
                return str(joined)
        except (httpx.InvalidURL, ValueError):
            pass
        raise Stopped(
            "the provisioning log's @odata.nextLink leads to another host and was not followed",
            advice="check GRAPH_BASE_URL: a token is sent to its host alone",
        )

    async def _call(
        self,
        kind: str,
        method: str,
        url: str,
        body: bytes | None = None,
        *,
        most: int = BODY_BYTES,
        seconds: float | None = None,
    ) -> Answer:
        token = await self._tokens.token()
        headers = {
            "Authorization": f"Bearer {token}",
            # So that Microsoft's support can find the call (Graph page "Best practices").
            "client-request-id": str(uuid.uuid4()),
        }
        if body is not None:
            headers["Content-Type"] = "application/scim+json"
        before = self._clock.now()
        within = self._call_seconds if seconds is None else seconds
        try:
            answer = await self._http.send(method, url, headers=headers, body=body, most=most, seconds=within)
        except Retryable:
            telemetry.measure("connector.requests", 1, call=kind, status="unreachable")
            raise
        answer = replace(answer, date=self._note(kind, answer, before))
        if answer.status != 401:
            self._tokens.honoured()
        elif self._tokens.refuse(token):
            # Not sent again from here: whoever counts calls must know of each.
            raise TokenRefused("Graph refused the token, which may have expired on its way", wait=0.0)
        _raise_for_status(kind, answer, answer.date or self._clock.now())
        return answer

    def _note(self, kind: str, answer: Answer, before: datetime) -> datetime | None:
        """Counts the call. What the answer's Date header says, where that can be."""
        telemetry.measure("connector.requests", 1, call=kind, status=str(answer.status))
        if answer.status == 429:
            telemetry.measure("connector.throttled", 1, call=kind)
        ahead = plausible.ahead_of(answer.headers.get("Date"), before, self._clock.now())
        date = plausible.http_date(answer.headers.get("Date"))
        if ahead is None or date is None:
            return None
        self._ahead = ahead
        self._told = (date, self._clock.monotonic())
        return date


def _raise_for_status(kind: str, answer: Answer, now: datetime) -> None:
    status = answer.status
    if answer.successful:
        return
    code, message = _graph_error({} if _crowded(answer.content) else _object(_loads(answer.content)))
    said = f"Graph answered {status} {code}".rstrip()
    wait = plausible.retry_after(answer.headers.get("Retry-After"), now)
    if status == 429:
        raise Throttled(said, wait=LOG_WINDOW if wait is None and kind == "log" else wait)
    if status in {408, 425} or status >= 500 or status < 200:
        raise Retryable(said, wait=wait)
    if status == 401:
        raise Stopped(f"{said}, with a fresh token too", advice=NO_TOKEN)
    if status == 403:
        raise Forbidden(said, advice=_FORBIDDEN[kind])
    if status == 404:
        raise Stopped(said, advice=_NOT_FOUND)
    if answer.redirects:
        raise Stopped(f"{said}, a redirect, which was not followed", advice="set GRAPH_BASE_URL to your cloud's Graph")
    raise Refused(code or str(status), message)


def _earliest(date: datetime | None, started: datetime, took: float) -> datetime:
    """The Date header is the end of the call in whole seconds, and so are the log's times: the second of the start."""
    began = started if date is None else date - timedelta(seconds=took)
    return began.replace(microsecond=0)


def _graph_error(document: dict[str, Any]) -> tuple[str, str]:
    error = _object(document.get("error"))
    return _printable(text(error.get("code"))), text(error.get("message"), LONGEST_TEXT)


def _json(answer: Answer) -> Any:
    if answer.fault:
        kind = Retryable if answer.again else Exceeded
        raise kind(f"Graph's answer {answer.fault}")
    if _crowded(answer.content):
        raise Exceeded(f"Graph's answer has more than {MOST_VALUES} values")
    document = _loads(answer.content)
    if document is None:
        # Half a page or a gateway's error page: neither says anything about the log.
        raise Retryable("Graph answered with something that is not JSON")
    return document


def _crowded(content: bytes) -> bool:
    # No value without a comma or a bracket before it, but for an object's, whose names are values here.
    return sum(content.count(mark) for mark in (b",", b"[", b"{")) > MOST_VALUES


def _loads(content: bytes) -> Any:
    """The document; None where it is no JSON."""
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        pass
    try:
        # One letter, or one number, that orjson is too strict for costs its own entry and not the page.
        return json.loads(content.decode("utf-8", "replace"), parse_int=float)
    except (ValueError, RecursionError):
        return None


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _printable(text: str) -> str:
    return "".join(c for c in text[:200] if c.isprintable())
