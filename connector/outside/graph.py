"""Microsoft Graph over HTTP: bulk upload, provisioning log, job status. All HTTP of the connector is here.

The token goes to the origin of GRAPH_BASE_URL and nowhere else (docs/security.md, "The token stays home"): paths are
joined to that origin, redirects are not followed, and a link that Graph hands out is followed on the same origin only.
"""

from __future__ import annotations

import logging
import math
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import orjson

from connector.outside import telemetry
from connector.outside.provisioning_log import parse_event
from connector.outside.tokens import NO_TOKEN, TokenSource
from connector.vocabulary.clock import Clock
from connector.vocabulary.errors import Forbidden, Refused, Retryable, Stopped
from connector.vocabulary.event import Event
from connector.vocabulary.origin import origin

if TYPE_CHECKING:
    import ssl

    import tenacity

log = logging.getLogger(__name__)

TIMEOUT = httpx.Timeout(60.0, connect=15.0)
# As many as requests are in flight, and one for the log.
CONNECTIONS = 17
# Report APIs allow about 5 requests per 10 s ("Identity and access reports" in Graph's page on throttling limits): a
# 429 without Retry-After is over by then, and hardly before.
LOG_WINDOW = 10.0

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


@cache
def _trusted() -> ssl.SSLContext:
    # Reading all authorities' certificates takes longer than a call: once a process, and not at each invocation.
    return httpx.create_ssl_context()


