"""A drop that is SCIM already is judged as what a mapping makes is."""

from __future__ import annotations

from typing import Any

import pytest

from connector.mapping import AsItStands, Rejected
from connector.vocabulary.errors import Fault
from connector.vocabulary.scim import CORE_USER, ENTERPRISE_USER

CUSTOM = "urn:ietf:params:scim:schemas:extension:contoso:1.0:User"
USER: dict[str, Any] = {
    "schemas": [CORE_USER, ENTERPRISE_USER, CUSTOM],
    "externalId": "7",
    "userName": "b.jensen@contoso.com",
    "active": True,
    "title": None,
    "name": {"givenName": "Barbara", "familyName": ""},
    "emails": [{"type": "work", "value": "b.jensen@contoso.com", "primary": True}],
    "x509Certificates": [{"value": "YQ=="}],
    ENTERPRISE_USER: {"department": "Sales", "manager": {"value": "8"}},
    CUSTOM: {"HireDate": "2026-01-31", "Level": 3, "Rate": 1.5, "Tags": ["a", {"b": None}]},
}


def judged(**changes: Any) -> list[tuple[str, str]]:
    """Column and message of every fault."""
    user = AsItStands().map_with_warnings({**USER, **changes})[0]
    if isinstance(user, Rejected):
        assert user.attributes == tuple(fault.column for fault in user.faults)
        return [(fault.column, fault.message) for fault in user.faults]
    return []


def test_a_user_that_a_mapping_could_have_made_is_sent_as_it_stands() -> None:
    assert AsItStands().map_with_warnings(USER) == (USER, ())
    assert AsItStands().external_id(USER) == "7"


@pytest.mark.parametrize(
    ("change", "column", "what"),
    [
        ({"externalId": " 7"}, "externalId", "has white space around it"),
        ({"externalId": "7\n8"}, "externalId", "has a control character in it"),
        ({"externalId": "x" * 1_025}, "externalId", "is longer than 1,024 characters"),
        ({"userName": "b jensen"}, "userName", "has white space in it"),
        ({"UserName": 7, "userName": None}, "the user", "has an attribute twice, in upper and lower case"),
        ({"active": "True"}, "active", "is not of the type Boolean"),
        ({"title": 7}, "title", "is not of the type String"),
        ({"title": ["a"]}, "title", "is not of the type String"),
        ({"title": "x" * 65_537}, "title", "is longer than 65,536 characters"),
        ({"title": "a\x07"}, "title", "has a control character in it"),
        ({"name": "Barbara"}, "name", "is not an object"),
        ({"name": {"givenName": True}}, "name.givenName", "is not of the type String"),
        ({"emails": {"value": "a@b.c"}}, "emails", "is not a list"),
        ({"emails": ["a@b.c"]}, "emails", "is not an object"),
        ({"emails": [{"value": "a@b.c", "primary": "yes"}]}, "emails.primary", "is not of the type Boolean"),
        ({"x509Certificates": [{"value": "%"}]}, "x509Certificates.value", "is not of the type Binary"),
        ({ENTERPRISE_USER: []}, ENTERPRISE_USER, "is not an object"),
        ({ENTERPRISE_USER: {"manager": "8"}}, f"{ENTERPRISE_USER}:manager", "is not an object"),
        ({CUSTOM: {"Note": "x" * 65_537}}, "an extension", "is longer than 65,536 characters"),
        ({CUSTOM: "x"}, "an extension", "is not an object"),
        ({"Zoë Müller": "a\x07"}, "an attribute", "has a control character in it"),
        ({"schemas": [7]}, "schemas", "is not a list of texts"),
    ],
)
def test_what_no_mapping_could_have_made_is_rejected(change: dict[str, Any], column: str, what: str) -> None:
    assert (column, f"{column} {what}") in judged(**change)


def test_what_is_nested_deeper_than_scim_is_rejected() -> None:
    def nested(depth: int) -> Any:
        value: Any = "x"
        for _ in range(depth):
            value = [value]
        return value

    assert judged(**{CUSTOM: {"Tags": nested(6)}}) == []
    message = "an extension has objects or lists nested more than 8 deep"
    assert judged(**{CUSTOM: {"Tags": nested(7)}}) == [("an extension", message)]
    assert judged(**{CUSTOM: {"Tags": nested(900)}}) == [("an extension", message)]


def test_every_fault_of_a_user_is_told_with_what_to_do() -> None:
    user, _ = AsItStands().map_with_warnings({**USER, "externalId": "7 ", "active": "yes"})
    assert isinstance(user, Rejected)
    assert user.faults == (
        Fault(
            message="externalId has white space around it",
            advice="use Trim, or correct it in the HR system",
            column="externalId",
        ),
        Fault(message="active is not of the type Boolean", advice="true or false, without quotes", column="active"),
    )


def test_what_is_odd_is_said_and_sent() -> None:
    odd = {**USER, "emails": [{"type": "work", "value": "nobody"}], "title": "x" * 129}
    user, warnings = AsItStands().map_with_warnings(odd)
    assert user == odd
    assert [warning.message for warning in warnings] == [
        "title is longer than the 128 characters of Entra's attribute",
        "emails.value does not look like a mail address",
    ]
