"""One entry of the provisioning log, as far as the connector keeps it: no attribute values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One provisioningObjectSummary (Graph page of that name), less everything that holds attribute values."""

    id: str
    at: datetime
    person: str
    action: str
    status: str
    change: str = ""
    code: str = ""
    reason: str = ""
    advice: str = ""
