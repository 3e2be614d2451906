"""The sandbox's HTTP: what Graph and the App Service identity endpoint answer, header by header."""

from __future__ import annotations

import asyncio
import hashlib
import math
import random
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from connector.sandbox.bulk import InvalidBulk, operations
from connector.sandbox.connection import Connection, flood, half
from connector.sandbox.entra import Entra, Job
from connector.sandbox.events import iso, odd_entries
from connector.sandbox.faults import Action, Endpoint, Rule, Schedule
from connector.sandbox.odata import InvalidQuery, LogPages, parse_query
from connector.sandbox.report import Report, Seen
from connector.sandbox.settings import JOB_ROLES, JOB_WRITE_ROLES, LOG_ROLES, UPLOAD_ROLES, SandboxSettings
from connector.sandbox.throttle import SlidingWindow
from connector.sandbox.tokens import STORAGE, TokenRefused, Tokens
from connector.vocabulary.clock import Clock
from connector.vocabulary.origin import is_loopback

IDENTITY_PATH = "/msi/token"
IDENTITY_API_VERSION = "2019-08-01"

_JOB_PATH = r"/(?P<version>v1\.0|beta)/servicePrincipals/(?P<principal>[^/]+)/synchronization/jobs/(?P<job>[^/]+)"


class Refusal(Exception):
    """A Graph error to answer with."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, dict(headers or {})


@dataclass(frozen=True, slots=True)
class Route:
    """`path` must match whole."""

    path: re.Pattern[str]
    endpoint: Endpoint
    method: str
    handler: Callable[[Call], Response]


@dataclass(slots=True, kw_only=True)
class Call:
    """One request on its way through; `body` is read by then, `base` is the URL that the caller used."""

    request: Request
    body: bytes
    base: str
    parts: Mapping[str, str]
    seen: Seen
    rule: Rule | None

    def faulted(self, action: Action) -> bool:
        return self.rule is not None and self.rule.do is action


class SandboxApp:
    """An ASGI application: one tenant of Entra, with faults by `faults` and everything seen in `report`."""

    def __init__(
        self, entra: Entra, *, clock: Clock, faults: Schedule | None = None, report: Report | None = None
    ) -> None:
        self.entra = entra
        self.clock = clock
        self.faults = faults if faults is not None else Schedule()
        self.report = report if report is not None else Report(entra.settings.send_limit.seconds)
        self.closing = False
        settings = entra.settings
        # A secret of its own for each sandbox, so that no sandbox takes another's tokens.
        self._tokens = Tokens(tenant_id=settings.tenant_id, secret=uuid.uuid4().bytes)
        self._ids = random.Random(f"{settings.seed}/ids")
        self._jitter = random.Random(f"{settings.seed}/jitter")
        self._window = SlidingWindow(settings.send_limit)
        self._quota = SlidingWindow(settings.quota)
        self._reports = SlidingWindow(settings.report_limit) if settings.report_limit else None
        self._pages = LogPages()
        self._began = clock.monotonic()
        self._routes = [
            Route(re.compile(rf"{_JOB_PATH}/bulkUpload"), Endpoint.UPLOAD, "POST", self._upload),
            Route(re.compile(rf"{_JOB_PATH}/?"), Endpoint.JOB, "GET", self._job_status),
            Route(re.compile(rf"{_JOB_PATH}/schema"), Endpoint.JOB, "GET", self._schema),
            Route(re.compile(rf"{_JOB_PATH}/(?P<verb>start|pause|restart)"), Endpoint.JOB, "POST", self._order),
            Route(re.compile(r"/(v1\.0|beta)/auditLogs/provisioning/?"), Endpoint.LOG, "GET", self._log),
            Route(re.compile(IDENTITY_PATH), Endpoint.TOKEN, "GET", self._identity),
        ]

    @property
    def settings(self) -> SandboxSettings:
        return self.entra.settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._answer(scope, receive, send)
        except ClientDisconnect:
            return
        except asyncio.CancelledError:
            # uvicorn would log a traceback for each request that is cut off by a stop.
            if not self.closing:
                raise

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        base = f"{scope['scheme']}://{request.headers.get('host', '')}"
        path = scope["path"]
        if path == "/sandbox/report":
            await _json(200, self.report.as_json())(scope, receive, send)
            return
        for route in self._routes:
            match = route.path.fullmatch(path)
            if match:
                await self._serve(route, request, send, base=base, parts=match.groupdict())
                return
        refusal = Refusal(400, "BadRequest", f"Resource not found for the segment '{path.strip('/').split('/')[0]}'.")
        await self._refuse(refusal, self._graph_headers(request))(scope, receive, send)

    async def _serve(self, route: Route, request: Request, send: Send, *, base: str, parts: Mapping[str, str]) -> None:
        connection: Connection = request.scope["state"]["connection"]
        settings = self.settings
        hold = _hold_of(self.clock, connection)
        if settings.network_delay or settings.network_jitter:
            await hold(settings.network_delay + self._jitter.uniform(0, settings.network_jitter))
        now = self.clock.monotonic()
        seen = Seen(at=now, endpoint=route.endpoint, method=request.method, path=request.url.path)
        self.report.arrive(seen)
        rule = self.faults.decide(
            route.endpoint,
            method=request.method,
            path=request.url.path,
            headers=request.headers.items(),
            elapsed=now - self._began,
        )
        seen.fault = str(rule.do) if rule else ""
        if rule and rule.do in (Action.DROP_BEFORE, Action.DOWN):
            connection.reset()
            await _gone(request.receive)
            return
        body = await request.body()
        call = Call(request=request, body=body, base=base, parts=parts, seen=seen, rule=rule)
        if rule and rule.do in (Action.HANG, Action.DELAY):
            left = await _hold_unless_gone(hold(rule.seconds), request.receive)
            if left or rule.do is Action.HANG:
                connection.reset()
                await _gone(request.receive)
                return
        headers = self._graph_headers(request)
        seen.request_id, seen.client_request_id = headers["request-id"], headers["client-request-id"]
        response = self._handle(route, call, headers)
        if settings.latency:
            await hold(settings.latency)
        match rule.do if rule else None:
            case Action.DROP_AFTER:
                connection.reset()
                await _gone(request.receive)
            case Action.HANG_AFTER:
                assert rule is not None
                await _hold_unless_gone(hold(rule.seconds), request.receive)
                connection.reset()
                await _gone(request.receive)
            case Action.HALF:
                connection.end_with(half(_raw(response)))
                await _gone(request.receive)
            case Action.DRIP:
                assert rule is not None
                seen.status = response.status_code
                await _drip(response, lambda: hold(rule.seconds), request.receive, send)
            case _:
                seen.status = response.status_code
                await response(request.scope, request.receive, send)

    def _handle(self, route: Route, call: Call, headers: Mapping[str, str]) -> Response:
        rule = call.rule
        if rule and rule.do is Action.STATUS:
            return self._scripted(rule, headers)
        self._change_state(rule)
        try:
            if call.request.method != route.method:
                raise Refusal(405, "Request_BadRequest", f"The method {call.request.method} is not supported here.")
            response = route.handler(call)
        except Refusal as refusal:
            call.seen.detail = refusal.message
            response = self._refuse(refusal, headers)
        if rule and rule.do is Action.STATUS_AFTER:
            return self._scripted(rule, headers)
        if rule and rule.do is Action.FLOOD:
            coding = {"content-encoding": "gzip"}
            response = Response(flood(rule.size), response.status_code, coding, "application/json")
        if rule and rule.do is Action.ODD_DATE:
            headers = {**headers, "date": self._scripted_date(rule.date)}
        for name, value in headers.items():
            response.headers.setdefault(name, value)
        return response

    def _change_state(self, rule: Rule | None) -> None:
        now = self.clock.now()
        jobs = list(self.entra.jobs.values())
        match rule.do if rule else None:
            case Action.REVOKE:
                self.entra.roles = frozenset()
            case Action.GRANT:
                self.entra.roles = self.settings.roles
            case Action.DELETE_JOB:
                self.entra.catch_up(now)
                self.entra.jobs.clear()
            case Action.PAUSE:
                self.entra.catch_up(now)
                for job in jobs:
                    self.entra.pause(job)
            case Action.QUARANTINE:
                self.entra.catch_up(now)
                for job in jobs:
                    self.entra.quarantine(job, now)
            case Action.RESUME:
                for job in jobs:
                    self.entra.resume(job, now)

    def _identity(self, call: Call) -> Response:
        """App Service's identity endpoint, API version 2019-08-01."""
        query, settings = call.request.query_params, self.settings
        if call.request.headers.get("x-identity-header") != settings.identity_header:
            return _json(401, {"statusCode": 401, "message": "X-IDENTITY-HEADER is missing or wrong"})
        if query.get("api-version") != IDENTITY_API_VERSION:
            return _json(400, {"statusCode": 400, "message": "api-version is missing or not supported"})
        if settings.client_id is not None and query.get("client_id") != settings.client_id:
            return _json(400, {"statusCode": 400, "message": "No managed identity found for the client id"})
        resource = query.get("resource", "")
        if resource.rstrip("/") not in (call.base, STORAGE) and not is_loopback(urlsplit(resource).hostname or ""):
            return _json(400, {"statusCode": 400, "message": "The resource is missing or unknown to the tenant"})
        now = self.clock.now()
        expired = call.faulted(Action.EXPIRED_TOKEN)
        token = self._tokens.issue(
            audience=resource,
            roles=self.entra.roles if resource != STORAGE else frozenset(),
            now=now,
            lifetime=-60 if expired else settings.token_lifetime,
            token_id=self._new_id(),
        )
        self.report.tokens_issued += 1
        return _json(
            200,
            {
                "access_token": token,
                "expires_on": str(int(now.timestamp() + settings.token_lifetime)),
                "resource": resource,
                "token_type": "Bearer",
                "client_id": query.get("client_id", "system-assigned"),
            },
        )

    def _upload(self, call: Call) -> Response:
        self._authorize(call, UPLOAD_ROLES)
        self._throttle()
        job = self._find_job(call)
        media_type = call.request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/scim+json":
            raise Refusal(400, "BadRequest", "Invalid Data Format: the Content-Type must be application/scim+json.")
        try:
            read = operations(call.body, self.settings.custom_attributes)
        except InvalidBulk as error:
            raise Refusal(400, "BadRequest", f"Invalid Data Format: {error}.") from error
        call.seen.operations = len(read)
        self.entra.stage(job, read, self.clock.now())
        self.report.accept(call.body, read)
        headers = {"location": f"{call.base}/v1.0/auditLogs/provisioning/?$filter=jobid%20eq%20'{job.id}'"}
        if call.faulted(Action.NO_LOCATION):
            headers = {}
        elif call.rule is not None and call.faulted(Action.ODD_LOCATION):
            headers = {"location": call.rule.location}
        return Response(status_code=202, headers=headers)

    def _job_status(self, call: Call) -> Response:
        self._authorize(call, JOB_ROLES)
        status = self.entra.status(self._find_job(call), self.clock.now())
        principal = call.parts["principal"]
        context = f"{call.base}/v1.0/$metadata#servicePrincipals('{principal}')/synchronization/jobs/$entity"
        return _json(200, {"@odata.context": context, **status})

    def _schema(self, call: Call) -> Response:
        self._authorize(call, JOB_ROLES)
        self._find_job(call)
        return _json(200, self.entra.schema())

    def _order(self, call: Call) -> Response:
        self._authorize(call, JOB_WRITE_ROLES)
        job, now = self._find_job(call), self.clock.now()
        self.entra.catch_up(now)
        match call.parts["verb"]:
            case "start":
                self.entra.resume(job, now)
            case "pause":
                self.entra.pause(job)
            case "restart":
                self.entra.restart(job, now)
        return Response(status_code=204)

    def _log(self, call: Call) -> Response:
        self._authorize(call, LOG_ROLES)
        if self._reports is not None:
            self._admit(self._reports, "Too many requests to the reporting API.")
        settings = self.settings
        try:
            query = parse_query(
                call.request.query_params.multi_items(),
                page_size=settings.page_size,
                page_limit=settings.page_limit,
            )
        except InvalidQuery as error:
            raise Refusal(400, "BadRequest", str(error)) from error
        entries, skip_token = self._pages.page(self.entra.visible(self.clock.now()), query)
        answer: dict[str, Any] = {
            "@odata.context": f"{call.base}/v1.0/$metadata#auditLogs/provisioning",
            "value": [orjson.Fragment(entry.raw) for entry in entries],
        }
        if skip_token is not None:
            parameters = [item for item in call.request.query_params.multi_items() if item[0] != "$skiptoken"]
            parameters.append(("$skiptoken", skip_token))
            text = "&".join(f"{quote(name, safe='$')}={quote(value, safe='')}" for name, value in parameters)
            answer["@odata.nextLink"] = f"{call.base}{call.request.url.path}?{text}"
        if call.rule is not None and call.faulted(Action.ODD_LOCATION):
            answer["@odata.nextLink"] = call.rule.location
        if call.faulted(Action.ODD_ENTRIES):
            answer["value"] = [*odd_entries(entries[0].event if entries else {}), *answer["value"]]
        return _json(200, answer)

    def _authorize(self, call: Call, roles: frozenset[str]) -> None:
        authorization = call.request.headers.get("authorization")
        if authorization:
            call.seen.token = hashlib.sha256(authorization.encode()).hexdigest()[:16]
        try:
            claims = self._tokens.read(authorization, audience=call.base, now=self.clock.now())
        except TokenRefused as error:
            challenge = f'Bearer realm="", authorization_uri="{call.base}/common/oauth2/authorize"'
            raise Refusal(401, "InvalidAuthenticationToken", str(error), {"www-authenticate": challenge}) from error
        # A permission that was revoked meanwhile is gone whatever an older token says.
        if not roles & set(claims["roles"]) & self.entra.roles:
            raise Refusal(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")

    def _find_job(self, call: Call) -> Job:
        job = self.entra.job(call.parts["principal"], call.parts["job"])
        if job is not None:
            return job
        if any(principal == call.parts["principal"] for principal, _ in self.entra.jobs):
            raise Refusal(404, "ResourceNotFound", "The synchronization job does not exist.")
        raise Refusal(404, "Request_ResourceNotFound", "The service principal does not exist.")

    def _throttle(self) -> None:
        """The window first: a call that it refuses is not counted by the quota."""
        self._admit(self._window, "Too many requests in the window.", count=False)
        self._admit(self._quota, "The tenant's quota of calls in 24 hours is used up.")
        self._window.count(self.clock.monotonic())

    def _admit(self, window: SlidingWindow, message: str, *, count: bool = True) -> None:
        now = self.clock.monotonic()
        wait = window.wait(now)
        if wait > 0:
            if self.settings.count_throttled:
                window.count(now)
            raise Refusal(429, "TooManyRequests", message, self._retry_after(wait))
        if count:
            window.count(now)

    def _retry_after(self, wait: float) -> dict[str, str]:
        seconds = max(1, math.ceil(wait))
        match self.settings.retry_after:
            case "seconds":
                return {"retry-after": str(seconds)}
            case "date":
                return {"retry-after": self._http_date(seconds)}
        return {}

    def _scripted(self, rule: Rule, headers: Mapping[str, str]) -> Response:
        phrase = _phrase(rule.status)
        extra = {"retry-after": self._scripted_date(rule.retry_after)} if rule.retry_after else {}
        if rule.body:
            return Response(rule.body, rule.status, {**headers, **extra}, "application/json")
        code = rule.code or phrase.title().replace(" ", "")
        return self._refuse(Refusal(rule.status, code, f"{phrase} (by script)", extra), headers)

    def _scripted_date(self, text: str) -> str:
        ahead = re.fullmatch(r"date([+-]\d+)", text)
        return self._http_date(int(ahead[1])) if ahead else text

    def _refuse(self, refusal: Refusal, headers: Mapping[str, str]) -> Response:
        error = {
            "error": {
                "code": refusal.code,
                "message": refusal.message,
                "innerError": {
                    "date": iso(self.clock.now()).removesuffix("Z"),
                    "request-id": headers["request-id"],
                    "client-request-id": headers["client-request-id"],
                },
            }
        }
        return _json(refusal.status, error, {**headers, **refusal.headers})

    def _graph_headers(self, request: Request) -> dict[str, str]:
        request_id = self._new_id()
        return {
            "request-id": request_id,
            "client-request-id": request.headers.get("client-request-id", request_id),
            "date": self._http_date(0),
        }

    def _http_date(self, ahead: int) -> str:
        return format_datetime(self.clock.now() + timedelta(seconds=ahead), usegmt=True)

    def _new_id(self) -> str:
        return str(uuid.UUID(int=self._ids.getrandbits(128), version=4))


def _json(status: int, content: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        orjson.dumps(content), status_code=status, media_type="application/json", headers=dict(headers or {})
    )


def _hold_of(clock: Clock, connection: Connection) -> Callable[[float], Awaitable[None]]:
    # A virtual clock stands still while a client waits on a real socket, unless it is told that the server sleeps.
    hold = getattr(clock, "hold", None)
    return hold if hold is not None and connection.remote else clock.sleep


async def _drip(response: Response, rest: Callable[[], Awaitable[None]], receive: Receive, send: Send) -> None:
    """The head at once and then a byte at a time, until the end or until nobody listens any more."""
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
    for byte in bytes(response.body):
        if await _hold_unless_gone(rest(), receive):
            return
        await send({"type": "http.response.body", "body": bytes([byte]), "more_body": True})
    await send({"type": "http.response.body"})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _hold_unless_gone(holding: Awaitable[None], receive: Receive) -> bool:
    """Waits; True where the caller gave up before the end."""
    held, gone = asyncio.ensure_future(holding), asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({held, gone}, return_when=asyncio.FIRST_COMPLETED)
        return not held.done()
    finally:
        for waiting in (held, gone):
            waiting.cancel()
        await asyncio.gather(held, gone, return_exceptions=True)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def _raw(response: Response) -> bytes:
    phrase = _phrase(response.status_code)
    lines = [f"HTTP/1.1 {response.status_code} {phrase}".encode()]
    lines += [name + b": " + value for name, value in response.raw_headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + bytes(response.body)
