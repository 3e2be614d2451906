"""Provisioning-log events in the shape of a real export (Graph, provisioningObjectSummary resource)."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from connector.sandbox.bulk import ENTERPRISE
from connector.sandbox.settings import SandboxSettings

Event = dict[str, Any]
"""One event, ready to be JSON."""

TEXT_PROPERTIES = (
    "id",
    "tenantId",
    "jobId",
    "cycleId",
    "changeId",
    "provisioningAction",
    "provisioningStatusInfo/status",
    "sourceIdentity/id",
    "sourceIdentity/displayName",
    "sourceIdentity/identityType",
    "targetIdentity/id",
    "targetIdentity/displayName",
    "targetIdentity/identityType",
    "servicePrincipal/id",
    "sourceSystem/displayName",
    "targetSystem/displayName",
)
PROPERTIES = (*TEXT_PROPERTIES, "activityDateTime", "durationInMilliseconds")
"""What a log can be filtered by."""

Values = tuple[Any, ...]
"""An event's values of `PROPERTIES`, in that order."""


def values_of(event: Mapping[str, Any]) -> Values:
    """The values that filters look at."""

    def value(path: str) -> Any:
        found: Any = event
        for name in path.split("/"):
            found = found[name]
        return found

    return tuple(value(path) for path in PROPERTIES)


_ODD_TIMES: tuple[Any, ...] = (
    "9999-12-31T23:59:59.9999999-14:00",
    "9998-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "-271821-04-20T00:00:00Z",
    "\u0662\u0660\u0662\u0666-01-05T08:00:00Z",
    "soon",
    "",
    -1,
    1e300,
    None,
    [],
)


def odd_entries(event: Event) -> list[Any]:
    """What cannot be an entry of the log. Each would be the last word about the event's person: a failure."""
    failed = event | {"provisioningStatusInfo": {"status": "failure", "errorInformation": None}}
    nested: Any = "odd"
    for _ in range(200):
        nested = [nested]
    odd = [failed | {"id": f"odd-{number}", "activityDateTime": at} for number, at in enumerate(_ODD_TIMES)]
    return [*odd, *(failed | {"id": value} for value in ("", None, nested, "x" * 1000)), "odd", 7, nested, None]


TimedEvent = tuple[datetime, Event]
"""An event with the exact time that its `activityDateTime` gives in whole seconds."""

Modified = Mapping[str, tuple[str | None, str | None]]
"""Attribute to (old value, new value)."""

_ADVICE = {
    "AzureActiveDirectoryDuplicateUserPrincipalName": "Give the person another userPrincipalName.",
    "AzureActiveDirectoryInvalidUserPrincipalName": "Correct the mapping of userPrincipalName.",
    "AzureActiveDirectoryDomainDoesNotExist": "Use a verified domain of the tenant.",
}


_SCOPE = {
    passed: {
        "Active in the source system": "True",
        "Scoping filter evaluation passed": str(passed),
        "ScopeEvaluationResult": "{}",
    }
    for passed in (True, False)
}


def iso(at: datetime) -> str:
    """UTC in whole seconds, cut off, as the log writes times."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def common_parts(settings: SandboxSettings, service_principal: str, job_id: str) -> Event:
    """What all events of a job have in common; shared by them, since a long log would hold it many times over."""
    return {
        "tenantId": settings.tenant_id,
        "jobId": job_id,
        "servicePrincipal": {"id": service_principal, "displayName": settings.app_name},
        "sourceSystem": {"id": "0a8c7d7e-5d2f-4f64-9c1e-2b1f3f5e7a11", "displayName": "API", "details": {}},
        "targetSystem": {
            "id": "5d0c2a52-9a36-4a3c-8a37-8c8b1b6b9d22",
            "displayName": "Microsoft Entra ID",
            "details": {
                "ApplicationId": "9f2b6c1e-7d44-4b0e-8f3e-3c6d1a5e8b33",
                "ServicePrincipalId": service_principal,
                "ServicePrincipalDisplayName": settings.app_name,
            },
        },
        "initiatedBy": {"id": "", "displayName": "Azure AD Provisioning Service", "initiatorType": "system"},
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An account of the directory, or "" for what it would have been."""

    object_id: str
    principal_name: str


