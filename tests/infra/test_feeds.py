"""The feed file that infra/feeds comes with: an example that can be used as it is, but for its endpoint."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from connector.mapping import Rejected, load_feed
from tests.infra.bicep import INFRA

EXAMPLE = INFRA / "feeds" / "employees.yaml"
ROW = {
    "WorkerID": "7",
    "UserID": "Ada",
    "FirstName": "Ada",
    "LastName": "Lovelace",
    "JobTitle": "Analyst",
    "Email": "ada@contoso.com",
    "Department": "Engines",
    "ManagerID": "1",
}


def mapped(status: str) -> object:
    feed = load_feed(EXAMPLE.read_bytes(), name="feeds/employees.yaml")
    bound = feed.mapping.bind([*ROW, "WorkerStatus"], now=datetime(2026, 11, 29, tzinfo=UTC))
    return bound.map([*ROW.values(), status])


@pytest.mark.parametrize(("status", "active"), [("Active", True), ("Inactive", False)])
def test_the_shipped_feed_knows_two_words(status: str, active: bool) -> None:
    person = mapped(status)
    assert isinstance(person, dict)
    assert person["active"] is active


@pytest.mark.parametrize("status", ["Terminated", "On leave", "active", ""])
def test_the_shipped_feed_disables_nobody_for_a_word_that_it_does_not_know(status: str) -> None:
    person = mapped(status)
    assert isinstance(person, Rejected)
    assert [fault.column for fault in person.faults] == ["WorkerStatus"]
