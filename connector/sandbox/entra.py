"""The tenant: its jobs, its directory of users, its provisioning log. No HTTP; the time is passed in.

Whatever is asked first lets the tenant catch up: cycles that were due run as if they had run on time.
"""

from __future__ import annotations

import enum
import random
import uuid
from bisect import insort
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson

from connector.sandbox.bulk import ENTERPRISE, Operation
from connector.sandbox.events import PROPERTIES, Change, Event, Target, TimedEvent, Values, common_parts, iso, values_of
from connector.sandbox.people import MANAGER, domain, is_principal_name, record
from connector.sandbox.settings import SandboxSettings


class JobCode(enum.StrEnum):
    """`status.code` of a synchronization job (Graph, synchronizationStatus resource)."""

    ACTIVE = "Active"
    PAUSED = "Paused"
    QUARANTINE = "Quarantine"


@dataclass(slots=True, kw_only=True)
class Staged:
    """An operation that was accepted and waits for a cycle."""

    at: datetime
    operation: Operation


@dataclass(slots=True, kw_only=True)
class Cycle:
    """What the job's last cycle did."""

    id: str
    began: datetime
    ended: datetime
    exported: int = 0
    escrowed: int = 0


@dataclass(slots=True, kw_only=True)
class Job:
    """A synchronization job. `not_before` is the earliest start of the next cycle."""

    service_principal: str
    id: str
    code: JobCode = JobCode.ACTIVE
    quarantine_reason: str = ""
    quarantined: datetime | None = None
    staged: list[Staged] = field(default_factory=list)
    not_before: datetime | None = None
    last_cycle: Cycle | None = None


@dataclass(slots=True, kw_only=True)
class User:
    """An account of the directory. `attributes` are SCIM paths to values; `awaited` is a manager who is not there yet,
    `change_id` the change that asked for that manager."""

    object_id: str
    external_id: str
    principal_name: str
    enabled: bool
    attributes: dict[str, Any]
    manager: str = ""
    awaited: str = ""
    change_id: str = ""


@dataclass(slots=True, order=True)
class LogEntry:
    """An event of the log and when it shows. An event that shows twice has two entries.

    `raw` is the event as JSON: a log of 100,000 people fits into memory so, and its pages cost nothing.
    """

    visible: datetime
    sequence: int
    values: Values = field(compare=False, repr=False)
    raw: bytes = field(compare=False, repr=False)

    @property
    def event(self) -> Event:
        """The event, anew at each call."""
        event: Event = orjson.loads(self.raw)
        return event

    def value(self, path: str) -> Any:
        """One of `PROPERTIES`."""
        return self.values[PROPERTIES.index(path)]


