from __future__ import annotations

import re
from typing import Any

import orjson
import pytest

from connector.sandbox.bulk import CORE, ENTERPRISE, InvalidBulk, Operation, operations
from connector.sandbox.settings import CONTOSO
from tests.sandbox.wire import bulk, operation, person

CUSTOM = {CONTOSO: {"HireDate": "DateTime", "Level": "Integer", "Remote": "Boolean", "JobCode": "String"}}

FULL = {
    "schemas": [CORE, ENTERPRISE, CONTOSO],
    "externalId": "701984",
    "userName": "bj@example.com",
    "name": {"formatted": "Ms. B J", "familyName": "J", "givenName": "B", "middleName": "", "honorificPrefix": None},
    "displayName": "B J",
    "nickName": "B",
    "emails": [{"value": "bj@example.com", "type": "work", "primary": True}],
    "addresses": [{"type": "work", "streetAddress": "1 Plaza", "locality": "H", "country": "USA", "primary": True}],
    "phoneNumbers": [{"value": "555", "type": "work"}, {"value": "556", "type": "mobile"}],
    "active": True,
    ENTERPRISE: {"employeeNumber": "701984", "manager": {"value": "89607", "displayName": "J S"}},
    CONTOSO: {"HireDate": "2021-05-01T00:00:00-05:00", "Level": 3, "Remote": False, "JobCode": None},
}


def test_a_complete_user_with_custom_attributes_is_accepted_as_it_came() -> None:
    assert operations(orjson.dumps(bulk(FULL)), CUSTOM) == (
        Operation(bulk_id="701984", external_id="701984", user=FULL),
    )


def test_fifty_operations_are_accepted() -> None:
    people = [person(str(number)) for number in range(50)]
    assert [each.external_id for each in operations(orjson.dumps(bulk(*people)), {})] == [str(n) for n in range(50)]


def test_any_extension_is_accepted_where_the_schema_is_open() -> None:
    user = person("1", schemas=[CORE, ENTERPRISE, "urn:any"], **{"urn:any": {"A": [1]}})
    assert len(operations(orjson.dumps(bulk(user)), None)) == 1


def _bulk(**members: Any) -> dict[str, Any]:
    return bulk(person("1")) | members


REFUSED: list[tuple[Any, str]] = [
    (b"{", "the body is not JSON"),
    (b"", "the body is not JSON"),
    (b"[]", "the body is not an object"),
    (_bulk(more=1), "the body has the unknown member more"),
    (_bulk(schemas=[]), "schemas must be [urn:ietf:params:scim:api:messages:2.0:BulkRequest]"),
    (_bulk(schemas=None), "schemas must be [urn:ietf:params:scim:api:messages:2.0:BulkRequest]"),
    (_bulk(failOnErrors=True), "failOnErrors must be null or an integer"),
    (_bulk(Operations=[]), "Operations must hold at least one operation"),
    (_bulk(Operations=None), "Operations must hold at least one operation"),
    (bulk(*(person(str(number)) for number in range(51))), "Operations must hold at most 50 operations"),
    (bulk(person("1"), person("1")), "bulkId must be unique in the request"),
    (_bulk(Operations=[1]), "operation 1 is not an object"),
    (_bulk(Operations=[operation(person("1"), version=1)]), "operation 1 has the unknown member version"),
    (_bulk(Operations=[operation(person("1"), method="PUT")]), "operation 1: method must be POST"),
    (_bulk(Operations=[operation(person("1"), method="post")]), "operation 1: method must be POST"),
    (_bulk(Operations=[operation(person("1"), path="/Users/1")]), "operation 1: path must be /Users"),
    (_bulk(Operations=[operation(person("1"), bulkId="")]), "operation 1: bulkId is missing"),
    (_bulk(Operations=[operation(person("1"), bulkId=1)]), "operation 1: bulkId is missing"),
    (_bulk(Operations=[operation(person("1"), data=None)]), "operation 1: data is missing"),
    (bulk(person("1"), person("2", externalId=...)), "operation 2: externalId is missing"),
    (bulk(person("1", externalId=" ")), "operation 1: externalId is missing"),
    (bulk(person("1", externalId=7)), "operation 1: externalId is missing"),
    (bulk(person("1", schemas=...)), "operation 1: schemas must be a list of URNs"),
    (bulk(person("1", schemas=[ENTERPRISE])), f"operation 1: schemas must hold {CORE}"),
    (bulk(person("1", schemas=[CORE])), f"operation 1: schemas must hold {ENTERPRISE}"),
    (bulk(person("1", schemas=[CORE, ENTERPRISE, "urn:x"])), "operation 1: the job's schema does not know urn:x"),
    (bulk(person("1", **{CONTOSO: {}})), f"operation 1: {CONTOSO} is not listed in schemas"),
    (bulk(person("1", shoeSize="9")), f"operation 1: shoeSize is not an attribute of {CORE}"),
    (bulk(person("1", active="True")), "operation 1: active must be a boolean"),
    (bulk(person("1", active=1)), "operation 1: active must be a boolean"),
    (bulk(person("1", userName=5)), "operation 1: userName must be a string"),
    (bulk(person("1", name="B J")), "operation 1: name must be an object"),
    (bulk(person("1", name={"first": "B"})), "operation 1: name.first is not an attribute that its schema knows"),
    (bulk(person("1", name={"givenName": 1})), "operation 1: name.givenName must be a string"),
    (bulk(person("1", emails={"value": "a@b.c"})), "operation 1: emails must be a list"),
    (bulk(person("1", emails=["a@b.c"])), "operation 1: emails must hold objects"),
    (bulk(person("1", emails=[{"primary": "true"}])), "operation 1: emails.primary must be a boolean"),
    (
        bulk(person("1", emails=[{"value": "a", "primary": True}, {"value": "b", "primary": True}])),
        "operation 1: emails must have one primary value at most",
    ),
    (bulk(person("1", **{ENTERPRISE: {"manager": "7"}})), f"operation 1: {ENTERPRISE}.manager must be an object"),
    (
        bulk(person("1", **{ENTERPRISE: {"grade": "7"}})),
        f"operation 1: {ENTERPRISE}.grade is not an attribute that its schema knows",
    ),
    *(
        (
            bulk(person("1", schemas=[CORE, ENTERPRISE, CONTOSO], **{CONTOSO: {name: value}})),
            f"operation 1: {CONTOSO}:{name} {problem}",
        )
        for name, value, problem in [
            ("Shoe", "9", "is not an attribute that the job's schema knows"),
            ("HireDate", "05/01/2021", "must be a date and time as ISO 8601 writes it"),
            ("HireDate", 20210501, "must be a string"),
            ("Level", "3", "must be an integer"),
            ("Level", True, "must be an integer"),
            ("Remote", "False", "must be a boolean"),
        ]
    ),
]  # fmt: skip


@pytest.mark.parametrize(("body", "message"), REFUSED)
def test_what_entra_would_refuse_is_refused(body: Any, message: str) -> None:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    with pytest.raises(InvalidBulk, match=f"^{re.escape(message)}$"):
        operations(raw, CUSTOM)
