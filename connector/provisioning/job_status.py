"""Whether the provisioning job that a feed names is at work; asked where the permission allows, never required."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from connector.outside.graph import Graph
from connector.vocabulary.errors import ConnectorError, Stopped
from connector.vocabulary.run import Problem, ProblemCode

log = logging.getLogger(__name__)

_said_once: set[str] = set()

TROUBLES: Mapping[str, tuple[ProblemCode, str]] = {
    "Paused": (
        ProblemCode.JOB_PAUSED,
        "start provisioning in the portal: until then Entra accepts everybody and processes nobody",
    ),
    "Quarantine": (
        ProblemCode.JOB_QUARANTINE,
        "open the job's quarantine reason in the portal, mend it and restart provisioning",
    ),
    "NotConfigured": (
        ProblemCode.JOB_NOT_CONFIGURED,
        "finish the provisioning app's configuration in the portal",
    ),
    "NotRun": (
        ProblemCode.JOB_NOT_RUN,
        "start provisioning in the portal: it has never run",
    ),
}
"""The states in which a job processes nobody, as Graph spells them: our code, and what to do."""


async def job_problem(graph: Graph, job_path: str) -> Problem | None:
    """What keeps the job from processing what is sent; None where nothing does, or nobody may know.

    Asking needs Synchronization.Read.All, which is optional: without it this says so once and finds no problem.
    """
    try:
        status = await graph.job(job_path)
    except Stopped:
        if job_path not in _said_once:
            _said_once.add(job_path)
            log.info("job status not readable")
        return None
    except ConnectorError:
        return None
    if status.code not in TROUBLES:
        return None
    code, advice = TROUBLES[status.code]
    reason = f" ({status.reason})" if status.reason else ""
    return Problem(code=code, message=f"the provisioning job is {status.code}{reason}", advice=advice)


async def job_code(graph: Graph, job_path: str) -> str:
    """The job's state as Graph spells it (Active, Paused, Quarantine, …); "unknown" where it cannot be asked for."""
    try:
        return (await graph.job(job_path)).code or "unknown"
    except ConnectorError:
        return "unknown"
