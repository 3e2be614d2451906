"""Rows to SCIM users: what is sent, left out, rejected, and that the fast and the careful way agree."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scim2_models import EnterpriseUser, User

from connector.mapping import FILTERED, BoundMapping, Filtered, Rejected, load_feed
from connector.mapping.value_checks import VALUE_MAX
from connector.vocabulary.errors import DropUnusable, Fault

SAMPLES = Path(__file__).parents[2] / "samples"
ENDPOINT = "https://graph.microsoft.com/v1.0/servicePrincipals/a/synchronization/jobs/b/bulkUpload"
CORE = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
CONTOSO = "urn:ietf:params:scim:schemas:extension:contoso:1.0:User"
SCHEMAS = [CORE, ENTERPRISE]
NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


def bind(mapping: str, *columns: str, more: str = "") -> BoundMapping:
    lines = "".join(f"  {line.strip()}\n" for line in mapping.strip().splitlines())
    text = f'endpoint: {ENDPOINT}\nmapping:\n  externalId: "[Id]"\n{lines}{more}\n'
    return load_feed(text.encode(), name="feeds/f.yaml").mapping.bind(["Id", *columns], now=NOW)


def mapped(bound: BoundMapping, cells: list[Any]) -> Any:
    """What becomes of the row, in the fast and in the careful way."""
    found = bound.map(cells)
    assert found == bound.map.__globals__["careful"](cells)[0]
    return found


def user(**attributes: Any) -> dict[str, Any]:
    return {"schemas": SCHEMAS, "externalId": "7"} | attributes


def messages(result: object) -> list[str]:
    assert isinstance(result, Rejected)
    return [str(fault) for fault in result.faults]


def quickstart() -> tuple[BoundMapping, list[list[str]]]:
    loaded = load_feed((SAMPLES / "quickstart.yaml").read_bytes(), name="quickstart.yaml")
    header, *rows = csv.reader(io.StringIO((SAMPLES / "quickstart.csv").read_text("utf-8"), newline=""))
    return loaded.mapping.bind(header, now=NOW), rows


BARBARA = {
    "schemas": SCHEMAS,
    "externalId": "701984",
    "userName": "bjensen@example.com",
    "name": {
        "formatted": "Ms. Barbara J Jensen, III",
        "familyName": "Jensen",
        "givenName": "Barbara",
        "middleName": "Jane",
        "honorificPrefix": "Ms.",
        "honorificSuffix": "III",
    },
    "displayName": "Babs Jensen",
    "nickName": "Babs",
    "emails": [{"value": "bjensen@example.com", "type": "work", "primary": True}],
    "addresses": [
        {
            "type": "work",
            "streetAddress": "100 Universal City Plaza",
            "locality": "Hollywood",
            "region": "CA",
            "postalCode": "91608",
            "country": "USA",
            "formatted": "100 Universal City Plaza\nHollywood, CA 91608 USA",
            "primary": True,
        }
    ],
    "phoneNumbers": [{"value": "555-555-5555", "type": "work"}],
    "userType": "Employee",
    "title": "Tour Guide",
    "preferredLanguage": "en-US",
    "locale": "en-US",
    "timezone": "America/Los_Angeles",
    "active": True,
    ENTERPRISE: {
        "employeeNumber": "701984",
        "costCenter": "4130",
        "organization": "Universal Studios",
        "division": "Theme Park",
        "department": "Tour Operations",
        "manager": {"value": "89607", "displayName": "John Smith"},
    },
}
KATHY = BARBARA | {
    "externalId": "701985",
    "userName": "Kjensen@example.com",
    "name": {**BARBARA["name"], "formatted": "Ms. Kathy J Jensen, III", "givenName": "Kathy"},  # type: ignore[dict-item]  # BARBARA's values are of many types
    "displayName": "Kathy Jensen",
    "nickName": "Kathy",
    "emails": [{"value": "kjensen@example.com", "type": "work", "primary": True}],
    "addresses": [
        {
            "type": "work",
            "streetAddress": "100 Oracle City Plaza",
            "locality": "Hollywood",
            "region": "CA",
            "postalCode": "91618",
            "country": "USA",
            "formatted": "100 Oracle City Plaza\nHollywood, CA 91618 USA",
            "primary": True,
        }
    ],
    "phoneNumbers": [{"value": "555-555-5545", "type": "work"}],
    "title": "Tour Lead",
    ENTERPRISE: {
        "employeeNumber": "701985",
        "costCenter": "4130",
        "organization": "Universal Studios",
        "division": "Theme Park",
        "department": "Tour Operations",
        "manager": {"value": "701984", "displayName": "Barbara Jensen"},
    },
}


def test_the_two_people_of_microsofts_quickstart_come_out_as_its_json() -> None:
    bound, rows = quickstart()
    assert [bound.map(row) for row in rows] == [BARBARA, KATHY]
    assert [bound.external_id(row) for row in rows] == ["701984", "701985"]


def test_an_independent_scim_implementation_accepts_them() -> None:
    bound, rows = quickstart()
    for row in rows:
        User[EnterpriseUser].model_validate(bound.map(row))


def test_schemas_external_id_and_user_name_come_first_and_the_rest_as_in_the_feed() -> None:
    bound = bind(
        f"""
        {CONTOSO}:Grade: "[B]"
        title: "[A]"
        name.familyName: "[B]"
        userName: "[A]"
        {ENTERPRISE}:department: "[B]"
        name.givenName: "[A]"
        """,
        "A",
        "B",
    )
    expected = {
        "schemas": [CORE, ENTERPRISE, CONTOSO],
        "externalId": "7",
        "userName": "a",
        CONTOSO: {"Grade": "b"},
        "title": "a",
        "name": {"familyName": "b", "givenName": "a"},
        ENTERPRISE: {"department": "b"},
    }
    assert json.dumps(mapped(bound, ["7", "a", "b"])) == json.dumps(expected)


def test_an_empty_value_is_left_out_with_everything_that_only_framed_it() -> None:
    bound = bind(
        f"""
        title: "[A]"
        name.givenName: "[A]"
        emails[type eq "work"].value: "[A]"
        emails[type eq "work"].primary: true
        addresses[type eq "work"].locality: "[A]"
        addresses[type eq "work"].region: "[B]"
        addresses[type eq "work"].primary: "[C]"
        phoneNumbers[type eq "work"].value: "[A]"
        phoneNumbers[type eq "mobile"].value: "[B]"
        {ENTERPRISE}:manager.value: "[A]"
        """,
        "A",
        "B",
        "C",
    )
    assert mapped(bound, ["7", "", "", "true"]) == user()
    assert mapped(bound, ["7", "", "b", "true"]) == user(
        addresses=[{"type": "work", "region": "b", "primary": True}], phoneNumbers=[{"type": "mobile", "value": "b"}]
    )
    assert mapped(bound, ["7", " a ", "b", ""]) == user(
        title=" a ",
        name={"givenName": " a "},
        emails=[{"type": "work", "primary": True, "value": " a "}],
        addresses=[{"type": "work", "locality": " a ", "region": "b"}],
        phoneNumbers=[{"type": "work", "value": " a "}, {"type": "mobile", "value": "b"}],
        **{ENTERPRISE: {"manager": {"value": " a "}}},
    )


def test_only_constants_alone_make_an_element_for_everybody() -> None:
    bound = bind(
        """
        emails[type eq "work"].value: "[A]"
        emails[type eq "work"].display: Work
        roles[type eq "x"].value: Employee
        roles[type eq "x"].primary: true
        """,
        "A",
    )
    roles = [{"type": "x", "value": "Employee", "primary": True}]
    assert mapped(bound, ["7", ""]) == user(roles=roles)
    emails = [{"type": "work", "display": "Work", "value": "a"}]
    assert mapped(bound, ["7", "a"]) == user(emails=emails, roles=roles)


def test_names_of_the_core_schema_mean_nothing_special_in_an_extension() -> None:
    bound = bind(f'{CONTOSO}:active: "[A]"\n{CONTOSO}:userName: "[B]"\ntitle: "[B]"', "A", "B")
    expected = {"schemas": [*SCHEMAS, CONTOSO], "externalId": "7", CONTOSO: {"userName": "b c"}, "title": "b c"}
    assert json.dumps(mapped(bound, ["7", "", "b c"])) == json.dumps(expected)


def test_an_element_of_constants_alone_is_for_everybody() -> None:
    bound = bind('roles[primary eq true].value: Employee\nroles[primary eq true].display: "Employee of X"')
    assert mapped(bound, ["7"]) == user(roles=[{"primary": True, "value": "Employee", "display": "Employee of X"}])


def test_constants_are_typed_and_keep_their_digits() -> None:
    extension = f"extensions: {{'{CONTOSO}': {{Level: Integer, Tags: {{multi: true}}, On: Boolean}}}}"
    bound = bind(
        f"title: 0042\nactive: 'TRUE'\n{CONTOSO}:Level: 3\n{CONTOSO}:Tags: hr\n{CONTOSO}:On: false\nuserType: 7",
        more=extension,
    )
    first, second = bound.map(["7"]), bound.map(["7"])
    assert (
        first
        == mapped(bound, ["7"])
        == {
            "schemas": [*SCHEMAS, CONTOSO],
            "externalId": "7",
            "title": "0042",
            "active": True,
            CONTOSO: {"Level": 3, "Tags": ["hr"], "On": False},
            "userType": "7",
        }
    )
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    # Nothing of one person is shared with the next.
    assert first[CONTOSO]["Tags"] is not second[CONTOSO]["Tags"]
    assert first["schemas"] is not second["schemas"]


def test_null_is_sent_where_the_feed_says_so_and_never_in_lists() -> None:
    mapping = f"""
        title: "[A]"
        nickName: "[A]"
        name.middleName: "[A]"
        displayName: IgnoreFlowIfNullOrEmpty([A])
        emails[type eq "work"].value: "[A]"
        {ENTERPRISE}:department: "[A]"
        {CONTOSO}:Tags: "[A]"
        """
    extension = f"extensions: {{'{CONTOSO}': {{Tags: {{multi: true}}}}}}"
    null = {"title": None, "name": {"middleName": None}, ENTERPRISE: {"department": None}}
    bound = bind(mapping, "A", more=f"empty: {{default: null, nickName: omit}}\n{extension}")
    assert mapped(bound, ["7", ""]) == {"schemas": [*SCHEMAS, CONTOSO], "externalId": "7"} | null
    bound = bind(mapping, "A", more=f"empty: {{title: null}}\n{extension}")
    assert mapped(bound, ["7", ""]) == {"schemas": [*SCHEMAS, CONTOSO], "externalId": "7", "title": None}


def test_a_default_stands_in_for_nothing_but_not_for_what_is_to_be_left_out() -> None:
    bound = bind(
        """
        active: "[A]"
        title: "[A]"
        nickName: IgnoreFlowIfNullOrEmpty([A])
        emails[type eq "work"].value: "[A]"
        """,
        "A",
        more="defaults: {active: false, title: none, nickName: none, 'emails[type eq \"work\"].value': hr@example.com}",
    )
    assert mapped(bound, ["7", ""]) == user(
        active=False, title="none", emails=[{"type": "work", "value": "hr@example.com"}]
    )


def test_a_default_of_a_list_is_everybodys_own_and_gives_way_to_ignore() -> None:
    bound = bind(
        f'{CONTOSO}:Tags: Split([A], ",")\n{CONTOSO}:Kinds: IgnoreFlowIfNullOrEmpty([A])',
        "A",
        more=f"extensions: {{'{CONTOSO}': {{Tags: {{multi: true}}, Kinds: {{multi: true}}}}}}\n"
        f"defaults: {{'{CONTOSO}:Tags': none, '{CONTOSO}:Kinds': none}}",
    )
    expected = {"schemas": [*SCHEMAS, CONTOSO], "externalId": "7", CONTOSO: {"Tags": ["none"]}}
    for empty in ("", None):
        first, second = mapped(bound, ["7", empty]), mapped(bound, ["7", empty])
        assert first == second == expected
        assert isinstance(first, dict)
        assert isinstance(second, dict)
        assert first[CONTOSO]["Tags"] is not second[CONTOSO]["Tags"]
    assert mapped(bound, ["7", "a"])[CONTOSO] == {"Tags": ["a"], "Kinds": ["a"]}


def test_one_text_of_a_multi_valued_attribute_is_a_list_of_one() -> None:
    bound = bind(f'{CONTOSO}:Tags: "[A]"', "A", more=f"extensions: {{'{CONTOSO}': {{Tags: {{multi: true}}}}}}")
    expected = {"schemas": [*SCHEMAS, CONTOSO], "externalId": "7", CONTOSO: {"Tags": ["a"]}}
    assert [mapped(bound, ["7", "a"]), mapped(bound, ["7", ["a"]])] == [expected, expected]


@pytest.mark.parametrize(("word", "value"), [("True", True), ("true", True), ("tRuE", True), ("FALSE", False)])
def test_true_and_false_in_any_case_are_booleans(word: str, *, value: bool) -> None:
    assert bind('active: "[Status]"', "Status").map(["7", word]) == user(active=value)


@pytest.mark.parametrize("word", ["Inactive", "0", "1", "yes", " True"])
def test_an_unknown_status_rejects_the_row(word: str) -> None:
    result = bind('active: "[Status]"', "Status").map(["7", word])
    assert messages(result) == [
        '\'Status\' has a value that the feed\'s active rule does not know (map every word to "True" or "False",'
        " for example with Switch, or correct it in the HR system)"
    ]


def test_an_empty_status_rejects_the_row_unless_it_is_ignored() -> None:
    assert messages(bind('active: "[Status]"', "Status", more="empty: null").map(["7", ""])) == [
        "'Status' is empty, and the feed's active rule needs one"
        " (fill it in the HR system, or say under defaults what an empty one means)"
    ]
    assert bind("active: IgnoreFlowIfNullOrEmpty([Status])", "Status").map(["7", ""]) == user()


def test_all_faults_of_a_row_are_told_at_once_without_a_value() -> None:
    bound = bind(
        f"""
        userName: Join("@", [User], "x.org")
        active: "[Status]"
        title: "[Title]"
        {CONTOSO}:Hired: FormatDateTime([Hired], , "yyyy-MM-dd", "yyyy-MM-ddTHH:mm:ssZ")
        {CONTOSO}:Grade: "[Grade]"
        nickName: Split([Nick], ",")
        """,
        "User", "Status", "Title", "Hired", "Grade", "Nick",
        more=f"extensions: {{'{CONTOSO}': {{Hired: DateTime, Grade: Integer}}}}",
    )  # fmt: skip
    result = mapped(bound, [" 7", "q w", "secret", "sec\x00ret", "1 Jan", "secret", "a,b"])
    assert isinstance(result, Rejected)
    assert [fault.column for fault in result.faults] == ["Id", "User", "Status", "Title", "Hired", "Grade", "Nick"]
    assert list(result.attributes) == [
        "externalId", "userName", "active", "title", f"{CONTOSO}:Hired", f"{CONTOSO}:Grade", "nickName",
    ]  # fmt: skip
    text = [fault.message for fault in result.faults]
    assert text[:4] == [
        "'Id', which becomes externalId, has white space around it",
        "'User', which becomes userName, has white space in it",
        "'Status' has a value that the feed's active rule does not know",
        "'Title', which becomes title, has a control character in it",
    ]
    assert text[4].startswith("'Hired', which becomes Hired, cannot be worked out: FormatDateTime: 'source' ([Hired]) ")
    assert text[5:] == [
        "'Grade', which becomes Grade, is not of the type Integer",
        "'Nick', which becomes nickName, has several values, and one is needed",
    ]
    assert not any(word in str(result) for word in ("secret", "q w", "1 Jan"))


@pytest.mark.parametrize(
    ("cell", "message"),
    [("", "'Id' is empty: the row has no externalId"),
     (None, "'Id' is empty: the row has no externalId"),
     ("7 ", "'Id', which becomes externalId, has white space around it"),
     ("7\n8", "'Id', which becomes externalId, has a control character in it"),
     ("7\ud800", "'Id', which becomes externalId, has half a character in it"),
     (["7", "8"], "'Id', which becomes externalId, has several values, and one is needed"),
     ("x" * 1025, "'Id', which becomes externalId, is longer than 1,024 characters")],
)  # fmt: skip
def test_a_row_without_a_usable_external_id_is_rejected(cell: Any, message: str) -> None:
    result = bind('title: "[A]"', "A").map([cell, "a"])
    assert isinstance(result, Rejected)
    assert [fault.message for fault in result.faults] == [message]


@pytest.mark.parametrize(
    ("mapping", "cells", "message"),
    [
        (
            'active: Switch(Append([A], [B]), , "x", "True")',
            ["7", "y", "", ""],
            "'A' and 'B' have a value that the feed's active rule does not know"
            ' (map every word to "True" or "False", for example with Switch, or correct it in the HR system)',
        ),
        (
            "active: Coalesce([A], [B], [C])",
            ["7", "", "", ""],
            "'A', 'B' and 'C' are empty, and the feed's active rule needs one"
            " (fill it in the HR system, or say under defaults what an empty one means)",
        ),
        (
            "active: Now()",
            ["7", "", "", ""],
            'the row has a value that the feed\'s active rule does not know (map every word to "True" or "False",'
            " for example with Switch, or correct it in the HR system)",
        ),
        (
            "active: Left(Now(), 0)",
            ["7", "", "", ""],
            "there is no value, and the feed's active rule needs one"
            " (fill it in the HR system, or say under defaults what an empty one means)",
        ),
        (
            'title: Join(" ", [A], [B], [C])',
            ["7", "y", "\x07", "z"],
            "title, made of 'A', 'B' and 'C', has a control character in it"
            " (remove it in the HR system, or with Replace)",
        ),
        (
            'title: Split(Now(), " ")',
            ["7", "", "", ""],
            "title has several values, and one is needed (take one with Item, or put them together with Join)",
        ),
        (
            f"{CONTOSO}:Level: Append([A], [B])",
            ["7", "y", "", ""],
            "Level, made of 'A' and 'B', is not of the type Integer (only digits, with - in front where negative)",
        ),
        (
            f"{CONTOSO}:Tags: Split([A], [B])",
            ["7", "y,\x07", ",", ""],
            "Tags, made of 'A' and 'B', has a control character in it (remove it in the HR system, or with Replace)",
        ),
        (
            f"{CONTOSO}:Tags: RemoveDuplicates([A])",
            ["7", [["what no reader gives"]], "", ""],
            "'A', which becomes Tags, cannot be worked out (TypeError)",
        ),
    ],
)
def test_a_value_that_cannot_be_sent_is_named_by_the_columns_it_is_made_of(
    mapping: str, cells: list[Any], message: str
) -> None:
    declared = f"extensions: {{'{CONTOSO}': {{Level: Integer, Tags: {{multi: true}}}}}}"
    result = bind(mapping, "A", "B", "C", more=declared).map(cells)
    assert messages(result) == [message]
    assert isinstance(result, Rejected)
    path = mapping.rpartition(": ")[0]
    columns = [column for column in "ABC" if f"[{column}]" in mapping]
    assert ([fault.column for fault in result.faults], result.attributes) == ([", ".join(columns) or path], (path,))


def test_a_fault_within_an_expression_is_its_columns_alone() -> None:
    result = bind("title: Append([B], CDate([A]))", "A", "B").map(["7", "never", "x"])
    assert isinstance(result, Rejected)
    assert [fault.column for fault in result.faults] == ["A"]


@pytest.mark.parametrize("empty", ["", None, []])
def test_an_external_id_of_several_columns_or_of_none_has_to_be_there_all_the_same(empty: Any) -> None:
    for expression, names in (
        ("Coalesce([A], [B])", "'A' and 'B' are empty"),
        ("IgnoreFlowIfNullOrEmpty([A])", "'A' is empty"),
    ):
        text = f"endpoint: {ENDPOINT}\nmapping: {{externalId: '{expression}'}}\n"
        bound = load_feed(text.encode(), name="f.yaml").mapping.bind(["A", "B"], now=NOW)
        assert messages(mapped(bound, [empty, empty])) == [
            f"{names}: the row has no externalId"
            " (every person needs an identifier of their own: fill it in the HR system)"
        ]


def test_an_external_id_that_the_mapping_does_not_give_is_not_said_to_be_empty() -> None:
    text = f'endpoint: {ENDPOINT}\nmapping: {{externalId: \'Switch([A], , "x", "y")\'}}\n'
    bound = load_feed(text.encode(), name="f.yaml").mapping.bind(["A"], now=NOW)
    assert messages(bound.map(["z"])) == [
        "the row has no externalId (every person needs an identifier of their own: fill it in the HR system)"
    ]


def test_the_external_id_is_exactly_what_the_mapping_gives() -> None:
    text = f"endpoint: {ENDPOINT}\nmapping: {{externalId: 'Append(\"E\", [Id])'}}\n"
    bound = load_feed(text.encode(), name="f.yaml").mapping.bind(["X", "Id"], now=NOW)
    assert bound.external_id(["x", "007"]) == "E007"
    assert mapped(bound, ["x", "007"]) == user(externalId="E007")
    assert bind('title: "[A]"', "A").external_id([None, "a"]) == ""


def test_several_values_go_to_a_multi_valued_attribute_only() -> None:
    mapping = f'{CONTOSO}:Tags: Split([Tags], ",")\n{CONTOSO}:Levels: "[Levels]"'
    declared = f"extensions: {{'{CONTOSO}': {{Tags: {{multi: true}}, Levels: {{type: Integer, multi: true}}}}}}"
    bound = bind(mapping, "Tags", "Levels", more=declared)
    expected = {"schemas": [*SCHEMAS, CONTOSO], "externalId": "7"}
    assert mapped(bound, ["7", "a,b", "1"]) == expected | {CONTOSO: {"Tags": ["a", "b"], "Levels": [1]}}
    assert mapped(bound, ["7", "", ["1", "", "2"]]) == expected | {CONTOSO: {"Levels": [1, 2]}}
    assert mapped(bound, ["7", "", None]) == expected
    assert messages(mapped(bound, ["7", "", ["1", "x"]])) == [
        "'Levels', which becomes Levels, is not of the type Integer (only digits, with - in front where negative)"
    ]


def test_rows_that_where_leaves_out_are_filtered_and_never_judged() -> None:
    bound = bind('active: "[Status]"', "Status", "Site", more="where: '[Site] = \"HQ\"'")
    assert mapped(bound, ["", "junk", "Lab"]) is FILTERED
    assert mapped(bound, ["7", "True", "HQ"]) == user(active=True)


@pytest.mark.parametrize(
    ("where", "cell", "reason"),
    [
        ("[A]", "maybe", "the condition: 'expression' ([A]) is neither True nor False nor a number"),
        (
            "IgnoreFlowIfNullOrEmpty([A])",
            "",
            "the condition: 'expression' ([A]) is empty; True, False or a number is needed",
        ),
        ("IsPresent(RemoveDuplicates([A]))", [["what no reader gives"]], "TypeError"),
    ],
)
def test_a_row_that_where_cannot_judge_is_rejected(where: str, cell: Any, reason: str) -> None:
    bound = bind('active: "[B]"', "A", "B", more=f"where: '{where}'")
    fault = Fault(
        message=f"the feed's where cannot be worked out: {reason}",
        advice="make where give True or False for every row",
        column="A",
    )
    assert mapped(bound, ["7", cell, "neither"]) == Rejected(faults=(fault,), attributes=("where",))


def test_where_is_a_condition_as_in_iif() -> None:
    bound = bind("", "A", more="where: '[A]'")
    found = [mapped(bound, ["7", word]) for word in ("True", " false", "1", "0")]
    assert found == [user(), FILTERED, user(), FILTERED]


def missing(mapping: str, *columns: str) -> list[Fault]:
    with pytest.raises(DropUnusable) as caught:
        bind(mapping, *columns)
    assert caught.value.name == "feeds/f.yaml"
    return list(caught.value.faults)


def test_a_missing_column_is_named_with_the_nearest() -> None:
    def fault(column: str, advice: str) -> Fault:
        message = f"there is no column {column!r}, which the mapping names"
        return Fault(message=message, advice=advice, column=column)

    assert missing('title: "[WorkerID]"', "workerid") == [fault("WorkerID", "the nearest are 'workerid'")]
    assert missing('title: "[Mail]"', "mails", "MAIL", "mail", "e-mail", "post") == [
        fault("Mail", "the nearest are 'mails', 'MAIL', 'mail'")
    ]
    assert missing('title: "[Telephone]"', "Tel", "Ort") == [fault("Telephone", "the file has 'Id', 'Tel', 'Ort'")]
    columns = [f"C{number}" for number in range(30)]
    shown = ", ".join(f"'C{number}'" for number in range(19))
    assert missing('title: "[Telephone]"', *columns[:19]) == [fault("Telephone", f"the file has 'Id', {shown}")]
    more = [fault("Telephone", f"the file has 'Id', {shown}, …")]
    assert missing('title: "[Telephone]"', *columns[:20]) == more
    assert missing('title: "[Telephone]"', *columns) == [fault("Telephone", f"the file has 'Id', {shown}, …")]
    loaded = load_feed(f"endpoint: {ENDPOINT}\nmapping: {{externalId: '[Id]'}}\n".encode(), name="feeds/f.yaml")
    with pytest.raises(DropUnusable) as caught:
        loaded.mapping.bind([], now=NOW)
    assert caught.value.faults == (fault("Id", "the file has no columns"),)


def test_a_column_that_is_there_twice_is_not_guessed() -> None:
    assert missing('title: "[A]"\nnickName: "[B]"', "A", "B", "A", "A", "B", "Id") == [
        Fault(message=f"there are {times} columns {column!r}", advice="give each a name of its own", column=column)
        for column, times in (("Id", 2), ("A", 3), ("B", 2))
    ]


def test_the_external_id_reaches_as_far_as_its_last_column() -> None:
    text = f"endpoint: {ENDPOINT}\nmapping: {{externalId: 'Append([B], [D])', title: '[E]'}}\n"
    bound = load_feed(text.encode(), name="f.yaml").mapping.bind(["A", "B", "C", "D", "E"], now=NOW)
    assert bound.reach == 4
    assert bound.external_id(["", "x", "", "y"]) == "xy"
    assert bind('title: "[A]"', "A").reach == 1


def test_columns_may_stand_anywhere_and_be_thousands() -> None:
    text = f'endpoint: {ENDPOINT}\nmapping: {{externalId: "[C1999]", title: "[C5]"}}\n'
    columns = [f"C{n}" for n in range(2000)]
    bound = load_feed(text.encode(), name="f.yaml").mapping.bind(columns, now=NOW)
    assert mapped(bound, [str(n) for n in range(2000)]) == user(externalId="1999", title="5")
    # A control character in a column that nobody maps is nobody's trouble.
    assert mapped(bound, ["\x00", *(str(n) for n in range(1, 2000))]) == user(externalId="1999", title="5")


@pytest.mark.parametrize("cells", [["7"], ["7", "a", "b"], []])
def test_a_row_of_another_width_is_rejected(cells: list[str]) -> None:
    fault = Fault(message=f"the row has {len(cells)} fields, and the header 2", advice="export it again")
    assert bind('title: "[A]"', "A").map(cells) == Rejected(faults=(fault,), attributes=("",))


def test_nothing_among_several_values_is_nothing() -> None:
    bound = bind('title: Split([A], ",")', "A")
    assert mapped(bound, ["7", ""]) == user()
    assert mapped(bind('title: Split([A], ",")', "A", more="empty: null"), ["7", ""]) == user(title=None)


def test_now_is_the_landing_time() -> None:
    assert bind('title: FormatDateTime(Now(), , "M/d/yyyy h:mm:ss tt", "yyyy-MM-dd")').map(["7"]) == user(
        title="2026-11-24"
    )


@pytest.mark.parametrize("mapping", ['userName: "[User]"', 'userName: Append([User], "")'])
@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("a b", "has white space in it (use StripSpaces or Replace, or correct it in the HR system)"),
        ("a\tb", "has white space in it (use StripSpaces or Replace, or correct it in the HR system)"),
        ("a\x7f", "has a control character in it (remove it in the HR system, or with Replace)"),
        ("a\u2009b", "has white space in it (use StripSpaces or Replace, or correct it in the HR system)"),
    ],
)
def test_a_user_name_with_white_space_rejects_the_row(mapping: str, cell: str, reason: str) -> None:
    assert messages(bind(mapping, "User").map(["7", cell])) == [f"'User', which becomes userName, {reason}"]


@pytest.mark.parametrize("more", ["", "empty: {title: null}", "defaults: {title: none}"])
@pytest.mark.parametrize("mapping", ['title: "[A]"', "title: RemoveDuplicates([A])"])
def test_several_values_where_one_is_needed_reject_the_row(mapping: str, more: str) -> None:
    assert messages(bind(mapping, "A", more=more).map(["7", ["a", "b"]])) == [
        "'A', which becomes title, has several values, and one is needed"
        " (take one with Item, or put them together with Join)"
    ]


def test_where_judges_a_list_as_it_judges_all_else() -> None:
    text = f"endpoint: {ENDPOINT}\nmapping: {{externalId: '[Id]'}}\nwhere: '[Id] = \"7\"'\n"
    bound = load_feed(text.encode(), name="f.yaml").mapping.bind(["X", "Y", "Z", "Id"], now=NOW)
    assert [mapped(bound, ["", "", "", cell]) for cell in ("7", "8")] == [user(), FILTERED]
    result = mapped(bound, ["", "", "", ["7", "8"]])
    assert isinstance(result, Rejected)
    assert result.attributes == ("where",)


ORDERLY = f"""
    userName: Join("@", ToLower([A]), "x.org")
    active: "[B]"
    title: "[C]"
    displayName: "[A]"
    nickName: IgnoreFlowIfNullOrEmpty([C])
    name.givenName: "[A]"
    name.familyName: Append([C], "")
    profileUrl: FormatDateTime(Now(), , "M/d/yyyy h:mm:ss tt", "yyyy-MM-dd")
    userType: Lookup([A], , "kinds")
    locale: Coalesce([L], "en-US")
    emails[type eq "work"].value: "[M]"
    emails[type eq "work"].primary: "[B]"
    emails[type eq "home"].value: Append([M], "")
    addresses[type eq "work"].locality: "[A]"
    addresses[type eq "work"].country: "[D]"
    addresses[type eq "work"].primary: true
    phoneNumbers[type eq "work"].value: "[C]"
    roles[primary eq true].value: Employee
    {CONTOSO}:Level: "[N]"
    {CONTOSO}:Since: "[S]"
    {CONTOSO}:Tags: Split([T], ",")
    {CONTOSO}:Kinds: "[K]"
    {CONTOSO}:Flag: "[F]"
    {CONTOSO}:Source: hr
    {ENTERPRISE}:department: "[C]"
    {ENTERPRISE}:manager.value: "[G]"
