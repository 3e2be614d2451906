"""The settings: read once from the environment, here and nowhere else. The names are a contract (docs/operating.md).

No third-party import: `function_app.py` needs the bindings' half of this at every cold start.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from connector.vocabulary.errors import Fault, Unusable
from connector.vocabulary.limits import Limit, duration
from connector.vocabulary.origin import origin

T = TypeVar("T")

ENVIRONMENT: Mapping[str, str] = os.environ
"""For whoever passes it on unread."""

DEFAULTS: Mapping[str, str] = {
    "GRAPH_BASE_URL": "https://graph.microsoft.com",
    "INBOX_CONTAINER": "inbox",
    "CONFIG_CONTAINER": "config",
    "RUNS_CONTAINER": "runs",
    "SUMMARIES_CONTAINER": "summaries",
    "TICK_SCHEDULE": "0 */5 * * * *",
    # Entra's limit on /bulkUpload, and the daily quota of a tenant with P1 or P2 (6,000 with Governance).
    "SEND_LIMIT": "40/5s",
    "SEND_QUOTA": "2000/24h",
    # With ten minutes for settling, and for a drop that is tried alone, five minutes below functionTimeout (host.json).
    "SEND_TIME_LIMIT": "25m",
    "ARRIVAL_TIME": "1m",
    "PLAN_TIME_LIMIT": "10m",
    "SETTLE_DEADLINE": "24h",
    "MAX_ROWS": "1000000",
}
"""Each setting that has a default."""

NAMES: frozenset[str] = frozenset(DEFAULTS) | {
    "AZURE_CLIENT_ID",
    "HR_STORAGE",
    "HR_STORAGE__blobServiceUri",
    "HR_STORAGE__queueServiceUri",
    "HR_STORAGE__credential",
    "HR_STORAGE__clientId",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
}
"""Each environment variable that the connector or its triggers' connection reads."""


def graph_base_url(text: str) -> str:
    """The base URL without a trailing slash. `http` only on loopback: a token must not cross a network in clear."""
    url = text.strip().rstrip("/")
    place = origin(url)
    if place.scheme == "https" or place.loopback:
        return url
    raise ValueError("wants https (http is for loopback addresses alone)")


def _container(text: str) -> str:
    # Naming and referencing containers, blobs, and metadata: 3 to 63 of lower case, digits and single hyphens.
    if not re.fullmatch(r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*", text):
        raise ValueError("wants a container's name: 3 to 63 of lower-case letters, digits and single hyphens")
    return text


def _rows(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text, re.ASCII):
        raise ValueError("wants a number of rows of 1 or more, such as 1000000")
    return int(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bindings:
    """What the triggers declare: the blob path's container and the timer's NCRONTAB schedule."""

    inbox: str
    schedule: str

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ) -> Bindings:
        return cls(inbox=_get(environment, "INBOX_CONTAINER"), schedule=_get(environment, "TICK_SCHEDULE"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitoring:
    """Where telemetry goes; "" is nowhere."""

    connection_string: str = field(default="", repr=False)

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ) -> Monitoring:
        return cls(connection_string=environment.get("APPLICATIONINSIGHTS_CONNECTION_STRING", "").strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """What infra/hooks/postdeploy tells the doctor, and no app setting; "" is not told.

    `event_subscription` is a resource id; `function_app` a name.
    """

    event_subscription: str = ""
    function_app: str = ""

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ) -> Deployed:
        return cls(
            event_subscription=environment.get("EVENT_SUBSCRIPTION_ID", "").strip(),
            function_app=environment.get("FUNCTION_APP_NAME", "").strip(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings, checked. `connection_string` or the identity-based `blob_service` is there; the former counts."""

    connection_string: str = field(default="", repr=False)
    blob_service: str = ""
    queue_service: str = ""
    storage_client_id: str = ""
    graph_client_id: str = ""
    graph: str
    inbox: str
    config: str
    runs: str
    summaries: str
    send_limit: Limit
    send_quota: Limit
    send_time_limit: timedelta
    arrival_time: timedelta
    plan_time_limit: timedelta
    settle_deadline: timedelta
    max_rows: int

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Raises Unusable with every setting that is missing or malformed."""
        faults: list[Fault] = []

        def read(name: str, parse: Callable[[str], T], fallback: T) -> T:
            try:
                return parse(_get(environment, name))
            except ValueError as error:
                faults.append(Fault(message=f"the setting {name} {error}", column=name))
                return fallback

        connection_string = environment.get("HR_STORAGE", "").strip()
        blob_service = environment.get("HR_STORAGE__blobServiceUri", "").strip().rstrip("/")
        if not connection_string and not blob_service:
            faults.append(
                Fault(
                    message="the setting HR_STORAGE__blobServiceUri is missing",
                    advice="set it to the storage account's blob endpoint, or HR_STORAGE to a connection string",
                    column="HR_STORAGE__blobServiceUri",
                )
            )
        some = Limit(1, 1.0)
        settings = cls(
            connection_string=connection_string,
            blob_service=blob_service,
            queue_service=environment.get("HR_STORAGE__queueServiceUri", "").strip().rstrip("/"),
            storage_client_id=environment.get("HR_STORAGE__clientId", "").strip(),
            graph_client_id=environment.get("AZURE_CLIENT_ID", "").strip(),
            graph=read("GRAPH_BASE_URL", graph_base_url, ""),
            inbox=read("INBOX_CONTAINER", _container, ""),
            config=read("CONFIG_CONTAINER", _container, ""),
            runs=read("RUNS_CONTAINER", _container, ""),
            summaries=read("SUMMARIES_CONTAINER", _container, ""),
            send_limit=read("SEND_LIMIT", Limit.parse, some),
            send_quota=read("SEND_QUOTA", Limit.parse, some),
            send_time_limit=read("SEND_TIME_LIMIT", duration, timedelta()),
            arrival_time=read("ARRIVAL_TIME", duration, timedelta()),
            plan_time_limit=read("PLAN_TIME_LIMIT", duration, timedelta()),
            settle_deadline=read("SETTLE_DEADLINE", duration, timedelta()),
            max_rows=read("MAX_ROWS", _rows, 1),
        )
        if faults:
            raise Unusable("settings", faults)
        return settings


def _get(environment: Mapping[str, str], name: str) -> str:
    # An app setting that is there but empty is how the portal spells "not set".
    return environment.get(name, "").strip() or DEFAULTS[name]
