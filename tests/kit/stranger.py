"""A Graph that somebody else wrote: the standard library's HTTP server, the documented answers, and nothing shared
with the sandbox. It is lenient where Graph is not documented to be strict, and different wherever it may be: opaque
tokens, small pages, times with seven digits, fields and values that no documentation knows.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

IDENTITY_HEADER = "stranger-secret"
PAGE = 17
LOG = "/v1.0/auditLogs/provisioning"


@dataclass(slots=True, kw_only=True)
class Request:
    method: str
    path: str
    status: int = 0


@dataclass(slots=True)
class Stranger:
    """Everything that it saw, and what it is to answer. `redirect`, `next_link` and `location` are what a hostile or
    broken Graph would say; `silent` keeps the log empty; `slow_clock` is how far its clock is behind ours. `ill` are
    the bytes that the log of a job answers with, from the status line on."""

    url: str = ""
    redirect: str = ""
    redirect_status: int = 302
    next_link: str = ""
    location: str = ""
    silent: bool = False
    slow_clock: timedelta = timedelta()
    ill: dict[str, bytes] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    bodies: list[Any] = field(default_factory=list)
    log: list[dict[str, Any]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def environment(self) -> dict[str, str]:
        return {
            "GRAPH_BASE_URL": self.url,
            "IDENTITY_ENDPOINT": f"{self.url}/some/identity",
            "IDENTITY_HEADER": IDENTITY_HEADER,
        }

    def paths(self, method: str) -> list[str]:
        return [request.path for request in self.requests if request.method == method]

    @property
    def people(self) -> list[str]:
        """The externalIds of all operations, in order of arrival."""
        return [operation["data"]["externalId"] for body in self.bodies for operation in body["Operations"]]

    def now(self) -> datetime:
        return datetime.now(UTC) - self.slow_clock

    def accept(self, job: str, body: Any) -> None:
        """Takes effect at once: an event with success for everybody, two for those who have a manager."""
        self.bodies.append(body)
        at = f"{self.now():%Y-%m-%dT%H:%M:%S.%f}0Z"
        for operation in body["Operations"]:
            user = operation["data"]
            change = str(uuid.uuid4())
            enterprise = user.get("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User", {})
            self.log.append(_event(job, at, user, change, "create" if user["active"] else "disable"))
            if enterprise.get("manager"):
                self.log.append(_event(job, at, user, change, "update"))
            self.log.append(_event(job, at, user, change, "unknownFutureValue", status="unknownFutureValue"))
        # Somebody else's job, and an event about nobody.
        self.log.append(_event("API2AAD.other.job", at, {"externalId": "7001"}, "c", "delete", status="failure"))
        self.log.append({"id": str(uuid.uuid4()), "jobId": job, "activityDateTime": at, "sourceIdentity": None})

    def page(self, query: dict[str, list[str]]) -> dict[str, Any] | None:
        """None for a query that it does not understand."""
        if "page" in query:
            events, start = self._matching(query["of"][0]), int(query["page"][0])
        elif set(query) <= {"$filter", "$top"}:
            events, start = self._matching(query["$filter"][0]), 0
        else:
            return None
        if events is None:
            return None
        answer: dict[str, Any] = {"@odata.context": "whatever", "value": events[start : start + PAGE], "unknown": [1]}
        if self.next_link:
            answer["@odata.nextLink"] = self.next_link
        elif start + PAGE < len(events):
            more = query.get("$filter", query.get("of", [""]))[0].replace(" ", "%20").replace("'", "%27")
            answer["@odata.nextLink"] = f"{self.url}/v1.0/auditLogs/provisioning?of={more}&page={start + PAGE}"
        return answer

    def _matching(self, criteria: str) -> list[dict[str, Any]] | None:
        match = re.fullmatch(r"jobId eq '([^']+)' and activityDateTime ge ([0-9T:.Z-]+)", criteria)
        if match is None:
            return None
        since = datetime.fromisoformat(match[2])
        mine = [event for event in self.log if event["jobId"] == match[1]]
        return [] if self.silent else [e for e in mine if datetime.fromisoformat(e["activityDateTime"]) >= since]


def _event(
    job: str, at: str, user: dict[str, Any], change: str, action: str, status: str = "success"
) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid4()),
        "activityDateTime": at,
        "jobId": job,
        "changeId": change,
        "provisioningAction": action,
        "provisioningStatusInfo": {"status": status, "errorInformation": None, "somethingNew": {}},
        "sourceIdentity": {"id": user["externalId"], "displayName": user.get("displayName"), "details": None},
        "targetIdentity": None,
        "provisioningSteps": [{"name": "SomethingNew", "provisioningStepType": "unknownFutureValue", "details": None}],
        "somethingNew": None,
    }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body in one piece: in two, the second waits for the first one's delayed acknowledgement.
    wbufsize = -1
    stranger: Stranger

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        return f"{self.stranger.now():%a, %d %b %Y %H:%M:%S} GMT"

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def _serve(self, method: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        with self.stranger.lock:
            request = Request(method=method, path=url.path)
            self.stranger.requests.append(request)
            request.status, document, headers = self._answer(method, url.path, parse_qs(url.query), body)
        if url.path == LOG and (raw := self.stranger.ill.get(_job_asked_for(url.query))) is not None:
            self.wfile.write(raw)
            self.close_connection = True
            return
        data = b"" if document is None else json.dumps(document).encode()
        self.send_response(request.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _answer(
        self, method: str, path: str, query: dict[str, list[str]], body: bytes
    ) -> tuple[int, Any, dict[str, str]]:
        stranger = self.stranger
        if path == "/some/identity":
            return self._identity(query)
        if self.headers.get("Authorization", "").removeprefix("Bearer ") not in stranger.tokens:
            return 401, {"error": {"code": "InvalidAuthenticationToken", "message": "No."}}, {}
        if stranger.redirect:
            return stranger.redirect_status, None, {"Location": stranger.redirect + self.path}
        job = re.fullmatch(r"/v1\.0/servicePrincipals/[^/]+/synchronization/jobs/([^/]+)/bulkUpload", path)
        if method == "POST" and job and self.headers.get("Content-Type") == "application/scim+json":
            stranger.accept(job[1], json.loads(body))
            return 202, None, {"Location": stranger.location or f"{stranger.url}/v1.0/auditLogs/provisioning"}
        if method == "GET" and path == LOG and (page := stranger.page(query)) is not None:
            return 200, page, {"Content-Type": "application/json; odata.metadata=minimal"}
        if method == "GET" and re.fullmatch(r"/v1\.0/servicePrincipals/[^/]+/synchronization/jobs/[^/]+", path):
            # Synchronization.Read.All is optional, and nobody has granted it here.
            return 403, {"error": {"code": "Authorization_RequestDenied", "message": "No."}}, {}
        return 400, {"error": {"code": "BadRequest", "message": f"Not understood: {method} {path}"}}, {}

    def _identity(self, query: dict[str, list[str]]) -> tuple[int, Any, dict[str, str]]:
        if self.headers.get("X-IDENTITY-HEADER") != IDENTITY_HEADER or query.get("api-version") != ["2019-08-01"]:
            return 401, {"message": "No."}, {}
        if query.get("resource") != [self.stranger.url]:
            return 400, {"message": "A token for somebody else"}, {}
        token = f"opaque-{uuid.uuid4()}"
        self.stranger.tokens.add(token)
        expires = int(datetime.now(UTC).timestamp()) + 3600
        answer = {"access_token": token, "expires_on": str(expires), "resource": self.stranger.url}
        return 200, {**answer, "token_type": "Bearer"}, {"Content-Type": "application/json"}


def _job_asked_for(query: str) -> str:
    match = re.search(r"jobId eq '([^']+)'", parse_qs(query).get("$filter", [""])[0])
    return match[1] if match else ""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


@contextmanager
def stranger() -> Iterator[Stranger]:
    """A running one."""
    seen = Stranger()
    handler = type("Handler", (_Handler,), {"stranger": seen})
    with _Server(("127.0.0.1", 0), handler) as server:
        seen.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield seen
        finally:
            server.shutdown()
            thread.join()


@dataclass(slots=True)
class Eavesdropper:
    """Another host, as far as an origin goes: a port that takes connections and must not get any."""

    url: str
    heard: list[bytes] = field(default_factory=list)


@contextmanager
def eavesdropper() -> Iterator[Eavesdropper]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = Eavesdropper(f"http://127.0.0.1:{listener.getsockname()[1]}")

        def listen() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(1)
                    found.heard.append(connection.recv(65536))

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        try:
            yield found
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