NOBODY = Target(object_id="", principal_name="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one operation became; its events share `id` as `changeId`. `common` is `common_parts` of its job."""

    common: Event
    new_id: Callable[[], str]
    cycle_id: str
    id: str
    external_id: str
    display_name: str = ""

    def create(self, at: datetime, target: Target, modified: Modified, *, awaited: str) -> TimedEvent:
        """A new account; `awaited` is the externalId of a manager who is not there yet."""
        steps = [
            *self._begin("Add"),
            self._synchronization("Add", "will be created"),
            *self._unresolved(awaited),
            _export("Add", f"User '{target.principal_name}' was created in Microsoft Entra ID", target),
        ]
        return self._event(at, "create", "success", steps, target=target, modified=modified)

    def update(self, at: datetime, action: str, target: Target, modified: Modified, *, awaited: str = "") -> TimedEvent:
        """`action` is update or disable."""
        steps = [
            *self._begin("Update"),
            self._synchronization("Update", "will be updated"),
            *self._unresolved(awaited),
            _export("Update", f"User '{target.principal_name}' was updated in Microsoft Entra ID", target),
        ]
        return self._event(at, action, "success", steps, target=target, modified=modified)

    def manager(self, at: datetime, target: Target, old: str | None, new: str) -> TimedEvent:
        """The manager's assignment that follows the person's creation: one step, one modified property."""
        steps = [_export("Update", f"User '{target.principal_name}' was updated in Microsoft Entra ID", target)]
        return self._event(at, "update", "success", steps, target=target, modified={"manager": (old, new)})

    def redundant(self, at: datetime, target: Target) -> TimedEvent:
        """Nothing to change: the account is as the operation wants it."""
        details = {"ReportableIdentifier": target.principal_name, "SkipReason": "RedundantExport"}
        text = f"User '{target.principal_name}' is up to date"
        steps = [*self._begin("Update"), _step("EntrySynchronizationSkip", "export", text, "skipped", details)]
        return self._event(at, "other", "skipped", steps, target=target)

    def not_entitled(self, at: datetime) -> TimedEvent:
        """The scoping filter leaves the person out."""
        details = {"ReportableIdentifier": self.external_id, "SkipReason": "NotEffectivelyEntitled"}
        steps = [
            *self._begin("Add", in_scope=False),
            _step("EntrySynchronizationSkip", "processing", "User is not in scope", "skipped", details),
        ]
        return self._event(at, "other", "skipped", steps)

    def failure(self, at: datetime, target: Target, code: str, reason: str) -> TimedEvent:
        """The directory refused the account; its `object_id` is "" where it would have been new."""
        kind, action = ("Update", "update") if target.object_id else ("Add", "create")
        details = {"ReportableIdentifier": target.principal_name, "ErrorCode": code}
        steps = [
            *self._begin(kind),
            self._synchronization(kind, "will be written"),
            _step(f"EntryExport{kind}", "export", f"Failed to write '{target.principal_name}'", "failure", details),
        ]
        error = {
            "errorCode": code,
            "reason": reason,
            "additionalDetails": None,
            "errorCategory": "nonServiceFailure",
            "recommendedAction": _ADVICE[code],
        }
        return self._event(at, action, "failure", steps, target=target, error=error)

    def _event(
        self,
        at: datetime,
        action: str,
        status: str,
        steps: list[dict[str, Any]],
        *,
        target: Target = NOBODY,
        modified: Modified | None = None,
        error: dict[str, Any] | None = None,
    ) -> TimedEvent:
        event_id = self.new_id()
        return at, {
            "id": event_id,
            "activityDateTime": iso(at),
            "cycleId": self.cycle_id,
            "changeId": self.id,
            "provisioningAction": action,
            "durationInMilliseconds": random.Random(event_id).randint(120, 2400),
            "provisioningStatusInfo": {"status": status, "errorInformation": error},
            "provisioningSteps": steps,
            "modifiedProperties": [
                {"displayName": name, "oldValue": old, "newValue": new} for name, (old, new) in (modified or {}).items()
            ],
            "sourceIdentity": {
                "id": self.external_id,
                "displayName": self.display_name,
                "identityType": ENTERPRISE,
                "details": {"id": self.external_id, "odatatype": "User", "DisplayName": self.display_name},
            },
            "targetIdentity": {
                "id": target.object_id,
                "displayName": self.display_name,
                "identityType": "User",
                "details": {"UserPrincipalName": target.principal_name} if target.principal_name else {},
            },
            **self.common,
        }

    def _begin(self, kind: str, *, in_scope: bool = True) -> list[dict[str, Any]]:
        received = f"Received User '{self.external_id}' change of type ({kind}) from API"
        source = {"externalId": self.external_id, "displayName": self.display_name}
        return [
            _step(f"EntryImport{kind}", "import", received, details=source),
            _step("EntrySynchronizationScoping", "scoping", "Determine if User is in scope", details=_SCOPE[in_scope]),
        ]

    def _synchronization(self, kind: str, what: str) -> dict[str, Any]:
        text = f"User '{self.external_id}' {what} in Microsoft Entra ID"
        return _step(f"EntrySynchronization{kind}", "matching", text)

    def _unresolved(self, manager: str) -> list[dict[str, Any]]:
        if not manager:
            return []
        text = f"'{manager}' could not be assigned as the manager of '{self.external_id}'"
        details = {"PropertyName": "manager", "SkipReason": "UnableToResolveReferenceAttributeValue"}
        return [_step("EntrySynchronizationSkip", "processing", text, "skipped", details)]


def _export(kind: str, text: str, target: Target) -> dict[str, Any]:
    return _step(f"EntryExport{kind}", "export", text, details={"ReportableIdentifier": target.principal_name})


def _step(
    name: str, kind: str, description: str, status: str = "success", details: Mapping[str, str] | None = None
) -> dict[str, Any]:
    return {
        "name": name,
        "provisioningStepType": kind,
        "status": status,
        "description": description,
        "details": details or {},
    }
