"""Entra without HTTP, at a time that tests move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from connector.sandbox.bulk import Operation
from connector.sandbox.entra import Entra
from connector.sandbox.settings import JOB, SERVICE_PRINCIPAL, SandboxSettings

START = datetime(2026, 1, 5, 8, tzinfo=UTC)


class Tenant:
    """A tenant and the time; what is sent is cut into cycles by `wait`."""

    def __init__(self, **settings: Any) -> None:
        self.entra = Entra(SandboxSettings(**settings))
        self.now = START
        self.job = self.entra.jobs[SERVICE_PRINCIPAL, JOB]

    def send(self, *users: dict[str, Any]) -> None:
        self.entra.stage(
            self.job, [Operation(bulk_id=u["externalId"], external_id=u["externalId"], user=u) for u in users], self.now
        )

    def wait(self, seconds: float = 3600) -> None:
        self.now += timedelta(seconds=seconds)
        self.entra.catch_up(self.now)

    def events(self) -> list[dict[str, Any]]:
        return [entry.event for entry in self.entra.visible(self.now)]

    def story(self) -> list[tuple[str, str, str]]:
        """(externalId, action, status or error code or skip reason) of what shows."""
        return [(e["sourceIdentity"]["id"], e["provisioningAction"], _verdict(e)) for e in self.events()]


def _verdict(event: dict[str, Any]) -> str:
    info = event["provisioningStatusInfo"]
    if info["errorInformation"]:
        return str(info["errorInformation"]["errorCode"])
    if info["status"] == "skipped":
        return str(event["provisioningSteps"][-1]["details"]["SkipReason"])
    return str(info["status"])
