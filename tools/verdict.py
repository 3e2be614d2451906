"""`python tools/verdict.py` runs the doctor and says what still waits, for infra/hooks/postdeploy.

A first deployment ends well where only somebody else's part is missing: the Graph permissions, the feed's endpoint.
The exit code: 0 when nothing failed, or nothing but what the Graph permissions are for; else 1. Standard library only.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

# What fails where the app's identity has not got its permissions on Microsoft Graph, and for no other reason.
_PERMISSION = re.compile(r"(?:app )?permission ")
_GRAPH = re.compile(r"(?:app )?(?:permission |provisioning log$|job of )")
_FINDING = re.compile(r"(ok|warn|FAIL|skip)\s+([^:]+): (.*)")


def main(environment: Mapping[str, str] = os.environ) -> int:
    command = [
        environment.get("PYTHON") or sys.executable,
        "-m",
        "connector",
        "doctor",
        "--wait",
        environment.get("DOCTOR_WAIT", "10m"),
    ]
    lines: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8", errors="replace") as doctor:
        for line in doctor.stdout or ():
            print(line, end="", flush=True)
            lines.append(line)
    waiting = only_the_grant(lines)
    if doctor.returncode and not waiting:
        return doctor.returncode
    for line in still_waits(waiting=waiting, environment=environment):
        print(line)
    return 0


def only_the_grant(lines: Sequence[str]) -> bool:
    """Whether the app has examined itself, and all that failed is what its permissions on Graph are for."""
    findings = [found for line in lines if (found := _FINDING.match(line))]
    failed = [found[2] for found in findings if found[1] == "FAIL"]
    examined = any((found[1], found[2]) == ("ok", "app") for found in findings)
    lacks = any(name.startswith("app permission ") for name in failed)
    return examined and lacks and all(_GRAPH.match(name) for name in failed)


def still_waits(*, waiting: bool, environment: Mapping[str, str]) -> Iterator[str]:
    """What others have to do, each with the command that proves it."""
    app = (
        f"--resource-group {environment['AZURE_RESOURCE_GROUP']} --name {environment['FUNCTION_APP_NAME']} "
        f"--subscription {environment['AZURE_SUBSCRIPTION_ID']}"
    )
    if waiting:
        grant = f"bash infra/grant-graph-roles.sh {environment['CONNECTOR_PRINCIPAL_ID']}"
        yield f"waiting for the administrator: run {grant}"
        yield f"  then, since the app keeps its tokens: az functionapp restart {app}"
        yield f"  proof: {grant} --check"
    for example in environment.get("EXAMPLE_FEEDS", "").splitlines():
        path = Path(example)
        name = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
        yield f"waiting for you: put the Provisioning API Endpoint and your columns into {name}, to have it deployed"
        yield "  then: azd hooks run postprovision (or bash infra/hooks/postprovision.sh DEPLOYMENT)"
        yield f"  proof: python -m connector check {name}"
    if waiting or environment.get("EXAMPLE_FEEDS"):
        yield "proof of the whole: azd hooks run postdeploy (or bash infra/hooks/postdeploy.sh DEPLOYMENT)"


if __name__ == "__main__":
    sys.exit(main())
