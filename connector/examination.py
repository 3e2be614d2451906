"""What the doctor checks from outside and the app of itself: token, storage, containers, feeds, jobs, log, clocks.

A check tries what the connector does, and gives findings. Neither a token nor anything of a drop is ever part of one.
The app keeps what it found in `summaries/doctor.json`, since whoever deploys it has often no role on the data.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import logging
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from connector import jobs
from connector.clock import Clock
from connector.errors import ConnectorError, Fault, Forbidden, Refused, Retryable, Stopped, StorageDown, Unusable
from connector.graph import Graph, JobStatus, TokenSource, ahead_of
from connector.mapping import LoadedFeed
from connector.retries import retrying
from connector.secrets import KEY_VAULT, Secrets
from connector.settings import Settings
from connector.store import Container, Store

if TYPE_CHECKING:
    import tenacity

log = logging.getLogger(__name__)

GOOD_FOR = timedelta(hours=24)
"""How long what the app found about itself is good for."""
BAD_FOR = timedelta(hours=1)
"""… and while something failed: whoever mended it waits for the next look."""
TIME_LIMIT = 120.0
"""Seconds that the app gives its own examination, so that a tick is never held up for long."""
ATTEMPTS = 3

SKEW_WARN, SKEW_FAIL = timedelta(seconds=60), timedelta(minutes=5)
_GRANT = (
    "have an identity administrator run infra/grant-graph-roles.sh PRINCIPAL_ID, then restart the app: "
    "it keeps a token for up to a day"
)
_ROLES: Mapping[Container, str] = {
    "inbox": "Storage Blob Data Reader",
    "config": "Storage Blob Data Reader",
    "runs": "Storage Blob Data Contributor",
    "summaries": "Storage Blob Data Contributor",
}
_PROBE = re.compile(r"/doctor-[0-9a-f]{32}")


class Result(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"
    SKIP = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found. `denied`: only because whoever asked may not, which says nothing of the app."""

    name: str
    result: Result
    message: str
    advice: str = ""
    denied: bool = False

    def __str__(self) -> str:
        said = f"{self.name}: {self.message}" + (f" ({self.advice})" if self.advice else "")
        return f"{self.result:<4} {' '.join(said.split())}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What the app found about itself: `summaries/doctor.json`. `version`, `identity`: by which code, and as whom."""

    at: datetime
    version: str
    identity: str
    checks: tuple[Finding, ...]

    def as_json(self) -> bytes:
        checks = [
            {"name": check.name, "result": check.result, "message": check.message, "advice": check.advice}
            for check in self.checks
        ]
        document = {"schema": 1, "at": self.at, "version": self.version, "identity": self.identity, "checks": checks}
        return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z)

    @classmethod
    def parse(cls, data: bytes | None) -> Examination | None:
        """None for what is none: it is written anew then."""
        try:
            document = orjson.loads(data or b"")
            return cls(
                at=datetime.fromisoformat(document["at"]).astimezone(UTC),
                version=document["version"],
                identity=document["identity"],
                checks=tuple(
                    Finding(
                        name=check["name"],
                        result=Result(check["result"]),
                        message=check["message"],
                        advice=check["advice"],
                    )
                    for check in document["checks"]
                ),
            )
        except (ValueError, KeyError, TypeError):
            return None

    def due(self, now: datetime, *, version: str, identity: str) -> bool:
        """Whether it is time for another one."""
        failed = any(check.result is Result.FAIL for check in self.checks)
        age = now - self.at
        return (
            (self.version, self.identity) != (version, identity)
            or not timedelta() <= age < GOOD_FOR
            or (failed and age >= BAD_FOR)
        )

    def of(self, name: str) -> list[Finding]:
        return [check for check in self.checks if check.name == name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """One of Graph's: `instead` are those that include it, `without` says what does not work without it."""

    name: str
    instead: frozenset[str]
    without: str
    needed: bool = True


PERMISSIONS = (
    Permission(
        name="SynchronizationData-User.Upload",
        instead=frozenset({"SynchronizationData-User.Upload.OwnedBy"}),
        without="nobody is sent",
    ),
    Permission(
        name="ProvisioningLog.Read.All",
        instead=frozenset({"AuditLog.Read.All"}),
        without="nobody's outcome is known",
    ),
    Permission(
        name="Synchronization.Read.All",
        instead=frozenset({"Synchronization.ReadWrite.All"}),
        without="a paused or quarantined job is not noticed",
        needed=False,
    ),
)


def permissions(token: str) -> frozenset[str] | None:
    """The permissions in an access token, application and delegated; None where it is not to be read.

    Not verified: this is to know what to advise, and Graph decides. (Microsoft identity platform, "Access token claims
    reference": `roles`, `scp`.)
    """
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = orjson.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error):
        return None
    if not isinstance(claims, dict):
        return None
    roles, scopes = claims.get("roles", []), claims.get("scp", "")
    if not isinstance(roles, list) or not isinstance(scopes, str):
        return None
    return frozenset(role for role in roles if isinstance(role, str)) | frozenset(scopes.split())


