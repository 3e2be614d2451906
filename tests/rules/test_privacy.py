"""The search for personal data finds it wherever a log record can hold it."""

from __future__ import annotations

import logging
import string
import sys
from typing import Any

import pytest

from tests.kit.people import MARK, PHONE_MARK, worker
from tests.kit.privacy import Collector, findings, leaks, text_of

PERSON = worker(1)


def _record(message: str, *arguments: Any, **more: Any) -> list[logging.LogRecord]:
    """What a logger that nobody listens to makes of it; not collected with the test's own."""
    before = logging.getLogRecordFactory()
    logging.setLogRecordFactory(logging.LogRecord)
    try:
        with Collector() as collector:
            logger = logging.getLogger("tests.privacy.silent")
            logger.propagate = False
            logger.addHandler(logging.NullHandler())
            logger.warning(message, *arguments, **more)
            return collector.take()
    finally:
        logging.setLogRecordFactory(before)


@pytest.mark.parametrize("value", [PERSON["Given"], PERSON["Login"].upper(), PERSON["Phone"], "anybody@contoso.com"])
def test_a_name_a_mail_and_a_phone_are_found_in_message_arguments_and_extra_fields(value: str) -> None:
    for records in (
        _record(f"hello {value}"),
        _record("hello %s", value),
        _record("hello", extra={"row": {"cells": [value]}}),
    ):
        assert [value.casefold() in text_of(record).casefold() for record in records] == [True]
        assert len(findings(records)) == 1


def test_personal_data_is_found_in_an_exception_and_in_its_cause() -> None:
    try:
        try:
            int(PERSON["Given"])
        except ValueError as error:
            raise RuntimeError("a row could not be read") from error
    except RuntimeError:
        records = _record("row failed", exc_info=sys.exc_info())
    assert len(findings(records)) == 1


def test_no_token_etag_id_or_time_can_have_a_mark_by_chance() -> None:
    base64_hex_and_times = set(string.ascii_letters + string.digits + "+/-_=.:")
    assert [mark for mark in (MARK, PHONE_MARK) if set(mark) <= base64_hex_and_times] == []


def test_what_telemetry_may_hold_is_no_finding() -> None:
    extra = {"feed": "people", "run": "20261124T092000Z-3f0123456789", "row": 12, "externalId": "7001", "people": 50}
    assert findings(_record("request sent", extra=extra)) == []
    assert leaks("employees/people-2026-11.csv row 12: 'State' has a value that the feed does not know") == []
