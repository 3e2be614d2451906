"""What the doctor checks from outside and the app of itself: token, storage, containers, feeds, jobs, log, clocks.

A check tries what the connector does, and gives findings. Neither a token nor anything of a drop is ever part of one.
The app keeps what it found in `summaries/doctor.json`, since whoever deploys it has often no role on the data.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from connector.mapping import LoadedFeed
from connector.outside.graph import Graph, JobStatus
from connector.outside.keys import KEY_VAULT, Secrets
from connector.outside.probe import StorageProbe
from connector.outside.retries import retrying
from connector.outside.settings import Settings
from connector.outside.store import Container, Store
from connector.outside.tokens import TokenSource
from connector.planning.feeds import Feeds
from connector.provisioning import job_status as jobs
from connector.vocabulary.clock import Clock
from connector.vocabulary.errors import Forbidden, Refused, Retryable, StorageDown
from connector.vocabulary.plausible import ahead_of
from connector.watching.doctor_report import DoctorReport, code_version, identity_of
from connector.watching.findings import Finding, Result, skew, tried
from connector.watching.permissions import PERMISSIONS, permissions

if TYPE_CHECKING:
    import tenacity

log = logging.getLogger(__name__)

TIME_LIMIT = 120.0
"""Seconds that the app gives its own examination, so that a tick is never held up for long."""
ATTEMPTS = 3

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


class DoctorChecks:
    """The checks that both make: whoever runs the command line, and the app (`own`) with its identity.

    `secrets` are tried where they are given: the app's, never a visitor's.
    """

    def __init__(
        self,
        store: Store,
        probe: StorageProbe,
        graph: Graph,
        tokens: TokenSource,
        clock: Clock,
        settings: Settings,
        *,
        feeds: Feeds,
        own: bool,
        secrets: Secrets | None = None,
    ) -> None:
        self._store = store
        self._probe = probe
        self._graph = graph
        self._tokens = tokens
        self._clock = clock
        self._settings = settings
        self._feeds = feeds
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
            for finding in await tried("feeds", self._feed_files(feeds)):
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
        last = DoctorReport.parse(await asyncio.to_thread(self._store.examination))
        now = self._clock.now()
        if last is not None and not last.due(now, version=version, identity=identity):
            return
        checks = tuple([finding async for finding in self.examine()])
        done = DoctorReport(at=now, version=version, identity=identity, checks=checks)
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
            date = await asyncio.to_thread(self._probe.date)
        except StorageDown as error:
            return [self._no_token("storage", str(error))]
        self._storage_ahead = ahead_of(date, before, self._clock.now())
        return [Finding(name="storage", result=Result.OK, message="the account answers")]

    async def _container(self, container: Container) -> list[Finding]:
        try:
            return [await asyncio.to_thread(self._container_tried, container)]
        except Forbidden as error:
            # Azure Storage, "Status and error codes": the firewall's 403 is not the permission's, nor the clock's.
            who = "the connector's identity" if self._own else "whoever asks"
            advice = error.advice
            if "AuthorizationPermissionMismatch" in error.message:
                advice = (
                    f"give {who} the role {_ROLES[container]} on this container; a new one takes some minutes to work"
                )
            elif "AuthorizationFailure" in error.message:
                advice = "the account's firewall: ask from inside its network, or add the address to allowedAddresses"
            message = _PROBE.sub("", error.message)
            return [Finding(name=container, result=Result.FAIL, message=message, advice=advice, denied=True)]

    def _container_tried(self, container: Container) -> Finding:
        probe = self._probe
        if container == "runs":
            probe.try_runs()
            return Finding(name=container, result=Result.OK, message="create, swap, lease, append and delete work")
        if container == "summaries":
            probe.try_summaries()
            return Finding(name=container, result=Result.OK, message="create, read and delete work")
        if not probe.try_reading(container):
            return Finding(
                name=container,
                result=Result.FAIL,
                message="the container is not there",
                advice="deploy the infrastructure, or correct the container's setting",
            )
        # A connection string opens everything: there is no identity whose roles could be too many.
        by_identity = not self._settings.connection_string
        if by_identity and (self._own or container == "inbox") and probe.may_write(container):
            advice = (
                f"leave the connector's identity {_ROLES[container]} alone"
                if self._own
                else "fine for an administrator; the connector's own identity is to have Storage Blob Data Reader alone"
            )
            message = "list and read work; writing would too, which the connector never does"
            return Finding(name=container, result=Result.WARN, message=message, advice=advice)
        return Finding(name=container, result=Result.OK, message="list and read work")

    async def _feed_files(self, usable: dict[str, LoadedFeed]) -> list[Finding]:
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
        loaded, _ = await asyncio.to_thread(self._feeds.load, name)
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