def faults_of(name: str, error: Unusable) -> list[Finding]:
    """One finding a fault."""
    return [
        Finding(name=name, result=Result.FAIL, message=str(replace(fault, advice="")), advice=fault.advice)
        for fault in error.faults or (Fault(message="is not usable"),)
    ]


def skew(name: str, ahead: timedelta | None) -> Finding:
    """Of a server's clock against ours."""
    if ahead is None:
        return Finding(name=name, result=Result.SKIP, message="there was no answer with a Date")
    if abs(ahead) <= SKEW_WARN:
        return Finding(name=name, result=Result.OK, message="is within a minute of ours")
    result = Result.FAIL if abs(ahead) > SKEW_FAIL else Result.WARN
    minutes = f"{abs(ahead) / timedelta(minutes=1):.0f} min {'ahead of' if ahead > timedelta() else 'behind'} ours"
    advice = "set this machine's clock by NTP: outcomes and the quota go by the time"
    return Finding(name=name, result=result, message=f"is {minutes}", advice=advice)


def failure(name: str, error: Exception) -> Finding:
    """A check that could not be made is a finding as well."""
    match error:
        case Stopped():
            denied = isinstance(error, Forbidden)
            return Finding(name=name, result=Result.FAIL, message=error.message, advice=error.advice, denied=denied)
        case Retryable():
            return Finding(name=name, result=Result.FAIL, message=str(error), advice="try again")
        case ConnectorError():
            return Finding(name=name, result=Result.FAIL, message=str(error))
    return Finding(
        name=name,
        result=Result.FAIL,
        message=f"could not be checked ({type(error).__name__})",
        advice="this is a fault of the doctor's: report it",
    )


