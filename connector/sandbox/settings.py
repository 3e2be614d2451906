"""The sandbox's settings: who the tenant is, how strict, how slow, how unreliable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

from connector.vocabulary.errors import Fault, Unusable
from connector.vocabulary.limits import Limit, duration

TENANT = "b16687d3-8faf-42ad-b298-92cdcaf01c6e"
SERVICE_PRINCIPAL = "f9c1d9b2-34a1-4b8e-9a0b-7d2c5e6f8a10"
JOB = "API2AAD.b16687d38faf42adb29892cdcaf01c6e.1a03de52-b9c3-4e2c-a1e3-9145aaa8e530"
SEND_LIMIT = Limit(40, 5.0)
QUOTA = Limit(2000, 86400.0)
CONTOSO = "urn:ietf:params:scim:schemas:extension:contoso:1.0:User"

UPLOAD_ROLES = frozenset({"SynchronizationData-User.Upload", "SynchronizationData-User.Upload.OwnedBy"})
LOG_ROLES = frozenset({"ProvisioningLog.Read.All", "AuditLog.Read.All"})
JOB_ROLES = frozenset({"Synchronization.Read.All", "Synchronization.ReadWrite.All"})
JOB_WRITE_ROLES = frozenset({"Synchronization.ReadWrite.All"})

ATTRIBUTE_TYPES = frozenset({"String", "DateTime", "Integer", "Boolean", "Reference", "Binary"})
"""The types of a synchronization schema's attributes (Graph, attributeDefinition resource)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """Times are in seconds. A share is a probability between 0 and 1.

    `jobs` are (service principal's object id, job id). `custom_attributes` is what the job's schema knows beyond SCIM:
    URN to name to type; None accepts any. `verified_domains` None accepts any domain. `taken_upns` belong to accounts
    that no drop knows. `out_of_scope` is the scoping filter turned round: a SCIM path to the values that are excluded.
    `flow_null_values` are the SCIM paths with "Flow null values" on (`*`: all). `client_id` None accepts any identity.

    `send_limit`, `quota` and `report_limit` are enforced by a true sliding window on the sandbox's clock; with
    `count_throttled` a refused call counts too. `retry_after` is how a 429 tells the wait: seconds, date or none.

    `network_delay` (plus up to `network_jitter`) passes before a request arrives, `latency` between its arrival and
    the answer. A cycle starts `cycle_delay` after the first staged upload, takes `person_time` a person, and a manager
    who was not there yet is assigned `reference_delay` (from, to) later. An event shows in the log `log_delay` after it
    happened, plus up to `log_jitter` (so: out of order), plus `log_late` for a share of them, and twice for another.
    """

    tenant_id: str = TENANT
    jobs: tuple[tuple[str, str], ...] = ((SERVICE_PRINCIPAL, JOB),)
    app_name: str = "API-driven provisioning to Microsoft Entra ID"
    custom_attributes: Mapping[str, Mapping[str, str]] | None = field(
        default_factory=lambda: {CONTOSO: {"HireDate": "DateTime", "JobCode": "String", "LeaveDate": "DateTime"}}
    )
    verified_domains: tuple[str, ...] | None = ("contoso.com", "example.com")
    taken_upns: tuple[str, ...] = ()
    out_of_scope: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    flow_null_values: frozenset[str] = frozenset()

    client_id: str | None = None
    identity_header: str = field(default="sandbox-identity-header", repr=False)
    roles: frozenset[str] = frozenset(
        {"SynchronizationData-User.Upload", "ProvisioningLog.Read.All", "Synchronization.Read.All"}
    )
    # Managed identity tokens live for 24 hours (Entra, "Managed identities frequently asked questions").
    token_lifetime: float = 86400.0

    send_limit: Limit = SEND_LIMIT
    quota: Limit = QUOTA
    report_limit: Limit | None = None
    count_throttled: bool = False
    retry_after: str = "seconds"

    network_delay: float = 0.0
    network_jitter: float = 0.0
    latency: float = 0.0
    cycle_delay: float = 5.0
    person_time: float = 0.02
    reference_delay: tuple[float, float] = (1.0, 2.0)
    log_delay: float = 5.0
    log_jitter: float = 0.0
    log_late: float = 0.0
    log_late_share: float = 0.0
    log_duplicate_share: float = 0.0

    page_size: int = 100
    page_limit: int = 1000
    seed: int = 0

    @classmethod
    def immediate(cls, **changes: Any) -> Self:
        """Every outcome is in the log as soon as the upload is answered: for tests on real time."""
        instant: dict[str, Any] = {
            "cycle_delay": 0.0,
            "person_time": 0.0,
            "reference_delay": (0.0, 0.0),
            "log_delay": 0.0,
        }
        return cls(**(instant | changes))

    @classmethod
    def parse(cls, values: Mapping[str, Any], *, name: str = "sandbox settings") -> Self:
        """From a mapping as YAML gives it: limits as `40/5s`, times as seconds or `5m`, the rest by its field's name.

        Raises Unusable(name) with every fault.
        """
        faults: list[Fault] = []
        changes: dict[str, Any] = {}
        known = {f.name for f in fields(cls)}
        for key, value in values.items():
            if key not in known:
                faults.append(Fault(message=f"unknown setting {key!r}", column=str(key)))
                continue
            try:
                changes[key] = _READERS.get(key, _time)(value)
            except (TypeError, ValueError, AttributeError) as error:
                faults.append(Fault(message=f"the setting {key} {error}", column=key))
        if faults:
            raise Unusable(name, faults)
        return replace(cls(), **changes)


def _time(value: object) -> float:
    if isinstance(value, str):
        return duration(value).total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ValueError("wants a number of seconds, 0 or more, or a duration such as 5m")
    return float(value)


def _share(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError("wants a number between 0 and 1")
    return float(value)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("wants text")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple | set | frozenset) or not all(isinstance(item, str) for item in value):
        raise ValueError("wants a list of texts")
    return tuple(value)


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("wants a whole number")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("wants true or false")
    return value


def _span(value: object) -> tuple[float, float]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError("wants two times: from, to")
    return _time(value[0]), _time(value[1])


def _attributes(value: object) -> Mapping[str, Mapping[str, str]] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise ValueError("wants URN: {name: type}")
    for attributes in value.values():
        if not isinstance(attributes, Mapping) or not set(attributes.values()) <= ATTRIBUTE_TYPES:
            raise ValueError(f"wants a type of {', '.join(sorted(ATTRIBUTE_TYPES))} for each attribute")
    return value


def _jobs(value: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, list | tuple) or not value:
        raise ValueError("wants a list of [service principal, job]")
    return tuple((_text(principal), _text(job)) for principal, job in value)


def _excluded(value: object) -> Mapping[str, tuple[str, ...]]:
    if not isinstance(value, Mapping):
        raise ValueError("wants SCIM path: [values]")
    return {_text(path): _texts(values) for path, values in value.items()}


def _retry_after(value: object) -> str:
    if value not in ("seconds", "date", "none"):
        raise ValueError("wants seconds, date or none")
    return str(value)


def _optional(read: Callable[[object], Any]) -> Callable[[object], Any]:
    return lambda value: None if value is None else read(value)


def _limit(value: object) -> Limit:
    return Limit.parse(_text(value))


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "tenant_id": _text,
    "jobs": _jobs,
    "app_name": _text,
    "custom_attributes": _attributes,
    "verified_domains": _optional(_texts),
    "taken_upns": _texts,
    "out_of_scope": _excluded,
    "flow_null_values": lambda value: frozenset(_texts(value)),
    "client_id": _optional(_text),
    "identity_header": _text,
    "roles": lambda value: frozenset(_texts(value)),
    "send_limit": _limit,
    "quota": _limit,
    "report_limit": _optional(_limit),
    "count_throttled": _flag,
    "retry_after": _retry_after,
    "reference_delay": _span,
    "log_late_share": _share,
    "log_duplicate_share": _share,
    "page_size": _whole,
    "page_limit": _whole,
    "seed": _whole,
}
"""How each setting is read that is not a time."""
