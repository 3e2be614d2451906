"""Blob Storage in memory, as far as the connector uses it, on a clock that is passed in.

Azurite keeps real time, and a lease of 15 real seconds has no place in a schedule of hours that passes in one. What is
said here of leases, conditions and error codes is held against Azurite by `test_blob_account.py`.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

ACCOUNT_URL = "http://127.0.0.1:10000/devstoreaccount1"


@dataclass(slots=True, kw_only=True)
class Answer:
    """An HTTP response, before it is on its way."""

    status: int
    headers: dict[str, str]
    body: bytes = b""


class Refused(Exception):
    """An error of the service ("Common REST API error codes")."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


@dataclass(slots=True)
class Lease:
    """`until` None is a lease without end. A broken lease stays until it is released or another is acquired."""

    id: str
    until: datetime | None
    seconds: int
    broken: bool = False

    def active(self, now: datetime) -> bool:
        return not self.broken and (self.until is None or now < self.until)


@dataclass(slots=True, kw_only=True)
class Blob:
    """One blob as it is now."""

    data: bytes
    etag: str
    modified: datetime
    kind: str = "BlockBlob"
    content_type: str = "application/octet-stream"
    content_encoding: str = ""
    tier: str = "Hot"
    archive_status: str = ""
    copy_status: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    lease: Lease | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """One version of a blob that was written, by whatever operation."""

    at: datetime
    path: str
    data: bytes
    stranger: bool
    """Not by the connector."""


