"""The sample drop holds what it says, for the feed file that comes with it."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scim2_models import EnterpriseUser, User

from connector.mapping import load_feed
from connector.planning.decide import decide
from connector.sandbox.bulk import operations
from connector.sandbox.sample import COLUMNS, MOST_ROWS, SAMPLE_FEED, UNKNOWN_DOMAIN, Sample, sample
from connector.sandbox.settings import CONTOSO, SandboxSettings
from connector.vocabulary.bulk_request import BulkRequest
from connector.vocabulary.run import Decision, PlannedRow

Planned = tuple[Sample, list[PlannedRow], list[BulkRequest]]
LANDED = datetime(2026, 11, 24, 9, 20, tzinfo=UTC)


def planned(drop: Sample) -> tuple[list[PlannedRow], list[BulkRequest]]:
    feed = load_feed(SAMPLE_FEED.encode(), name="feeds/employees.yaml")
    items = list(decide(lambda: io.BytesIO(drop.content), name="people.csv", landed=LANDED, feed=feed))
    return [i for i in items if isinstance(i, PlannedRow)], [i for i in items if isinstance(i, BulkRequest)]


def people(requests: list[BulkRequest]) -> dict[str, Mapping[str, Any]]:
    users = [operation["data"] for request in requests for operation in orjson.loads(request.body)["Operations"]]
    return {user["externalId"]: user for user in users}


@pytest.fixture(scope="module")
def thousand() -> Planned:
    drop = sample()
    return drop, *planned(drop)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    assert sample(300, seed=7).content == sample(300, seed=7).content
    assert sample(300, seed=7).content != sample(300, seed=8).content


def test_it_reads_as_a_csv_of_1000_rows_of_which_two_are_ragged() -> None:
    header, *records = csv.reader(io.StringIO(sample().content.decode(), newline=""))
    assert tuple(header) == COLUMNS
    assert Counter(len(record) for record in records) == {17: 998, 18: 1, 14: 1}


@pytest.mark.parametrize("rows", [199, MOST_ROWS + 1])
def test_too_few_or_too_many_rows_are_refused(rows: int) -> None:
    with pytest.raises(ValueError, match="a sample has 200 to 5000 rows"):
        sample(rows)


@settings(max_examples=8, deadline=None)
@given(rows=st.integers(200, 1200), seed=st.integers(0, 1000))
def test_every_size_and_seed_is_planned_as_the_sample_says(rows: int, seed: int) -> None:
    drop = sample(rows, seed=seed)
    decided, _ = planned(drop)
    by_decision: dict[Decision, list[int]] = {}
    for row in decided:
        by_decision.setdefault(row.decision, []).append(row.row)
    assert len(decided) == rows
    assert by_decision[Decision.REJECTED] == sorted(drop.rejected)
    assert by_decision[Decision.DUPLICATE] == list(drop.duplicates)
    assert len(by_decision[Decision.SEND]) == drop.sent


def test_a_thousand_rows_make_twenty_bulk_requests(
    thousand: Planned,
) -> None:
    drop, _, requests = thousand
    assert [request.people_count for request in requests] == [50] * 19 + [43]
    assert (len(drop.rejected), len(drop.duplicates), drop.sent) == (6, 1, 993)


def test_who_left_is_inactive_and_nobody_else(thousand: Planned) -> None:
    drop, _, requests = thousand
    inactive = {external_id for external_id, user in people(requests).items() if user["active"] is False}
    assert inactive == drop.leavers
    # A larger share would trip the feed's own guard on mass deactivation.
    assert 0.02 < len(inactive) / drop.sent < 0.05


def test_user_names_are_ascii_and_clash_only_where_planned(
    thousand: Planned,
) -> None:
    drop, _, requests = thousand
    users = people(requests)
    names = Counter(user["userName"] for user in users.values())
    assert all(name.isascii() for name in names)
    assert {name: count for name, count in names.items() if count > 1} == {"noor.haddad@contoso.com": 2}
    strangers = {key for key, user in users.items() if not user["userName"].endswith("@contoso.com")}
    assert strangers == {key for key, code in drop.failures.items() if code == UNKNOWN_DOMAIN}


def test_every_manager_is_sent_and_most_come_after_a_report(
    thousand: Planned,
) -> None:
    drop, _, requests = thousand
    users = people(requests)
    enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
    managers = {user[enterprise]["manager"]["value"] for user in users.values() if "manager" in user[enterprise]}
    assert managers <= users.keys() - drop.failures.keys()
    assert drop.late_managers <= managers
    assert len(drop.late_managers) > len(managers) / 2
    assert sum("manager" not in user[enterprise] for user in users.values()) == 1


def test_the_strict_sandbox_and_scim2_models_accept_every_person(
    thousand: Planned,
) -> None:
    _, _, requests = thousand
    custom = SandboxSettings().custom_attributes
    assert sum(len(operations(request.body, custom)) for request in requests) == 993
    for user in people(requests).values():
        standard = {key: value for key, value in user.items() if key != CONTOSO}
        standard["schemas"] = [schema for schema in user["schemas"] if schema != CONTOSO]
        User[EnterpriseUser].model_validate(standard)