class Entra:
    """One tenant. Every method takes the time as `now`; times must not go backwards."""

    def __init__(self, settings: SandboxSettings) -> None:
        self.settings = settings
        self.jobs = {
            (principal, job_id): Job(service_principal=principal, id=job_id) for principal, job_id in settings.jobs
        }
        self._common = {key: common_parts(settings, *key) for key in self.jobs}
        self.users: dict[str, User] = {}
        self.log: list[LogEntry] = []
        self.roles = settings.roles
        self._principal_names: dict[str, str] = {name.lower(): "" for name in settings.taken_upns}
        self._awaiting: dict[str, list[str]] = {}
        self._random = random.Random(settings.seed)
        self._sequence = 0

    def job(self, service_principal: str, job_id: str) -> Job | None:
        """The job, or None where the application has no such job or there is no such application."""
        return self.jobs.get((service_principal, job_id))

    def stage(self, job: Job, operations: Sequence[Operation], now: datetime) -> None:
        """Accepts operations. A paused or quarantined job keeps them and processes nothing."""
        self.catch_up(now)
        job.staged.extend(Staged(at=now, operation=operation) for operation in operations)
        self.catch_up(now)

    def pause(self, job: Job) -> None:
        job.code = JobCode.PAUSED

    def quarantine(self, job: Job, now: datetime, reason: str = "EncounteredQuarantineException") -> None:
        """Graph, synchronizationQuarantine resource, lists the reasons."""
        job.code, job.quarantine_reason, job.quarantined = JobCode.QUARANTINE, reason, now

    def resume(self, job: Job, now: datetime) -> None:
        """Out of pause or quarantine; the next cycle starts no earlier than now."""
        job.code, job.quarantine_reason, job.quarantined, job.not_before = JobCode.ACTIVE, "", None, now

    def restart(self, job: Job, now: datetime) -> None:
        """Drops what is staged (reference: "restart on an idle job purges staged data")."""
        job.staged.clear()
        self.resume(job, now)

    def catch_up(self, now: datetime) -> None:
        """Runs every cycle that is due by now."""
        for job in self.jobs.values():
            while job.code is JobCode.ACTIVE and job.staged:
                due = job.staged[0].at + timedelta(seconds=self.settings.cycle_delay)
                if job.not_before is not None:
                    due = max(due, job.not_before)
                if due > now:
                    break
                self._run_cycle(job, due)

    def visible(self, now: datetime) -> list[LogEntry]:
        """What the log shows now, in the order in which it came to show."""
        self.catch_up(now)
        end = len(self.log)
        while end and self.log[end - 1].visible > now:
            end -= 1
        return self.log[:end]

    def status(self, job: Job, now: datetime) -> dict[str, Any]:
        """The job as `GET …/synchronization/jobs/{id}` shows it (Graph, synchronizationJob resource)."""
        self.catch_up(now)
        cycle = job.last_cycle
        execution = cycle and {
            "activityIdentifier": cycle.id,
            "countEntitled": 0,
            "countEntitledForProvisioning": 0,
            "countEscrowed": cycle.escrowed,
            "countEscrowedRaw": cycle.escrowed,
            "countExported": cycle.exported,
            "countExports": cycle.exported,
            "countImported": cycle.exported,
            "countImportedDeltas": 0,
            "countImportedReferenceDeltas": 0,
            "state": "Succeeded",
            "error": None,
            "timeBegan": iso(cycle.began),
            "timeEnded": iso(cycle.ended),
        }
        quarantine = None
        if job.code is JobCode.QUARANTINE and job.quarantined is not None:
            quarantine = {
                "currentBegan": iso(job.quarantined),
                "nextAttempt": iso(job.quarantined + timedelta(hours=24)),
                "reason": job.quarantine_reason,
                "seriesBegan": iso(job.quarantined),
                "seriesCount": 1,
                "error": {
                    "code": job.quarantine_reason,
                    "message": "The job is in quarantine.",
                    "tenantActionable": True,
                },
            }
        return {
            "id": job.id,
            "templateId": "API2AAD",
            "schedule": {
                "expiration": None,
                "interval": "PT40M",
                "state": "Paused" if job.code is JobCode.PAUSED else "Active",
            },
            "status": {
                "countSuccessiveCompleteFailures": 0,
                "escrowsPruned": False,
                "code": str(job.code),
                "lastExecution": execution,
                "lastSuccessfulExecution": execution,
                "lastSuccessfulExecutionWithExports": execution,
                "progress": [],
                "quarantine": quarantine,
                "steadyStateFirstAchievedTime": "0001-01-01T00:00:00Z",
                "steadyStateLastAchievedTime": "0001-01-01T00:00:00Z",
                "synchronizedEntryCountByType": [],
                "troubleshootingUrl": None,
            },
            "synchronizationJobSettings": [],
        }

    def schema(self) -> dict[str, Any]:
        """The job's schema as far as it goes beyond SCIM (Graph, synchronizationSchema resource)."""
        attributes = [
            {
                "name": f"{urn}:{name}",
                "type": kind,
                "multivalued": False,
                "mutability": "ReadWrite",
                "required": False,
                "flowNullValues": self._flows_null(f"{urn}:{name}"),
            }
            for urn, names in (self.settings.custom_attributes or {}).items()
            for name, kind in names.items()
        ]
        return {
            "id": self.settings.jobs[0][1],
            "directories": [{"name": "API", "objects": [{"name": ENTERPRISE, "attributes": attributes}]}],
            "synchronizationRules": [],
        }

    def outcomes(self) -> Counter[str]:
        """How many events of each `action/status` the log holds or will show."""
        return Counter(
            f"{entry.value('provisioningAction')}/{entry.value('provisioningStatusInfo/status')}" for entry in self.log
        )

    def _run_cycle(self, job: Job, began: datetime) -> None:
        batch = [staged for staged in job.staged if staged.at <= began]
        job.staged = job.staged[len(batch) :]
        cycle = Cycle(id=self._new_id(), began=began, ended=began)
        for number, staged in enumerate(batch):
            at = began + timedelta(seconds=number * self.settings.person_time)
            self._process(job, cycle, staged.operation, at)
            cycle.ended = at
        job.last_cycle = cycle
        job.not_before = cycle.ended

    def _process(self, job: Job, cycle: Cycle, operation: Operation, at: datetime) -> None:
        name = operation.user.get("displayName")
        change = self._change(job, cycle, operation.external_id, display_name=name if isinstance(name, str) else "")
        attributes = record(operation.user)
        existing = self.users.get(operation.external_id)
        if any(attributes.get(path) in values for path, values in self.settings.out_of_scope.items()):
            self._add(change.not_entitled(at))
            return
        principal_name = str(attributes.pop("userName", None) or (existing.principal_name if existing else ""))
        problem = self._name_problem(principal_name, operation.external_id)
        if problem:
            refused = Target(object_id=existing.object_id if existing else "", principal_name=principal_name)
            self._add(change.failure(at, refused, *problem))
            cycle.escrowed += 1
            return
        if existing is None:
            user = self._create(operation, principal_name, attributes)
            before: dict[str, str] = {}
        else:
            user, before = existing, self._state(existing)
            self._update(user, operation.user.get("active"), principal_name, attributes)
        if user.awaited:
            user.change_id = change.id
            cycle.escrowed += 1
        after = self._state(user)
        modified = {
            path: (before.get(path), after.get(path))
            for path in (*after, *(path for path in before if path not in after))
            if before.get(path) != after.get(path)
        }
        target = Target(object_id=user.object_id, principal_name=user.principal_name)
        cycle.exported += bool(modified)
        if existing is None:
            self._add(change.create(at, target, modified, awaited=user.awaited))
            self._resolve(job, cycle, operation.external_id, at)
        elif not modified:
            self._add(change.redundant(at, target))
        else:
            action = "disable" if modified.get("accountEnabled") == ("True", "False") else "update"
            self._add(change.update(at, action, target, modified, awaited=user.awaited))

    def _change(
        self, job: Job, cycle: Cycle, external_id: str, *, change_id: str = "", display_name: str = ""
    ) -> Change:
        return Change(
            common=self._common[job.service_principal, job.id],
            new_id=self._new_id,
            cycle_id=cycle.id,
            id=change_id or self._new_id(),
            external_id=external_id,
            display_name=display_name,
        )

    def _create(self, operation: Operation, principal_name: str, attributes: dict[str, Any]) -> User:
        user = User(
            object_id=self._new_id(),
            external_id=operation.external_id,
            principal_name=principal_name,
            enabled=operation.user.get("active") is not False,
            attributes={path: value for path, value in attributes.items() if value not in (None, "")},
        )
        self.users[operation.external_id] = user
        self._principal_names[principal_name.lower()] = operation.external_id
        self._assign(user, user.attributes.pop(MANAGER, ""))
        return user

    def _update(self, user: User, active: bool | None, principal_name: str, attributes: dict[str, Any]) -> None:
        if active is not None:
            user.enabled = active
        del self._principal_names[user.principal_name.lower()]
        self._principal_names[principal_name.lower()] = user.external_id
        user.principal_name = principal_name
        manager = attributes.pop(MANAGER, None)
        if manager or self._flows_null(MANAGER):
            self._assign(user, manager or "")
        for path in {*attributes, *user.attributes}:
            value = attributes.get(path)
            # docs/entra.md, "The record": `mail` can be set only at creation.
            if path == 'emails[type eq "work"].value' and path in user.attributes:
                continue
            if value not in (None, ""):
                user.attributes[path] = value
            elif self._flows_null(path):
                user.attributes.pop(path, None)

    def _assign(self, user: User, manager: str) -> None:
        """The manager where the directory knows that person, else the person waits for that manager."""
        if manager == "" or manager in self.users:
            user.manager, user.awaited = manager, ""
            return
        user.awaited = manager
        waiting = self._awaiting.setdefault(manager, [])
        if user.external_id not in waiting:
            waiting.append(user.external_id)

    def _resolve(self, job: Job, cycle: Cycle, manager: str, at: datetime) -> None:
        """The second step of an assignment whose manager came after the report: an update with the same change id."""
        for external_id in self._awaiting.pop(manager, []):
            user = self.users[external_id]
            if user.awaited != manager:
                continue
            before, user.manager, user.awaited = user.manager, manager, ""
            later = at + timedelta(seconds=self._random.uniform(*self.settings.reference_delay))
            change = self._change(job, cycle, external_id, change_id=user.change_id)
            target = Target(object_id=user.object_id, principal_name=user.principal_name)
            old = self.users[before].object_id if before else None
            self._add(change.manager(later, target, old, self.users[manager].object_id))

    def _name_problem(self, principal_name: str, external_id: str) -> tuple[str, str] | None:
        """(errorCode, reason) where Entra would not take this userPrincipalName for this person."""
        if not is_principal_name(principal_name):
            return (
                "AzureActiveDirectoryInvalidUserPrincipalName",
                f"The userPrincipalName '{principal_name}' is not valid.",
            )
        verified = self.settings.verified_domains
        if verified is not None and domain(principal_name) not in {name.lower() for name in verified}:
            # Microsoft's articles give the message ("domain does not exist") and no code: this one is the sandbox's.
            return (
                "AzureActiveDirectoryDomainDoesNotExist",
                f"The domain does not exist among the tenant's verified domains: '{principal_name}'.",
            )
        if self._principal_names.get(principal_name.lower(), external_id) != external_id:
            return (
                "AzureActiveDirectoryDuplicateUserPrincipalName",
                f"Another object has the userPrincipalName '{principal_name}' already.",
            )
        return None

    def _state(self, user: User) -> dict[str, str]:
        """The account's attributes as the log names and writes them."""
        state = {
            "objectId": user.object_id,
            "employeeId": user.external_id,
            "userPrincipalName": user.principal_name,
            "accountEnabled": str(user.enabled),
            **{path: str(value) for path, value in user.attributes.items()},
        }
        if user.manager:
            state["manager"] = self.users[user.manager].object_id
        return state

    def _flows_null(self, path: str) -> bool:
        return "*" in self.settings.flow_null_values or path in self.settings.flow_null_values

    def _add(self, timed: TimedEvent) -> None:
        settings, (at, event) = self.settings, timed
        # A copy, since orjson's own result keeps its work buffer of twice the size.
        values, raw = values_of(event), bytes(memoryview(orjson.dumps(event)))
        copies = 2 if self._chance(settings.log_duplicate_share) else 1
        for _ in range(copies):
            delay = settings.log_delay
            if settings.log_jitter:
                delay += self._random.uniform(0, settings.log_jitter)
            if self._chance(settings.log_late_share):
                delay += settings.log_late
            self._sequence += 1
            insort(self.log, LogEntry(at + timedelta(seconds=delay), self._sequence, values, raw))

    def _chance(self, share: float) -> bool:
        return share > 0 and self._random.random() < share

    def _new_id(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))