class BlobAccount:
    """`handle` answers one request of the REST API; the rest is for whoever looks at, or meddles with, the account."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self.hierarchical = False
        """Whether it has a hierarchical namespace, as far as the properties of its blobs say so."""
        self._blobs: dict[str, dict[str, Blob]] = {}
        self._blocks: dict[str, dict[str, bytes]] = {}
        self._versions = 0
        self._lock = threading.Lock()
        self.history: list[Written] = []
        """Every version of every blob, in the order in which they were written."""

    # looking and meddling

    def read(self, container: str, path: str) -> bytes | None:
        blob = self._blobs.get(container, {}).get(path)
        return None if blob is None else blob.data

    def paths(self, container: str, prefix: str = "") -> list[str]:
        return sorted(path for path in self._blobs.get(container, {}) if path.startswith(prefix))

    def metadata(self, container: str, path: str) -> dict[str, str]:
        return dict(self._blobs[container][path].metadata)

    def etag(self, container: str, path: str) -> str:
        return self._blobs[container][path].etag

    def put(self, container: str, path: str, data: bytes) -> None:
        """Whatever conditions or leases say: as an administrator's tool that breaks the lease first."""
        blob = self._blobs.setdefault(container, {}).get(path)
        kind = blob.kind if blob is not None else "BlockBlob"
        self._store(container, path, Blob(data=data, etag="", modified=self._now(), kind=kind), stranger=True)

    def change(self, container: str, path: str, **properties: str | dict[str, str]) -> None:
        """What changes no version of a blob (its tier, how far a copy is), and what else a drop may land with."""
        for name, value in properties.items():
            setattr(self._blobs[container][path], name, value)

    def remove(self, container: str, path: str) -> None:
        self._blobs.get(container, {}).pop(path, None)

    def break_lease(self, container: str, path: str, *, stolen_for: float = 0.0) -> bool:
        """False where there is none. With `stolen_for`, a stranger has it from now on for so many seconds."""
        blob = self._blobs.get(container, {}).get(path)
        if blob is None or blob.lease is None or not blob.lease.active(self._now()):
            return False
        blob.lease.broken = True
        if stolen_for:
            blob.lease = Lease(uuid.uuid4().hex, self._now() + timedelta(seconds=stolen_for), int(stolen_for))
        return True

    # the REST API

    def handle(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """One request. Safe from any thread; takes no time."""
        parts = urlsplit(url)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        _, _, container, *rest = unquote(parts.path).split("/", 3)
        headers = {name.lower(): value for name, value in headers.items()}
        with self._lock:
            try:
                if not rest:
                    answer = self._container(method, container, query)
                else:
                    if container not in self._blobs:
                        raise Refused(404, "ContainerNotFound")
                    answer = self._blob(method, container, rest[0], query, headers, body)
            except Refused as error:
                said = f"<Code>{error.code}</Code><Message>{error.code}</Message>"
                text = f'<?xml version="1.0" encoding="utf-8"?><Error>{said}</Error>'
                answer = Answer(status=error.status, headers={"x-ms-error-code": error.code}, body=text.encode())
                answer.headers["Content-Type"] = "application/xml"
        answer.headers |= {"Date": format_datetime(self._now(), usegmt=True), "x-ms-version": "2025-01-05"}
        answer.headers.setdefault("Content-Length", str(len(answer.body)))
        if method == "HEAD":
            answer.body = b""
        return answer

    def _container(self, method: str, container: str, query: Mapping[str, str]) -> Answer:
        if method == "PUT":
            if container in self._blobs:
                raise Refused(409, "ContainerAlreadyExists")
            self._blobs[container] = {}
            return Answer(status=201, headers={})
        if method != "GET" or query.get("comp") != "list":
            raise Refused(400, "UnsupportedHttpVerb")
        if container not in self._blobs:
            raise Refused(404, "ContainerNotFound")
        listed = []
        with_metadata = "metadata" in query.get("include", "")
        for path in self.paths(container, query.get("prefix", "")):
            blob = self._blobs[container][path]
            metadata = "".join(f"<{k}>{escape(v)}</{k}>" for k, v in blob.metadata.items()) if with_metadata else ""
            listed.append(
                f"<Blob>{_name(path)}<Properties>"
                f"<Last-Modified>{format_datetime(blob.modified, usegmt=True)}</Last-Modified><Etag>{blob.etag}</Etag>"
                f"<Content-Length>{len(blob.data)}</Content-Length><BlobType>{blob.kind}</BlobType>"
                f"{_elements(blob)}"
                f"</Properties><Metadata>{metadata}</Metadata></Blob>"
            )
        text = (
            f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults ContainerName="{container}">'
            f"<Blobs>{''.join(listed)}</Blobs><NextMarker/></EnumerationResults>"
        )
        return Answer(status=200, headers={"Content-Type": "application/xml"}, body=text.encode())

    def _blob(
        self, method: str, container: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes
    ) -> Answer:
        blob = self._blobs[container].get(path)
        comp = query.get("comp", "")
        if method in {"GET", "HEAD"}:
            answer = self._read(method, _there(blob), headers)
            if self.hierarchical:
                answer.headers |= {"x-ms-resource-type": "file", "x-ms-owner": "$superuser"}
            return answer
        if comp == "tier":
            _there(blob).tier = headers["x-ms-access-tier"]
            return Answer(status=200, headers={})
        if comp == "lease":
            return self._order(_there(blob), headers)
        if comp == "block":
            self._blocks.setdefault(f"{container}/{path}", {})[query["blockid"]] = body
            return Answer(status=201, headers={})
        if method == "DELETE":
            _conditions(_there(blob), headers)
            self._leased(blob, headers)
            self.remove(container, path)
            return Answer(status=202, headers={})
        if comp == "appendblock":
            blob = _there(blob)
            _conditions(blob, headers)
            self._leased(blob, headers)
            offset = len(blob.data)
            blob.data += body
            self._touch(container, path, blob)
            return Answer(status=201, headers=_version(blob) | {"x-ms-blob-append-offset": str(offset)})
        if method != "PUT" or comp not in {"", "blocklist"}:
            raise Refused(400, "UnsupportedHttpVerb")
        _conditions(blob, headers)
        self._leased(blob, headers)
        data, kind = body, headers.get("x-ms-blob-type", "BlockBlob")
        if comp == "blocklist":
            staged = self._blocks.pop(f"{container}/{path}", {})
            names = [element.text or "" for element in ElementTree.fromstring(body)]
            if not set(names) <= staged.keys():
                raise Refused(400, "InvalidBlockList")
            data = b"".join(staged[name] for name in names)
        made = Blob(
            data=b"" if kind == "AppendBlob" else data,
            etag="",
            modified=self._now(),
            kind=kind,
            content_type=headers.get("x-ms-blob-content-type", "application/octet-stream"),
            metadata={name[10:]: value for name, value in headers.items() if name.startswith("x-ms-meta-")},
            lease=blob.lease if blob is not None else None,
        )
        self._store(container, path, made)
        return Answer(status=201, headers=_version(made))

    def _read(self, method: str, blob: Blob, headers: Mapping[str, str]) -> Answer:
        _conditions(blob, headers)
        found = _version(blob) | {
            "Content-Type": blob.content_type,
            "x-ms-blob-type": blob.kind,
            "Accept-Ranges": "bytes",
            **({"Content-Encoding": blob.content_encoding} if blob.content_encoding else {}),
            **({"x-ms-access-tier": blob.tier} if blob.kind == "BlockBlob" else {}),
            **({"x-ms-archive-status": blob.archive_status} if blob.archive_status else {}),
            **({"x-ms-copy-status": blob.copy_status} if blob.copy_status else {}),
            **{f"x-ms-meta-{name}": value for name, value in blob.metadata.items()},
        }
        if method == "GET" and blob.tier == "Archive":
            raise Refused(409, "BlobBeingRehydrated" if blob.archive_status else "BlobArchived")
        wanted = headers.get("x-ms-range") or headers.get("range") or ""
        if method == "HEAD" or not wanted:
            return Answer(status=200, headers=found | {"Content-Length": str(len(blob.data))}, body=blob.data)
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start = int(first)
        if start >= len(blob.data):
            raise Refused(416, "InvalidRange")
        data = blob.data[start : int(last) + 1 if last else None]
        found["Content-Range"] = f"bytes {start}-{start + len(data) - 1}/{len(blob.data)}"
        return Answer(status=206, headers=found, body=data)

    def _order(self, blob: Blob, headers: Mapping[str, str]) -> Answer:
        """Lease Blob, "Outcomes of lease operations on blobs by lease state"."""
        now, lease = self._now(), blob.lease
        active = lease is not None and lease.active(now)
        given = headers.get("x-ms-lease-id", "")
        match headers["x-ms-lease-action"]:
            case "acquire":
                proposed = headers.get("x-ms-proposed-lease-id") or str(uuid.uuid4())
                if active and lease is not None and lease.id != proposed:
                    raise Refused(409, "LeaseAlreadyPresent")
                seconds = int(headers["x-ms-lease-duration"])
                blob.lease = Lease(proposed, now + timedelta(seconds=seconds), seconds)
                return Answer(status=201, headers=_version(blob) | {"x-ms-lease-id": proposed})
            case "renew":
                if lease is None or lease.id != given:
                    raise Refused(409, "LeaseIdMismatchWithLeaseOperation")
                if lease.broken:
                    raise Refused(409, "LeaseIsBrokenAndCannotBeRenewed")
                lease.until = now + timedelta(seconds=lease.seconds)
                return Answer(status=200, headers=_version(blob) | {"x-ms-lease-id": given})
            case "release":
                if lease is None or lease.id != given:
                    raise Refused(409, "LeaseIdMismatchWithLeaseOperation")
                blob.lease = None
                return Answer(status=200, headers=_version(blob))
            case "break":
                if lease is None:
                    raise Refused(409, "LeaseNotPresentWithLeaseOperation")
                lease.broken = True
                return Answer(status=202, headers=_version(blob) | {"x-ms-lease-time": "0"})
        raise Refused(400, "InvalidHeaderValue")

    def _leased(self, blob: Blob | None, headers: Mapping[str, str]) -> None:
        """Lease Blob, "Outcomes of use attempts on blobs by lease state"; a write ends a lease that has run out."""
        given = headers.get("x-ms-lease-id")
        if blob is None:
            if given:
                raise Refused(412, "LeaseNotPresentWithBlobOperation")
            return
        lease = blob.lease
        if lease is not None and lease.active(self._now()):
            if given is None:
                raise Refused(412, "LeaseIdMissing")
            if given != lease.id:
                raise Refused(412, "LeaseIdMismatchWithBlobOperation")
        elif given is not None:
            raise Refused(
                412, "LeaseLost" if lease is not None and not lease.broken else "LeaseNotPresentWithBlobOperation"
            )
        else:
            blob.lease = None

    def _store(self, container: str, path: str, blob: Blob, *, stranger: bool = False) -> None:
        self._blobs[container][path] = blob
        self._touch(container, path, blob, stranger=stranger)

    def _touch(self, container: str, path: str, blob: Blob, *, stranger: bool = False) -> None:
        self._versions += 1
        blob.etag = f"0x{self._versions:015X}"
        blob.modified = self._now()
        self.history.append(Written(blob.modified, f"{container}/{path}", blob.data, stranger))


def _there(blob: Blob | None) -> Blob:
    if blob is None:
        raise Refused(404, "BlobNotFound")
    return blob


def _conditions(blob: Blob | None, headers: Mapping[str, str]) -> None:
    match, none_match = headers.get("if-match"), headers.get("if-none-match")
    if none_match == "*" and blob is not None:
        raise Refused(409, "BlobAlreadyExists")
    if match and (blob is None or (match != "*" and match.strip('"') != blob.etag)):
        raise Refused(412, "ConditionNotMet")


def _name(path: str) -> str:
    """A name with characters that XML does not have is encoded (List Blobs)."""
    if path.isprintable():
        return f"<Name>{escape(path)}</Name>"
    return f'<Name Encoded="true">{quote(path)}</Name>'


def _elements(blob: Blob) -> str:
    tier = blob.tier if blob.kind == "BlockBlob" else ""
    said = {"AccessTier": tier, "ArchiveStatus": blob.archive_status, "CopyStatus": blob.copy_status}
    return "".join(f"<{name}>{value}</{name}>" for name, value in said.items() if value)


def _version(blob: Blob) -> dict[str, str]:
    return {"ETag": f'"{blob.etag}"', "Last-Modified": format_datetime(blob.modified, usegmt=True)}