"""
ORDERLY_MORE = (
    f"extensions: {{'{CONTOSO}': {{Level: Integer, Since: DateTime, Flag: Boolean, Tags: {{multi: true}},"
    f" Kinds: {{multi: true}}}}}}\nempty: {{title: null}}\ndefaults: {{'{CONTOSO}:Flag': false}}\n"
    "lookup: {kinds: {Ann: Employee}}\nwhere: '[A] <> \"nobody\"'"
)
ORDERLY_COLUMNS = "ABCLMDNSTKFG"


def orderly_rows() -> list[list[Any]]:
    texts = ["Ann", "True", "Zoë", "de-DE", "ann@x.org", "DE", "12", "2026-01-31T00:00:00Z", "a,b", "c", "TRUE", "8"]
    full: dict[str, Any] = dict(zip(ORDERLY_COLUMNS, texts, strict=True))
    bare = dict.fromkeys(ORDERLY_COLUMNS, "") | {"A": "Bob", "B": "false"}
    null = {column: cell or None for column, cell in bare.items()}
    strange = full | {"C": "two\nlines\u00a0and\tmore", "N": "-1"}
    return [
        ["7", *row.values()]
        for row in (full, bare, null, strange, full | {"K": ["a", "", "b"]}, full | {"C": None}, full | {"A": "nobody"})
    ]


@pytest.mark.parametrize("more_columns", [0, 20, 250, 300])
def test_a_row_in_order_is_never_looked_at_twice(more_columns: int) -> None:
    bound = bind(ORDERLY, *ORDERLY_COLUMNS, *(f"X{n}" for n in range(more_columns)), more=ORDERLY_MORE)
    space = bound.map.__globals__
    careful = space["careful"]

    def twice(_: object) -> None:
        raise AssertionError("looked at twice")

    space.update(careful=twice, warnings=twice)
    for row in orderly_rows():
        cells = [*row, *(["x"] * more_columns)]
        assert bound.map_with_warnings(cells) == careful(cells)
        assert bound.map(cells) == careful(cells)[0]


def test_a_row_of_which_one_cell_is_read_is_not_looked_at_twice_either() -> None:
    bound = bind("", "A", "B", "C")
    bound.map.__globals__["careful"] = None
    assert [bound.map([cell, "a", None, ["c"]]) for cell in ("7", "8")] == [user(), user(externalId="8")]


def test_orderly_rows_come_out_whole() -> None:
    bound = bind(ORDERLY, *ORDERLY_COLUMNS, more=ORDERLY_MORE)
    full, bare, *_, filtered = [bound.map(row) for row in orderly_rows()]
    assert full == {
        "schemas": [*SCHEMAS, CONTOSO],
        "externalId": "7",
        "userName": "ann@x.org",
        "active": True,
        "title": "Zoë",
        "displayName": "Ann",
        "nickName": "Zoë",
        "name": {"givenName": "Ann", "familyName": "Zoë"},
        "profileUrl": "2026-11-24",
        "userType": "Employee",
        "locale": "de-DE",
        "emails": [{"type": "work", "value": "ann@x.org", "primary": True}, {"type": "home", "value": "ann@x.org"}],
        "addresses": [{"type": "work", "primary": True, "locality": "Ann", "country": "DE"}],
        "phoneNumbers": [{"type": "work", "value": "Zoë"}],
        "roles": [{"primary": True, "value": "Employee"}],
        CONTOSO: {
            "Level": 12,
            "Since": "2026-01-31T00:00:00Z",
            "Tags": ["a", "b"],
            "Kinds": ["c"],
            "Flag": True,
            "Source": "hr",
        },
        ENTERPRISE: {"department": "Zoë", "manager": {"value": "8"}},
    }
    assert bare == {
        "schemas": [*SCHEMAS, CONTOSO],
        "externalId": "7",
        "userName": "bob@x.org",
        "active": False,
        "title": None,
        "displayName": "Bob",
        "name": {"givenName": "Bob"},
        "profileUrl": "2026-11-24",
        "locale": "en-US",
        "addresses": [{"type": "work", "primary": True, "locality": "Bob"}],
        "roles": [{"primary": True, "value": "Employee"}],
        CONTOSO: {"Flag": False, "Source": "hr"},
    }
    assert filtered is FILTERED


def test_what_no_column_says_is_never_odd() -> None:
    bound = bind('title: "[A]"\nlocale: Now()\naddresses[type eq "work"].country: Germany', "A")
    found, warnings = bound.map_with_warnings(["7", "n\ufffd"])
    assert isinstance(found, dict)
    assert (found["locale"], found["addresses"][0]["country"]) == ("11/24/2026 9:30:00 AM", "Germany")
    assert [fault.column for fault in warnings] == ["A"]


def test_what_takes_a_second_look_is_warned_of_all_the_same() -> None:
    bound = bind('active: "[Status]"\ntitle: Join("", [A], [B])', "Status", "A", "B")
    odd = Fault(
        message="title, made of 'A' and 'B', has characters that look misread",
        advice="declare the file's encoding in the feed file",
        column="A, B",
    )
    found = [bound.map_with_warnings(["7", status, "n\ufffd", ""]) for status in ("True", "tRUE")]
    assert found == [(user(active=True, title="n\ufffd"), (odd,))] * 2


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ('title: Append([A], "\ufffd")', "title, has characters that look misread"),
        ('locale: Replace([A], "x", , , "_")', "locale, is not a language tag (BCP 47)"),
        ('emails[type eq "work"].value: "[A]"', 'emails[type eq "work"].value, does not look like a mail address'),
        (
            'addresses[type eq "work"].country: "[A]"',
            'addresses[type eq "work"].country, is not a country code (ISO 3166-1 alpha-2)',
        ),
        (
            'displayName: Join("", [A], "' + "y" * 256 + '")',
            "displayName, is longer than the 256 characters of Entra's attribute",
        ),
        (f'{ENTERPRISE}:manager.value: "[Id]"', None),
    ],
)
def test_one_thing_that_is_odd_is_enough(mapping: str, said: str | None) -> None:
    bound = bind(mapping, "A")
    found, warnings = bound.map_with_warnings(["7", "x"])
    assert isinstance(found, dict)
    assert warnings == bound.warnings(found)
    assert [fault.message for fault in warnings] == [
        f"'A', which becomes {said}"
        if said
        else "'Id', which becomes manager.value, names the person as their own manager"
    ]


def test_what_entra_would_take_is_a_warning_and_not_a_fault() -> None:
    bound = bind(
        f"""
        emails[type eq "work"].value: "[Mail]"
        locale: "[Locale]"
        addresses[type eq "work"].country: "[Country]"
        {ENTERPRISE}:manager.value: "[Manager]"
        """,
        "Mail", "Locale", "Country", "Manager",
    )  # fmt: skip
    good = mapped(bound, ["7", "a@x.org", "en-US", "DE", "8"])
    odd = mapped(bound, ["7", "n/a", "en_US", "USA", "7"])
    assert isinstance(good, dict)
    assert isinstance(odd, dict)
    assert bound.warnings(good) == ()
    assert bound.map_with_warnings(["7", "n/a", "en_US", "USA", "7"]) == (odd, bound.warnings(odd))
    assert [(fault.column, fault.message) for fault in bound.warnings(odd)] == [
        ("Mail", "'Mail', which becomes emails[type eq \"work\"].value, does not look like a mail address"),
        ("Locale", "'Locale', which becomes locale, is not a language tag (BCP 47)"),
        ("Country", "'Country', which becomes addresses[type eq \"work\"].country, is not a country code"
         " (ISO 3166-1 alpha-2)"),
        ("Manager", "'Manager', which becomes manager.value, names the person as their own manager"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("cells", "odd"),
    [
        (["7", "a", "b", "8"], []),
        (["7", "a\ufffd", "b", "8"], ["Title"]),
        (["7", "a", "b\ufffd", "8"], ["Nick"]),
        (["7", "a\u00a0", "b\ufffd", "8"], ["Nick"]),
        (["7", "a\x85", "b", "8"], ["Title"]),
        (["7" * 17, "a", "b", "8"], ["Id"]),
        (["7\ufffd", "a", "b", "8"], ["Id"]),
        ([None, "a", "b", "8"], []),
        (["7", "a\nb", "b", "8"], []),
        (["7", "t" * 128, "b", "8"], []),
        (["7", "t" * 129, "b", "8"], ["Title"]),
        (["7", ["t" * 129], None, "8"], []),
        (["7", "t" * 129, None, "8"], ["Title"]),
        (["7", "a", "b", "7"], ["Manager"]),
        (["7", "a", "b", None], []),
    ],
)
def test_what_is_odd_in_a_row_is_said_of_its_column(cells: list[Any], odd: list[str]) -> None:
    bound = bind(
        f'title: "[Title]"\nnickName: Append([Nick], "")\n{ENTERPRISE}:manager.value: "[Manager]"',
        "Title", "Nick", "Manager",
    )  # fmt: skip
    found, warnings = bound.map_with_warnings(cells)
    if isinstance(found, dict):
        assert warnings == bound.warnings(found)
    assert [fault.column for fault in warnings] == odd


def test_a_default_that_is_odd_is_said_where_it_is_sent() -> None:
    bound = bind(
        'addresses[type eq "work"].country: "[A]"', "A", more="defaults: {'addresses[type eq \"work\"].country': USA}"
    )
    odd = "'A', which becomes addresses[type eq \"work\"].country, is not a country code (ISO 3166-1 alpha-2)"
    found = [bound.map_with_warnings(["7", cell]) for cell in ("", "DE")]
    assert found == [
        (user(addresses=[{"type": "work", "country": "USA"}]), bound.warnings(found[0][0])),  # type: ignore[arg-type]  # a user
        (user(addresses=[{"type": "work", "country": "DE"}]), ()),
    ]
    assert [fault.message for fault in found[0][1]] == [odd]


@pytest.mark.parametrize("width", [2, 256, 257, 300])
def test_the_longest_value_that_can_be_sent_is(width: int) -> None:
    columns = [f"C{number}" for number in range(2, width)]
    bound = bind('title: "[A]"', "A", *columns)
    rest = [""] * len(columns)
    assert mapped(bound, ["7", "x" * VALUE_MAX, *rest]) == user(title="x" * VALUE_MAX)
    result = mapped(bound, ["7", "x" * (VALUE_MAX + 1), *rest])
    assert messages(result) == [
        "'A', which becomes title, is longer than 65,536 characters (shorten it, for example with Left)"
    ]
    assert mapped(bound, ["7", ["x" * (VALUE_MAX + 1)], *rest]) == Rejected(
        faults=(
            Fault(
                message="'A', which becomes title, has several values, and one is needed",
                advice="take one with Item, or put them together with Join",
                column="A",
            ),
        ),
        attributes=("title",),
    )


HOSTILE = [
    "');raise SystemExit#",
    '"',
    "'",
    "\\",
    "{x}",
    "%s",
    "\n",
    "__import__('os')",
    "c0",
    "row",
    "careful",
    "]",
    "u",
]


@given(st.lists(st.sampled_from(HOSTILE), min_size=1, max_size=4).map("".join))
def test_a_feed_file_cannot_put_code_into_the_mapping(hostile: str) -> None:
    column = "k" + hostile.replace("]", ")")
    urn = "urn:x:y" + "".join(char for char in hostile if char.isalnum() or char in "'();") + ":"
    quoted = json.dumps
    text = json.dumps(hostile).replace("\\n", " ")[1:-1]
    feed = {
        "endpoint": ENDPOINT,
        "mapping": {
            "externalId": f"[{column}]",
            "title": f"Append([{column}], {quoted(hostile.replace(chr(10), ' '))})",
            "displayName": f"- {hostile}",
            f'emails[type eq "{text}"].value': f"[{column}]",
            f"{urn}A": f".{hostile}",
        },
        "lookup": {"T": {hostile: hostile}},
    }
    loaded = load_feed(json.dumps(feed).encode(), name="f.yaml")
    bound = loaded.mapping.bind([column], now=NOW)
    assert mapped(bound, ["7"]) == {
        "schemas": [*SCHEMAS, urn[:-1]],
        "externalId": "7",
        "title": "7" + hostile.replace("\n", " "),
        "displayName": f"- {hostile}",
        "emails": [{"type": hostile.replace("\n", " "), "value": "7"}],
        urn[:-1]: {"A": f".{hostile}"},
    }


EVERYTHING = f"""
    userName: Join("@", ToLower([A]), "x.org")
    active: "[B]"
    title: "[C]"
    displayName: "[A]"
    nickName: IgnoreFlowIfNullOrEmpty([C])
    name.givenName: "[A]"
    name.familyName: Switch([B], , "True", "Yes")
    profileUrl: Split([C], ",")
    emails[type eq "work"].value: "[A]"
    emails[type eq "work"].primary: "[B]"
    emails[type eq "home"].value: "[C]"
    addresses[type eq "work"].locality: "[A]"
    addresses[type eq "work"].country: NormalizeDiacritics([C])
    addresses[type eq "work"].primary: true
    phoneNumbers[type eq "work"].value: "[C]"
    roles[primary eq true].value: Employee
    {CONTOSO}:Level: "[C]"
    {CONTOSO}:Since: "[C]"
    {CONTOSO}:Tags: Split([C], ",")
    {CONTOSO}:Flag: "[B]"
    {ENTERPRISE}:department: "[C]"
    {ENTERPRISE}:manager.value: "[A]"
