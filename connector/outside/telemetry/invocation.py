"""Around a function's whole work: what it says when it ends, and where telemetry goes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from connector.outside.telemetry import spans
from connector.vocabulary.errors import ConnectorError, Retryable, Stopped

log = logging.getLogger(__name__)


def configure(connection_string: str) -> None:
    """Exports to the Application Insights of the connection string from now on; nothing with "". Once a process."""
    if connection_string and not spans.active():
        from connector.outside.telemetry.exporting import azure_monitor

        spans.export_to(azure_monitor(connection_string))


class InvocationFailed(ConnectorError):
    """What the Functions host is told of a failure. It logs message and trace, and chained ones too: so there is none,
    and the message has nothing that a file or a server's answer may have put into it."""


@asynccontextmanager
async def invocation(function: str, connection_string: str) -> AsyncIterator[None]:
    """Around a function's whole work: exports while it runs, says how it ended, and sends what is still buffered.

    Raises InvocationFailed in the place of any exception, where telemetry is on.
    """
    configure(connection_string)
    began = time.monotonic()
    try:
        yield
    except BaseException as error:
        seconds = round(time.monotonic() - began, 1)
        kind, detail = type(error).__name__, safe_detail(error)
        log.error(
            "invocation ended",
            extra={"function": function, "result": "failed", "error": kind, "detail": detail, "seconds": seconds},
        )
        if spans.active() and isinstance(error, Exception):
            raise InvocationFailed(f"{function}: {kind} {detail}".rstrip()) from None
        raise
    else:
        seconds = round(time.monotonic() - began, 1)
        log.info(
            "invocation ended",
            extra={"function": function, "result": "completed", "error": "", "detail": "", "seconds": seconds},
        )
    finally:
        if spans.active():
            # An instance may be frozen or gone as soon as its function has ended.
            await asyncio.to_thread(spans.flush)


def safe_detail(error: BaseException) -> str:
    """The part of our own message that says what the other side answered, without the blob that it is about.

    "" for anything else: what other messages quote, Entra's about an operation among them, nobody knows.
    """
    if isinstance(error, Retryable | Stopped):
        said = error.message if isinstance(error, Stopped) else str(error)
        return said.rpartition(": ")[2]
    return ""
