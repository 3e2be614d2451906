"""No personal data in telemetry (docs/telemetry.md): every log record of every test is searched for the sample's.

`conftest.py` imports the fixture; `leaks` is for text that is not logged, such as a process's output.
"""

from __future__ import annotations

import csv
import io
import logging
import re
import traceback
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import pytest

from connector.sandbox.sample import sample
from tests.kit.people import MARK, PHONE_MARK
from tests.kit.registered import unregistered

# Mail addresses of any sample look like these.
_MARKS = re.compile(rf"{MARK}|{re.escape(PHONE_MARK)}|@contoso\.com|@example\.com", re.IGNORECASE)
_STANDARD = frozenset(vars(logging.makeLogRecord({})))


def _demo_words() -> frozenset[str]:
    """Full names and phone numbers of the demo's sample, as its drop has them."""
    rows = list(csv.reader(io.StringIO(sample(200).content.decode())))
    given, surname, phone = (rows[0].index(name) for name in ("GivenName", "Surname", "DeskPhone"))
    whole = [row for row in rows[1:] if len(row) == len(rows[0]) and row[surname]]
    return frozenset(f"{row[given]} {row[surname]}" for row in whole) | frozenset(row[phone] for row in whole)


_DEMO = _demo_words()


def leaks(text: str) -> list[str]:
    """The pieces of personal data that a text holds."""
    return [match[0] for match in _MARKS.finditer(text)] + [word for word in _DEMO if word in text]


def text_of(record: logging.LogRecord) -> str:
    """All that any handler could write of a record: message, arguments, extra fields, exception, stack."""
    parts = [str(record.msg), repr(record.args)]
    # A broken format string is for the test that logs it to find; the arguments are looked at above.
    with suppress(TypeError, ValueError):
        parts.append(record.getMessage())
    parts += [repr(value) for name, value in vars(record).items() if name not in _STANDARD]
    if record.exc_info and record.exc_info[1] is not None:
        parts += traceback.format_exception(record.exc_info[1])
    parts += [text for text in (record.exc_text, record.stack_info) if text]
    return "\n".join(parts)


def findings(records: list[logging.LogRecord]) -> list[str]:
    """Where personal data was logged: logger, file and line, and what it was."""
    if not leaks("\n".join(text_of(record) for record in records)):
        return []
    return [
        f"{record.name} at {record.pathname}:{record.lineno} logs {found}"
        for record in records
        if (found := leaks(text_of(record)))
    ]


class Collector:
    """Keeps every record that is made, whatever handlers, filters and propagation do with it afterwards."""

    def __init__(self) -> None:
        self.records: list[logging.LogRecord] = []
        self._before: Any = None

    def __enter__(self) -> Collector:
        self._before = logging.getLogRecordFactory()

        def make(*arguments: Any, **more: Any) -> logging.LogRecord:
            record: logging.LogRecord = self._before(*arguments, **more)
            self.records.append(record)
            return record

        logging.setLogRecordFactory(make)
        return self

    def __exit__(self, *_: object) -> None:
        logging.setLogRecordFactory(self._before)

    def take(self) -> list[logging.LogRecord]:
        taken, self.records = self.records, []
        return taken


# What the Functions worker lets through (INFO), and all that the connector itself has to say.
LEVELS: Mapping[str, int] = {"connector": logging.DEBUG, "azure": logging.INFO, "httpx": logging.INFO}


@pytest.fixture(scope="session")
def collected() -> Iterator[Collector]:
    for name, level in LEVELS.items():
        logging.getLogger(name).setLevel(level)
    # One failing test would otherwise print a thousand lines of these. They are collected before any filter.
    for name in ("azure.core.pipeline.policies.http_logging_policy", "httpx"):
        logging.getLogger(name).addFilter(lambda _: False)
    with Collector() as collector:
        yield collector


@pytest.fixture(autouse=True)
def log_is_clean(collected: Collector) -> Iterator[None]:
    """Fails the test in which a record was made that has personal data, or is no registered event."""
    yield
    records = collected.take()
    found = findings(records) + unregistered(records)
    assert not found, "\n".join(found)
