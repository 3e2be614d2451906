from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.sandbox.odata import InvalidQuery, LogPages, parse_filter, parse_query
from connector.sandbox.settings import JOB
from tests.sandbox.tenant import Tenant
from tests.sandbox.wire import person


@pytest.fixture(scope="module")
def tenant() -> Tenant:
    """Three people created a minute apart, the third of whom fails."""
    tenant = Tenant(cycle_delay=0.0, log_delay=0.0)
    for user in (person("101"), person("o'hara"), person("201", userName="x@fabrikam.com")):
        tenant.send(user)
        tenant.wait(60)
    return tenant


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"jobId eq '{JOB}'", ["101", "o'hara", "201"]),
        (f"jobid eq '{JOB}'", ["101", "o'hara", "201"]),
        (f"jobId eq '{JOB.lower()}'", []),
        ("sourceIdentity/id eq '101'", ["101"]),
        ("sourceIdentity/id eq 'o''hara'", ["o'hara"]),
        ("contains(sourceIdentity/id, '01')", ["101", "201"]),
        ("contains(sourceIdentity/id,'HARA')", []),
        ("provisioningStatusInfo/status eq 'failure'", ["201"]),
        ("provisioningStatusInfo/status eq 'Failure'", []),
        ("provisioningAction eq 'create'", ["101", "o'hara", "201"]),
        ("activityDateTime ge 2026-01-05T08:01:00Z", ["o'hara", "201"]),
        ("activityDateTime gt 2026-01-05T08:01:00Z", ["201"]),
        ("activityDateTime le 2026-01-05T08:01:00Z", ["101", "o'hara"]),
        ("activityDateTime lt 2026-01-05T08:01:00.0000000Z", ["101"]),
        ("activityDateTime eq 2026-01-05T09:01:00+01:00", ["o'hara"]),
        ("durationInMilliseconds lt 0", []),
        ("activityDateTime ge 2026-01-05T08:01:00Z and provisioningStatusInfo/status eq 'success'", ["o'hara"]),
        ("targetIdentity/id eq ''", ["201"]),
    ],
)
def test_a_filter_finds_what_it_says(tenant: Tenant, text: str, found: list[str]) -> None:
    condition = parse_filter(text)
    entries = tenant.entra.visible(tenant.now)
    assert [entry.value("sourceIdentity/id") for entry in entries if condition(entry.values)] == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Invalid filter clause: it ends too early."),
        ("jobId", "Invalid filter clause: it ends too early."),
        ("jobId eq", "Invalid filter clause: it ends too early."),
        ("jobId eq 'a' and", "Invalid filter clause: it ends too early."),
        ("jobId ne 'a'", "Invalid filter clause: the operator 'ne' is not supported."),
        ("jobId = 'a'", "Invalid filter clause: syntax error at position 5."),
        ("jobId eq 'a", "Invalid filter clause: syntax error at position 8."),
        ("jobId eq a", "Invalid filter clause: expected text, found word."),
        ("jobId eq 'a' or jobId eq 'b'", "Invalid filter clause: only 'and' joins conditions."),
        ("jobId eq 'a' jobId eq 'b'", "Invalid filter clause: only 'and' joins conditions."),
        ("(jobId eq 'a')", "Invalid filter clause: expected word, found mark."),
        ("activityDateTime ge '2026-01-05T08:01:00Z'", "Invalid filter clause: expected time, found text."),
        ("activityDateTime ge 2026-01-05", "Invalid filter clause: expected time, found number."),
        ("activityDateTime ge 2026-13-05T08:01:00Z", "Invalid filter clause: that is no date and time."),
        ("contains(activityDateTime, '2026')", "Invalid filter clause: contains does not apply to 'activityDateTime'."),
        (
            "JobId eq 'a'",
            "Could not find a property named 'JobId' on type 'microsoft.graph.provisioningObjectSummary'.",
        ),
        (
            "statusInfo/status eq 'a'",
            "Could not find a property named 'statusInfo/status' on type 'microsoft.graph.provisioningObjectSummary'.",
        ),
    ],
)
def test_a_filter_that_graph_would_not_take_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidQuery) as refused:
        parse_filter(text)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([("$skip", "5")], "The query option '$skip' is not supported."),
        ([("$top", "5"), ("$top", "6")], "The query option '$top' was specified more than once."),
        ([("$top", "0")], "Invalid page size specified: $top must be between 1 and 1000."),
        ([("$top", "1001")], "Invalid page size specified: $top must be between 1 and 1000."),
        ([("$top", "ten")], "Invalid page size specified: $top must be between 1 and 1000."),
        ([("$filter", " ")], "Invalid filter clause: it is empty."),
        ([("$orderby", "jobId")], "Invalid $orderby: only activityDateTime, asc or desc."),
        ([("$orderby", "activityDateTime down")], "Invalid $orderby: only activityDateTime, asc or desc."),
        ([("$skiptoken", "?")], "The skip token is not valid."),
        ([("$skiptoken", "WyJhIiwgImIiLCAxXQ")], "The skip token belongs to another query."),
    ],
)
def test_query_options_that_graph_would_not_take_are_refused(options: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(InvalidQuery) as refused:
        parse_query(options, page_size=100, page_limit=1000)
    assert str(refused.value) == message


@given(
    times=st.lists(st.integers(0, 5), max_size=30),
    top=st.integers(1, 7),
    order=st.sampled_from(["asc", "desc"]),
)
def test_the_pages_together_are_the_log_in_order_each_entry_once(times: list[int], top: int, order: str) -> None:
    tenant, pages = Tenant(cycle_delay=0.0, log_delay=0.0), LogPages()
    for number, seconds in enumerate(times):
        tenant.send(person(str(number)))
        tenant.now += timedelta(seconds=seconds)
    entries = tenant.entra.visible(tenant.now)
    shown, token = [], ""
    while True:
        options = [("$top", str(top)), ("$orderby", f"activityDateTime {order}")]
        query = parse_query([*options, ("$skiptoken", token)] if token else options, page_size=1, page_limit=100)
        page, following = pages.page(entries, query)
        assert len(page) <= top
        shown += [entry.value("sourceIdentity/id") for entry in page]
        if following is None:
            break
        token = following
    expected = [str(number) for number in range(len(times))]
    assert shown == (expected if order == "asc" else expected[::-1])
