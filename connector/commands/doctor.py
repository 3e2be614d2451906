"""Proves a deployment by trying, from outside in: prints a line a finding.

Here is what is seen from outside alone: settings, the Event Grid subscription, and what the app found about itself.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from connector.commands.printing import say
from connector.outside.blobs import connect
from connector.outside.graph import Graph
from connector.outside.probe import StorageProbe
from connector.outside.settings import ENVIRONMENT, Deployed, Settings
from connector.outside.store import Store
from connector.outside.system_clock import SystemClock
from connector.outside.tokens import TokenSource
from connector.planning.feeds import Feeds
from connector.vocabulary.clock import Clock
from connector.vocabulary.errors import ConnectorError, Unusable
from connector.vocabulary.limits import duration
from connector.watching.doctor_checks import DoctorChecks
from connector.watching.doctor_report import GOOD_FOR, DoctorReport, code_version
from connector.watching.findings import Finding, Result, failure, faults_of, tried
from connector.watching.subscription import subscription
from connector.wiring import developer_identity

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential


STALE = GOOD_FOR + timedelta(hours=2)
LOOK_AGAIN = 10.0


def settings_findings(settings: Settings) -> Iterator[Finding]:
    """What `Settings.of` has no fault to find with."""
    where = settings.blob_service or "a connection string"
    yield Finding(name="settings", result=Result.OK, message=f"all are there: {settings.graph} and {where}")
    if settings.blob_service and not settings.connection_string and not settings.queue_service:
        yield Finding(
            name="settings",
            result=Result.WARN,
            message="HR_STORAGE__queueServiceUri is missing: the blob trigger does not start, drops wait for the tick",
            advice="set it to the storage account's queue endpoint",
        )


def relieved(finding: Finding, app: DoctorReport | None) -> Finding:
    """What whoever asks may not do is no fault where the app itself may."""
    theirs = app.of(finding.name) if app else []
    if not finding.denied or not theirs or any(own.result not in {Result.OK, Result.WARN} for own in theirs):
        return finding
    return Finding(
        name=finding.name, result=Result.OK, message=f"the app may, you may not; it says: {theirs[0].message}"
    )


class Doctor:
    """The command line's part: says each finding, and counts those that failed."""

    def __init__(
        self, environment: Mapping[str, str], credential: Callable[[str], TokenCredential], clock: Clock
    ) -> None:
        self._environment = environment
        self._credential = credential
        self._clock = clock
        self.failed = 0

    def say(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            say(str(finding), flush=True)
            self.failed += finding.result is Result.FAIL

    async def examine(self, *, app_only: bool, wait: timedelta) -> None:
        """All of it, as the environment has it."""
        try:
            settings = Settings.of(self._environment)
        except Unusable as error:
            self.say(faults_of("settings", error))
            return
        try:
            storage = None if settings.connection_string else self._credential(settings.storage_client_id)
            # Somebody is waiting: what does not answer at once and once more is down.
            service = connect(settings, storage, retries=1)
        except Unusable as error:
            self.say(faults_of("settings", error))
            return
        store, probe = Store(service, settings), StorageProbe(service, settings)
        if not app_only:
            self.say(settings_findings(settings))
        tokens = self._tokens(settings, settings.graph)
        graph = Graph(settings.graph, tokens, self._clock)
        try:
            app, about = await self._app(store, settings, wait)
            if not app_only:
                trusted = app if app is not None and self._clock.now() - app.at <= STALE else None
                checks = DoctorChecks(
                    store, probe, graph, tokens, self._clock, settings, feeds=Feeds(store, settings), own=False
                )
                async for finding in checks.examine():
                    self.say([relieved(finding, trusted)])
                self.say(await tried("event subscription", self._subscription(settings)))
            self.say([replace(about, result=Result.FAIL) if app_only and app is None else about])
            if app is not None:
                self.say(replace(check, name=f"app {check.name}") for check in app.checks)
        finally:
            await graph.close()

    def _tokens(self, settings: Settings, audience: str) -> TokenSource:
        return TokenSource(lambda: self._credential(settings.graph_client_id), f"{audience}/.default")

    async def _app(self, store: Store, settings: Settings, wait: timedelta) -> tuple[DoctorReport | None, Finding]:
        """What the app found, and how far that is to be relied upon; waits for it to come from the code at hand."""
        version = await asyncio.to_thread(code_version)
        # An app with a connection string has no identity to examine itself by, as on a developer's machine.
        until = self._clock.monotonic() + (0.0 if settings.connection_string else wait.total_seconds())
        told = False
        while True:
            try:
                app = DoctorReport.parse(await asyncio.to_thread(store.examination))
            except ConnectorError as error:
                why = failure("app", error)
                advice = "ask with the role Storage Blob Data Reader on summaries" if why.denied else why.advice
                message = f"its own findings are not to be read: {why.message}"
                return None, Finding(name="app", result=Result.WARN, message=message, advice=advice)
            if (app is not None and app.version == version) or self._clock.monotonic() >= until:
                return app, self._about(app, version, settings)
            if not told:
                told = True
                say("waiting for the app to examine itself at its next tick …", to=sys.stderr, flush=True)
            await self._clock.sleep(LOOK_AGAIN)

    def _about(self, app: DoctorReport | None, version: str, settings: Settings) -> Finding:
        if app is None and settings.connection_string:
            message = "with a connection string it does not examine itself: it may what you may"
            return Finding(name="app", result=Result.SKIP, message=message)
        if app is None:
            message, advice = "it has not examined itself yet", "wait for its next tick, and ask again"
            return Finding(name="app", result=Result.WARN, message=message, advice=advice)
        at = f"{app.at:%Y-%m-%d %H:%M} UTC"
        if self._clock.now() - app.at > STALE:
            message, advice = f"it has not examined itself since {at}", "see whether on_tick runs"
            return Finding(name="app", result=Result.WARN, message=message, advice=advice)
        if app.version != version:
            message = f"it examined itself at {at}, with other code than this"
            return Finding(
                name="app", result=Result.WARN, message=message, advice="wait for its next tick, and ask again"
            )
        return Finding(name="app", result=Result.OK, message=f"it examined itself at {at}")

    async def _subscription(self, settings: Settings) -> list[Finding]:
        from connector.outside.resource_manager import CLOUDS, ResourceManager

        deployed = Deployed.of(self._environment)
        if not deployed.event_subscription:
            message = "not looked at: set EVENT_SUBSCRIPTION_ID to its resource id, as infra/hooks/postdeploy does"
            return [Finding(name="event subscription", result=Result.SKIP, message=message)]
        base = CLOUDS.get(settings.graph)
        if base is None:
            message = f"not looked at: {settings.graph} is no public cloud's, so its Resource Manager is not known"
            return [Finding(name="event subscription", result=Result.SKIP, message=message)]
        manager = ResourceManager(base, self._tokens(settings, base))
        return await subscription(manager, deployed.event_subscription, deployed.function_app, settings.inbox)


EXAMPLE = "doctor --wait 10m"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--app", action="store_true", help="print only what the app found when it examined itself")
    parser.add_argument(
        "--wait",
        type=duration,
        default=timedelta(),
        metavar="10m",
        help="how long to wait for the app to examine itself with the code at hand (not at all)",
    )


def run(options: argparse.Namespace) -> int:
    return asyncio.run(doctor(credential=developer_identity, app_only=options.app, wait=options.wait))


async def doctor(
    *,
    credential: Callable[[str], TokenCredential],
    environment: Mapping[str, str] = ENVIRONMENT,
    app_only: bool = False,
    wait: timedelta = timedelta(),
    clock: Clock | None = None,
) -> int:
    """Prints a line a finding; 1 if one failed, else 0. `wait` is for the app's own examination by the code at hand."""
    doing = Doctor(environment, credential, clock or SystemClock())
    await doing.examine(app_only=app_only, wait=wait)
    return int(doing.failed > 0)
