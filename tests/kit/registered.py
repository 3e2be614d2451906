"""Whatever the connector logs is a registered event with exactly its fields: looked at in every test."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from connector.outside.telemetry.names import EVENTS, LOGGER

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


def fields_of(record: logging.LogRecord) -> frozenset[str]:
    """The fields that its caller gave it."""
    return frozenset(vars(record)) - _STANDARD


def unregistered(records: Iterable[logging.LogRecord]) -> list[str]:
    """What of our own was logged under another name, with other fields, or with text that no field accounts for."""
    return [
        f"{record.name} at {record.pathname}:{record.lineno} logs {record.msg!r} with {sorted(fields_of(record))}"
        for record in records
        if str(record.name).startswith(f"{LOGGER}.")
        and (EVENTS.get(str(record.msg)) != fields_of(record) or record.args or record.exc_info)
    ]