class Graph:
    """One tenant's Graph. Methods raise Throttled, Retryable, Refused (400) or Stopped (401, 403, 404)."""

    # A page holds hundreds of events: a log that needs more pages than this is a link that leads in circles.
    MAX_PAGES = 20_000

    def __init__(
        self, base_url: str, tokens: TokenSource, clock: Clock, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._base = base_url
        self._origin = origin(base_url)
        self._tokens = tokens
        self._clock = clock
        self._ahead: timedelta | None = None
        self._told: tuple[datetime, float] | None = None
        limits = httpx.Limits(max_connections=CONNECTIONS, keepalive_expiry=60)
        self._http = httpx.AsyncClient(
            timeout=TIMEOUT,
            limits=limits,
            transport=transport,
            follow_redirects=False,
            verify=_trusted(),
            # A proxy of the environment tunnels https; of http it would read the token.
            trust_env=self._origin.scheme == "https",
        )

    async def close(self) -> None:
        await self._http.aclose()

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

    async def upload(self, path: str, body: bytes) -> Accepted:
        """POST of one bulk request (Graph page "synchronizationJob: bulkUpload")."""
        started = self._clock.now()
        begun = self._clock.monotonic()
        answer = await self._call("upload", "POST", self._base + path, body)
        if answer.status_code != 202:
            raise Retryable(f"Graph answered {answer.status_code} to a bulk request, where 202 means accepted")
        return Accepted(
            at=_earliest(answer.headers, started, self._clock.monotonic() - begun),
            request_id=_printable(answer.headers.get("request-id", "")),
        )

    async def job(self, path: str) -> JobStatus:
        """GET of the job (Graph page "Get synchronizationJob")."""
        status = _object(_object(_json(await self._call("job", "GET", self._base + path))).get("status"))
        quarantine = _object(status.get("quarantine"))
        return JobStatus(code=str(status.get("code") or ""), reason=str(quarantine.get("reason") or ""))

    async def events(
        self, job_id: str, since: datetime, policy: Callable[[], tenacity.AsyncRetrying]
    ) -> AsyncIterator[list[Event]]:
        """The job's provisioning log from `since` on, page by page (Graph page "List provisioningObjectSummary").

        Each page is asked for under the retry policy. Unknown fields and values are passed over.
        Raises Stopped for an @odata.nextLink that leaves Graph's origin.
        """
        moment = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        criteria = f"jobId eq '{job_id.replace(chr(39), chr(39) * 2)}' and activityDateTime ge {moment}"
        url = f"{self._base}/v1.0/auditLogs/provisioning?$filter={quote(criteria, safe=chr(39))}"
        seen: set[str] = set()
        while url:
            if url in seen or len(seen) >= self.MAX_PAGES:
                raise Retryable("the provisioning log's pages lead in a circle")
            seen.add(url)
            page = _object(await policy()(self._page, url))
            values = page.get("value")
            yield [event for item in (values if isinstance(values, list) else []) if (event := parse_event(item))]
            link = page.get("@odata.nextLink")
            url = self._same_origin(link) if isinstance(link, str) and link else ""

    async def _page(self, url: str) -> Any:
        return _json(await self._call("log", "GET", url))

    def _same_origin(self, link: str) -> str:
        try:
            # Some servers hand out relative links; joined to the origin they are harmless.
            joined = httpx.URL(self._base + "/").join(link)
            if origin(f"{joined.scheme}://{joined.netloc.decode()}") == self._origin and not joined.userinfo:
                return str(joined)
        except (httpx.InvalidURL, ValueError):
            pass
        raise Stopped(
            "the provisioning log's @odata.nextLink leads to another host and was not followed",
            advice="check GRAPH_BASE_URL: a token is sent to its host alone",
        )

    async def _call(self, kind: str, method: str, url: str, body: bytes | None = None) -> httpx.Response:
        token = await self._tokens.token()
        answer = await self._send(kind, method, url, token, body)
        if answer.status_code != 401:
            self._tokens.honoured()
        elif self._tokens.refuse(token):
            # Not sent again from here: whoever counts calls must know of each.
            raise TokenRefused("Graph refused the token, which may have expired on its way", wait=0.0)
        _raise_for_status(kind, answer, self._clock)
        return answer

    async def _send(self, kind: str, method: str, url: str, token: str, body: bytes | None) -> httpx.Response:
        headers = {
            "Authorization": f"Bearer {token}",
            # So that Microsoft's support can find the call (Graph page "Best practices").
            "client-request-id": str(uuid.uuid4()),
        }
        if body is not None:
            headers["Content-Type"] = "application/scim+json"
        before = self._clock.now()
        try:
            answer = await self._http.request(method, url, headers=headers, content=body)
        except httpx.RequestError as error:
            telemetry.measure("connector.requests", 1, call=kind, status="unreachable")
            raise Retryable(f"Graph could not be reached ({type(error).__name__})") from error
        ahead = ahead_of(answer.headers.get("Date"), before, self._clock.now())
        if ahead is not None:
            self._ahead = ahead
        date = _http_date(answer.headers.get("Date", ""))
        if date is not None:
            self._told = (date, self._clock.monotonic())
        telemetry.measure("connector.requests", 1, call=kind, status=str(answer.status_code))
        if answer.status_code == 429:
            telemetry.measure("connector.throttled", 1, call=kind)
        return answer


def _raise_for_status(kind: str, answer: httpx.Response, clock: Clock) -> None:
    status = answer.status_code
    if answer.is_success:
        return
    code, message = _graph_error(answer)
    said = f"Graph answered {status} {code}".rstrip()
    wait = retry_after(answer.headers.get("Retry-After"), clock.now())
    if status == 429:
        raise Throttled(said, wait=LOG_WINDOW if wait is None and kind == "log" else wait)
    if status in {408, 425} or status >= 500:
        raise Retryable(said, wait=wait)
    if status == 401:
        raise Stopped(f"{said}, with a fresh token too", advice=NO_TOKEN)
    if status == 403:
        raise Forbidden(said, advice=_FORBIDDEN[kind])
    if status == 404:
        raise Stopped(said, advice=_NOT_FOUND)
    if answer.is_redirect:
        raise Stopped(f"{said}, a redirect, which was not followed", advice="set GRAPH_BASE_URL to your cloud's Graph")
    raise Refused(code or str(status), message)


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds of a Retry-After header, given in seconds or as an HTTP date (RFC 9110 section 10.2.3); None if odd.

    Never negative. The caller caps it: a header must not be able to stop the connector for a year.
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        date = _http_date(value)
        if date is None:
            return None
        seconds = (date - now).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _earliest(headers: Mapping[str, str], started: datetime, took: float) -> datetime:
    """The Date header is the end of the call in whole seconds, and so are the log's times: the second of the start."""
    date = _http_date(headers.get("Date", ""))
    began = started if date is None else date - timedelta(seconds=took)
    return began.replace(microsecond=0)


def ahead_of(date: str | None, before: datetime, after: datetime) -> timedelta | None:
    """How far the clock of a Date header is ahead of ours, by which the call took from `before` to `after`."""
    found = _http_date(date or "")
    return None if found is None else found - (before + (after - before) / 2)


def _http_date(text: str) -> datetime | None:
    """None for what is no date, or one of which nobody can say in which zone it is."""
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    return date.astimezone(UTC) if date.tzinfo else None


def _graph_error(answer: httpx.Response) -> tuple[str, str]:
    try:
        error = _object(_object(orjson.loads(answer.content)).get("error"))
    except orjson.JSONDecodeError:
        return "", ""
    return _printable(str(error.get("code") or "")), str(error.get("message") or "")


def _json(answer: httpx.Response) -> Any:
    try:
        return orjson.loads(answer.content)
    except orjson.JSONDecodeError as error:
        # Half a page or a gateway's error page: neither says anything about the log.
        raise Retryable("Graph answered with something that is not JSON") from error


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _printable(text: str) -> str:
    return "".join(c for c in text[:200] if c.isprintable())
