"""What one check of the doctor's found: a line, with what to do."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

from connector.vocabulary.errors import ConnectorError, Fault, Forbidden, Retryable, Stopped, Unusable

SKEW_WARN, SKEW_FAIL = timedelta(seconds=60), timedelta(minutes=5)


class Result(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"
    SKIP = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found. `denied`: only because whoever asked may not, which says nothing of the app."""

    name: str
    result: Result
    message: str
    advice: str = ""
    denied: bool = False

    def __str__(self) -> str:
        said = f"{self.name}: {self.message}" + (f" ({self.advice})" if self.advice else "")
        return f"{self.result:<4} {' '.join(said.split())}"


def faults_of(name: str, error: Unusable) -> list[Finding]:
    """One finding a fault."""
    return [
        Finding(name=name, result=Result.FAIL, message=str(replace(fault, advice="")), advice=fault.advice)
        for fault in error.faults or (Fault(message="is not usable"),)
    ]


def skew(name: str, ahead: timedelta | None) -> Finding:
    """Of a server's clock against ours."""
    if ahead is None:
        return Finding(name=name, result=Result.SKIP, message="there was no answer with a Date")
    if abs(ahead) <= SKEW_WARN:
        return Finding(name=name, result=Result.OK, message="is within a minute of ours")
    result = Result.FAIL if abs(ahead) > SKEW_FAIL else Result.WARN
    minutes = f"{abs(ahead) / timedelta(minutes=1):.0f} min {'ahead of' if ahead > timedelta() else 'behind'} ours"
    advice = "set this machine's clock by NTP: outcomes and the quota go by the time"
    return Finding(name=name, result=result, message=f"is {minutes}", advice=advice)


def failure(name: str, error: Exception) -> Finding:
    """A check that could not be made is a finding as well."""
    match error:
        case Stopped():
            denied = isinstance(error, Forbidden)
            return Finding(name=name, result=Result.FAIL, message=error.message, advice=error.advice, denied=denied)
        case Retryable():
            return Finding(name=name, result=Result.FAIL, message=str(error), advice="try again")
        case ConnectorError():
            return Finding(name=name, result=Result.FAIL, message=str(error))
    return Finding(
        name=name,
        result=Result.FAIL,
        message=f"could not be checked ({type(error).__name__})",
        advice="this is a fault of the doctor's: report it",
    )


async def tried(name: str, check: Awaitable[list[Finding]]) -> list[Finding]:
    try:
        return await check
    except Unusable as error:
        return faults_of(name, error)
    except Exception as error:
        # One check that fails in a way that nobody foresaw must not hide the others.
        return [failure(name, error)]
