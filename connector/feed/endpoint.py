"""A provisioning job's upload address, pasted whole from the portal, and which hosts it may name.

Why: docs/security.md, "The token stays home".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from connector.vocabulary.errors import Fault
from connector.vocabulary.origin import PUBLIC_CLOUDS, Origin, origin

_ADVICE: Final = (
    "paste the Provisioning API Endpoint from the app's overview page in the Entra portal, whole and unchanged"
)
_ID: Final = r"[A-Za-z0-9_~-]+(?:\.[A-Za-z0-9_~-]+)*"
_JOB: Final = re.compile(
    rf"/(?:v1\.0|beta)/servicePrincipals/({_ID})/synchronization/jobs/({_ID})(/bulkUpload)?/?", re.IGNORECASE | re.ASCII
)
_PLACEHOLDER: Final = re.compile(r"[{}<>…]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """`.../servicePrincipals/{service_principal}/synchronization/jobs/{job_id}/bulkUpload`, taken apart.

    Calls go to `GRAPH_BASE_URL` plus one of the paths here; `url` is only what the feed's author wrote.
    """

    url: str
    scheme: str
    host: str
    port: int
    service_principal: str
    job_id: str

    @property
    def job_path(self) -> str:
        """The job under v1.0, whichever version the portal showed (Graph page "synchronizationJob: bulkUpload")."""
        return f"/v1.0/servicePrincipals/{self.service_principal}/synchronization/jobs/{self.job_id}"

    @property
    def upload_path(self) -> str:
        return f"{self.job_path}/bulkUpload"


def parse_endpoint(text: str, *, graph: str | None) -> Endpoint | Fault:
    """The endpoint, or what is wrong with it.

    `graph` is `GRAPH_BASE_URL`: the host must be that one or a public Graph cloud's, so that no feed file can make a
    token travel elsewhere. None (nothing will be sent) allows a public cloud and this machine.
    """
    url = text.strip()
    _, slash, rest = url.partition("://")[2].partition("/")
    if _PLACEHOLDER.search(url):
        return Fault(message="'endpoint' still has a placeholder in it", advice=_ADVICE)
    try:
        place = origin(url[: len(url) - len(slash + rest)])
    except ValueError:
        return Fault(message="'endpoint' is not an https:// address of Microsoft Graph", advice=_ADVICE)
    if (fault := _foreign(place, graph)) is not None:
        return fault
    job = _JOB.fullmatch(slash + rest)
    if job is None:
        return Fault(
            message="'endpoint' is not …/servicePrincipals/{id}/synchronization/jobs/{job id}/bulkUpload",
            advice=_ADVICE,
        )
    if job[3] is None:
        return Fault(message="'endpoint' lacks /bulkUpload at its end", advice=_ADVICE)
    return Endpoint(
        url=url, scheme=place.scheme, host=place.host, port=place.port, service_principal=job[1], job_id=job[2]
    )


def _foreign(place: Origin, graph: str | None) -> Fault | None:
    if place.public or (place.loopback if graph is None else place == origin(graph)):
        return None
    if place.host in PUBLIC_CLOUDS:
        return Fault(message="'endpoint' must begin with https:// and name no other port", advice=_ADVICE)
    allowed = (
        "a public Graph cloud" if graph is None else f"{graph.rstrip('/')} (GRAPH_BASE_URL) or a public Graph cloud"
    )
    return Fault(message=f"'endpoint' names the host {place.host}, which is not {allowed}", advice=_ADVICE)
