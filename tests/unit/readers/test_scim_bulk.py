from __future__ import annotations

import json
from typing import Any

import pytest

from connector.vocabulary.scim import BULK_REQUEST, CORE_USER, ENTERPRISE_USER
from tests.unit.readers.reading import rows_of, table_of, unusable

USER = {
    "schemas": [CORE_USER, ENTERPRISE_USER],
    "externalId": "701984",
    "name": {"givenName": "Ünal"},
    "x": 1.5,
    "active": True,
}
OPERATION = {"method": "POST", "bulkId": "1", "path": "/Users", "data": USER}


def bulk(*operations: Any, **members: Any) -> dict[str, Any]:
    return {"schemas": [BULK_REQUEST], "Operations": list(operations), "failOnErrors": None, **members}


@pytest.mark.parametrize("indent", [None, 4])
def test_a_bulk_request_is_a_drop_whose_users_stay_as_they_are(indent: int | None) -> None:
    table = table_of(json.dumps(bulk(OPERATION, OPERATION), indent=indent).encode(), name="people.json")
    assert (table.kind, table.columns, list(table)) == ("scim", (), [(1, USER), (2, USER)])


def test_many_bulk_requests_are_one_drop() -> None:
    data = "\n".join(json.dumps(bulk(*[OPERATION] * n)) for n in (1, 0, 120)).encode()
    assert rows_of(data) == [USER] * 121


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (7, "the operation is no JSON object"),
        ({**OPERATION, "method": "DELETE"}, "the operation's method is not POST"),
        ({**OPERATION, "path": "/Groups"}, "the operation's path is not /Users"),
        ({**OPERATION, "data": None}, "the operation has no data"),
        ({**OPERATION, "data": {**USER, "externalId": " "}}, "the user has no externalId"),
        ({**OPERATION, "data": {**USER, "externalId": 701984}}, "the user has no externalId"),
        ({**OPERATION, "data": {**USER, "schemas": [ENTERPRISE_USER]}}, f"the user's schemas lack {CORE_USER}"),
        ({**OPERATION, "data": {**USER, "schemas": [CORE_USER]}}, f"the user's schemas lack {ENTERPRISE_USER}"),
        ({**OPERATION, "data": {**USER, "x": "\ud800"}}, "the user has a value that JSON in UTF-8 cannot carry"),
        ({**OPERATION, "data": {**USER, "x": 1 << 70}}, "the user has a value that JSON in UTF-8 cannot carry"),
        ({**OPERATION, "data": {**USER, "x": "a\0"}}, "the user has a NUL character"),
    ],
)
def test_an_operation_that_entra_would_not_take_does_not_stop_the_others(operation: Any, message: str) -> None:
    assert rows_of(json.dumps(bulk(operation, OPERATION)).encode(), format="scim") == [message, USER]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            bulk(OPERATION, schemas=["x"]),
            f"bulk request 1 lacks the schema {BULK_REQUEST}; the file could be read up to row 1",
        ),
        ({"schemas": [BULK_REQUEST]}, "bulk request 1 has no Operations; before the first row"),
        (
            {"schemas": [BULK_REQUEST], "Operations": {}},
            "the Operations of bulk request 1 are no list; before the first row",
        ),
        ([bulk()], "bulk request 1 is no JSON object; before the first row"),
    ],
)
def test_what_is_no_bulk_request_is_unusable(data: Any, message: str) -> None:
    assert unusable(json.dumps(data).encode(), format="scim") == message
