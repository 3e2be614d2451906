"""What the app found about itself: `summaries/doctor.json`, since whoever deploys it has often no role on the data."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import orjson

import connector
from connector.outside.settings import Settings
from connector.vocabulary import plausible
from connector.watching.findings import Finding, Result

GOOD_FOR = timedelta(hours=24)
"""How long what the app found about itself is good for."""
BAD_FOR = timedelta(hours=1)
"""… and while something failed: whoever mended it waits for the next look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorReport:
    """What the app found about itself: `summaries/doctor.json`. `version`, `identity`: by which code, and as whom."""

    at: datetime
    version: str
    identity: str
    checks: tuple[Finding, ...]

    def as_json(self) -> bytes:
        checks = [
            {"name": check.name, "result": check.result, "message": check.message, "advice": check.advice}
            for check in self.checks
        ]
        document = {"schema": 1, "at": self.at, "version": self.version, "identity": self.identity, "checks": checks}
        return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z)

    @classmethod
    def parse(cls, data: bytes | None) -> DoctorReport | None:
        """None for what is none: it is written anew then."""
        try:
            document = orjson.loads(data or b"")
            at = plausible.moment(document["at"])
            if at is None:
                return None
            return cls(
                at=at,
                version=document["version"],
                identity=document["identity"],
                checks=tuple(
                    Finding(
                        name=check["name"],
                        result=Result(check["result"]),
                        message=check["message"],
                        advice=check["advice"],
                    )
                    for check in document["checks"]
                ),
            )
        except (ValueError, KeyError, TypeError):
            return None

    def due(self, now: datetime, *, version: str, identity: str) -> bool:
        """Whether it is time for another one."""
        failed = any(check.result is Result.FAIL for check in self.checks)
        age = now - self.at
        return (
            (self.version, self.identity) != (version, identity)
            or not timedelta() <= age < GOOD_FOR
            or (failed and age >= BAD_FOR)
        )

    def of(self, name: str) -> list[Finding]:
        return [check for check in self.checks if check.name == name]


@cache
def code_version() -> str:
    """A digest of the deployed modules: the same in the app and in the working copy that it was deployed from."""
    root = Path(connector.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        # What .funcignore keeps back.
        if not name.startswith("sandbox/"):
            digest.update(name.encode() + path.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()[:12]


def identity_of(settings: Settings) -> str:
    """A digest of who asks and what is asked."""
    asked = (
        settings.blob_service,
        settings.storage_client_id,
        settings.graph_client_id,
        settings.graph,
        settings.inbox,
        settings.config,
        settings.runs,
        settings.summaries,
    )
    return hashlib.sha256(repr(asked).encode()).hexdigest()[:12]