"""
DECLARED = (
    f"extensions: {{'{CONTOSO}': {{Level: Integer, Since: DateTime, Flag: Boolean, Tags: {{multi: true}}}}}}\n"
    "empty: {default: omit, title: null}\ndefaults: {'name.familyName': none}\nwhere: IsPresent([A])"
)
CELLS = (
    st.sampled_from(
        ["", "x", "7", " 7", "True", "false", "tRUE", "a,b", "2026-01-31T00:00:00Z", "12", "a b", "é", "\x00", "\n",
         "\ud800"]
    )
    | st.text(max_size=8)
    | st.none()
    | st.lists(st.sampled_from(["a", "", "12"]), max_size=3)
)  # fmt: skip
BOUND = bind(EVERYTHING, "A", "B", "C", more=DECLARED)


@settings(max_examples=400)
@given(st.lists(CELLS, min_size=4, max_size=4))
def test_the_fast_and_the_careful_way_agree(cells: list[Any]) -> None:
    careful = BOUND.map.__globals__["careful"]
    fast, warnings = BOUND.map_with_warnings(cells)
    assert (fast, warnings) == careful(cells)
    assert BOUND.map(cells) == fast
    if isinstance(fast, dict):
        assert warnings == BOUND.warnings(fast)
        assert json.dumps(fast) == json.dumps(careful(cells)[0])
        json.dumps(fast, ensure_ascii=False).encode()
        assert fast["externalId"] == BOUND.external_id(cells)
    else:
        assert isinstance(fast, Rejected | Filtered)


ODD = st.sampled_from(
    ["", "x", "1", "a@x.org", "DE", "en-US", "ok\ufffd", "n\x85l", "n\u00a0b", "é", "l" * 17, "l" * 65, "l" * 129,
     "l" * 300, "ß@x"]
)  # fmt: skip


@settings(max_examples=300)
@given(st.tuples(ODD.filter(str.isascii), ODD, st.sampled_from(["True", "False"]), ODD).map(list))
def test_what_is_odd_is_found_as_fast_as_the_user_is_made(cells: list[Any]) -> None:
    user, warnings = BOUND.map_with_warnings(cells)
    assert warnings == (BOUND.warnings(user) if isinstance(user, dict) else ())