class Examiner:
    """The checks that both make: whoever runs the command line, and the app (`own`) with its identity.

    `feed` gives a feed's file, checked. `secrets` are tried where they are given: the app's, never a visitor's.
    """

    def __init__(
        self,
        store: Store,
        graph: Graph,
        tokens: TokenSource,
        clock: Clock,
        settings: Settings,
        *,
        feed: Callable[[str], tuple[LoadedFeed, str]],
        own: bool,
        secrets: Secrets | None = None,
    ) -> None:
        self._store = store
        self._graph = graph
        self._tokens = tokens
        self._clock = clock
        self._settings = settings
        self._feed = feed
        self._own = own
        self._secrets = secrets
        self._storage_ahead: timedelta | None = None

    async def examine(self) -> AsyncIterator[Finding]:
        """Each finding as soon as it is made. Raises nothing."""
        token = await tried("token", self._token())
        for finding in token:
            yield finding
        storage = await tried("storage", self._storage())
        for finding in storage:
            yield finding
        feeds: dict[str, LoadedFeed] = {}
        if any(finding.result is Result.FAIL for finding in storage):
            for name in (*_ROLES, "feeds"):
                yield Finding(name=name, result=Result.SKIP, message="the storage account has not answered")
        else:
            for container in _ROLES:
                for finding in await tried(container, self._container(container)):
                    yield finding
            for finding in await tried("feeds", self._feeds(feeds)):
                yield finding
        if token[0].result is Result.FAIL:
            for name in (*(f"job of {feed}" for feed in feeds), "provisioning log"):
                yield Finding(name=name, result=Result.SKIP, message="there is no token to ask with")
        else:
            for feed, loaded in feeds.items():
                for finding in await tried(f"job of {feed}", self._job(f"job of {feed}", loaded)):
                    yield finding
            for finding in await tried("provisioning log", self._log(feeds)):
                yield finding
        yield skew("clock of Graph", self._graph.ahead)
        yield skew("clock of storage", self._storage_ahead)

    async def examine_if_due(self) -> None:
        """Once a day, as a part of a tick: nothing that goes wrong here is the tick's."""
        try:
            async with asyncio.timeout(TIME_LIMIT):
                await self._examine_if_due()
        except Exception as error:
            # Whatever it is, the tick has done its work.
            log.warning("examination failed", extra={"error": type(error).__name__})

    async def _examine_if_due(self) -> None:
        version, identity = await asyncio.to_thread(code_version), identity_of(self._settings)
        last = Examination.parse(await asyncio.to_thread(self._store.examination))
        now = self._clock.now()
        if last is not None and not last.due(now, version=version, identity=identity):
            return
        checks = tuple([finding async for finding in self.examine()])
        done = Examination(at=now, version=version, identity=identity, checks=checks)
        await asyncio.to_thread(self._store.put_examination, done.as_json())
        counts = Counter(check.result for check in checks)
        log.info("examined", extra={"failed": counts[Result.FAIL], "warned": counts[Result.WARN]})

    async def _token(self) -> list[Finding]:
        try:
            held = permissions(await self._tokens.token())
        except Retryable:
            return [self._no_token("token", f"there is none for {self._settings.graph}")]
        said = f"for {self._settings.graph}"
        if held is None:
            unreadable = f"{said}; its permissions are not to be read, so they are not known"
            return [Finding(name="token", result=Result.WARN, message=unreadable)]
        found = [Finding(name="token", result=Result.OK, message=said)]
        known: frozenset[str] = frozenset()
        for permission in PERMISSIONS:
            name = f"permission {permission.name}"
            enough = permission.instead | {permission.name}
            known |= enough
            if held & enough:
                found.append(Finding(name=name, result=Result.OK, message="is in the token"))
                continue
            result = Result.FAIL if permission.needed else Result.WARN
            missing = f"is not in the token: {permission.without}"
            found.append(Finding(name=name, result=result, message=missing, advice=_GRANT, denied=True))
        if self._own and (surplus := sorted(held - known)):
            said = f"more than needed: {', '.join(surplus)}"
            found.append(Finding(name="token", result=Result.WARN, message=said, advice="take them from the identity"))
        return found

    def _no_token(self, name: str, message: str) -> Finding:
        advice = (
            "assign the managed identity, and set AZURE_CLIENT_ID and HR_STORAGE__clientId to its client id"
            if self._own
            else "sign in: az login; in a national cloud, az cloud set before"
        )
        return Finding(name=name, result=Result.FAIL, message=message, advice=advice)

    async def _storage(self) -> list[Finding]:
        before = self._clock.now()
        try:
            date = await asyncio.to_thread(self._store.date)
        except StorageDown as error:
            return [self._no_token("storage", str(error))]
        self._storage_ahead = ahead_of(date, before, self._clock.now())
        return [Finding(name="storage", result=Result.OK, message="the account answers")]

    async def _container(self, container: Container) -> list[Finding]:
        try:
            return [await asyncio.to_thread(self._container_tried, container)]
        except Forbidden as error:
            # Azure Storage, "Status and error codes": the firewall's 403 is not the permission's.
            firewall = "AuthorizationFailure" in error.message
            who = "the connector's identity" if self._own else "whoever asks"
            role = f"give {who} the role {_ROLES[container]} on this container; a new one takes some minutes to work"
            network = "the account's firewall: ask from inside its network, or add the address to allowedAddresses"
            advice = network if firewall else role
            message = _PROBE.sub("", error.message)
            return [Finding(name=container, result=Result.FAIL, message=message, advice=advice, denied=True)]

    def _container_tried(self, container: Container) -> Finding:
        store = self._store
        if container == "runs":
            store.try_runs()
            return Finding(name=container, result=Result.OK, message="create, swap, lease, append and delete work")
        if container == "summaries":
            store.try_summaries()
            return Finding(name=container, result=Result.OK, message="create, read and delete work")
        if not store.try_reading(container):
            return Finding(
                name=container,
                result=Result.FAIL,
                message="the container is not there",
                advice="deploy the infrastructure, or correct the container's setting",
            )
        # A connection string opens everything: there is no identity whose roles could be too many.
        by_identity = not self._settings.connection_string
        if by_identity and (self._own or container == "inbox") and store.may_write(container):
            advice = (
                f"leave the connector's identity {_ROLES[container]} alone"
                if self._own
                else "fine for an administrator; the connector's own identity is to have Storage Blob Data Reader alone"
            )
            message = "list and read work; writing would too, which the connector never does"
            return Finding(name=container, result=Result.WARN, message=message, advice=advice)
        return Finding(name=container, result=Result.OK, message="list and read work")

    async def _feeds(self, usable: dict[str, LoadedFeed]) -> list[Finding]:
        """Puts the feeds that can be used into `usable`."""
        names = sorted(await asyncio.to_thread(self._store.feed_files))
        if not names:
            advice = "write config/feeds/NAME.yaml: without it each drop of the feed is rejected"
            return [Finding(name="feeds", result=Result.WARN, message="there is no feed file", advice=advice)]
        found = [Finding(name="feeds", result=Result.OK, message=", ".join(names))]
        for name in names:
            found += await tried(f"feed {name}", self._feed_file(name, usable))
        return found

    async def _feed_file(self, name: str, usable: dict[str, LoadedFeed]) -> list[Finding]:
        loaded, _ = await asyncio.to_thread(self._feed, name)
        usable[name] = loaded
        pgp = loaded.feed.pgp
        if pgp is not None and self._secrets is not None:
            references = [pgp.key, *([pgp.passphrase] if pgp.passphrase else []), *pgp.signed_by]
            for reference in references:
                if reference.startswith(KEY_VAULT):
                    await asyncio.to_thread(self._secrets.read, reference)
        return [Finding(name=f"feed {name}", result=Result.OK, message="can be used")]

    async def _job(self, name: str, loaded: LoadedFeed) -> list[Finding]:
        try:
            status: JobStatus = await self._patiently()(self._graph.job, loaded.feed.endpoint.job_path)
        except Forbidden as error:
            said = "its status may not be asked for"
            return [Finding(name=name, result=Result.WARN, message=said, advice=error.advice, denied=True)]
        except Refused as error:
            said = f"Graph refuses to say how it is ({error.code})"
            return [Finding(name=name, result=Result.WARN, message=said, advice="look it up in the portal")]
        if status.code == "Active":
            return [Finding(name=name, result=Result.OK, message="is Active")]
        said = f"is {status.code or 'in no state'}" + (f": {status.reason}" if status.reason else "")
        advice = jobs.TROUBLES[status.code][1] if status.code in jobs.TROUBLES else None
        # What has never run may have been started a minute ago; a state that is new is not known to be bad.
        result = Result.WARN if advice is None or status.code == "NotRun" else Result.FAIL
        return [Finding(name=name, result=result, message=said, advice=advice or "look it up in the portal")]

    async def _log(self, feeds: Mapping[str, LoadedFeed]) -> list[Finding]:
        name = "provisioning log"
        if not feeds:
            return [Finding(name=name, result=Result.SKIP, message="there is no usable feed whose job to ask for")]
        job = next(iter(feeds.values())).feed.endpoint.job_id
        async for _ in self._graph.events(job, self._clock.now(), self._patiently):
            break
        return [Finding(name=name, result=Result.OK, message="can be read")]

    def _patiently(self) -> tenacity.AsyncRetrying:
        return retrying(self._clock, random.Random(), attempts=ATTEMPTS)


async def tried(name: str, check: Awaitable[list[Finding]]) -> list[Finding]:
    try:
        return await check
    except Unusable as error:
        return faults_of(name, error)
    except Exception as error:
        # One check that fails in a way that nobody foresaw must not hide the others.
        return [failure(name, error)]


@cache
def code_version() -> str:
    """A digest of the deployed modules: the same in the app and in the working copy that it was deployed from."""
    root = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        # What .funcignore keeps back.
        if not name.startswith("sandbox/") and name != "demo.py":
            digest.update(name.encode() + path.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()[:12]


def identity_of(settings: Settings) -> str:
    """A digest of who asks and what is asked."""
    asked = (
        settings.blob_service,
        settings.storage_client_id,
        settings.graph_client_id,
        settings.graph,
        settings.inbox,
        settings.config,
        settings.runs,
        settings.summaries,
    )
    return hashlib.sha256(repr(asked).encode()).hexdigest()[:12]
