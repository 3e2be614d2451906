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
from connector.vocabulary.errors import DropUnusable

SAMPLES = Path(__file__).parent.parent / "samples"
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
    assert json.dumps(bound.map(["7", "a", "b"])) == json.dumps(expected)


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
    assert bound.map(["7", "", "", "true"]) == user()
    assert bound.map(["7", "", "b", "true"]) == user(
        addresses=[{"type": "work", "region": "b", "primary": True}], phoneNumbers=[{"type": "mobile", "value": "b"}]
    )
    assert bound.map(["7", " a ", "b", ""]) == user(
        title=" a ",
        name={"givenName": " a "},
        emails=[{"type": "work", "primary": True, "value": " a "}],
        addresses=[{"type": "work", "locality": " a ", "region": "b"}],
        phoneNumbers=[{"type": "work", "value": " a "}, {"type": "mobile", "value": "b"}],
        **{ENTERPRISE: {"manager": {"value": " a "}}},
    )


def test_an_element_of_constants_alone_is_for_everybody() -> None:
    bound = bind('roles[primary eq true].value: Employee\nroles[primary eq true].display: "Employee of X"')
    assert bound.map(["7"]) == user(roles=[{"primary": True, "value": "Employee", "display": "Employee of X"}])


def test_constants_are_typed_and_keep_their_digits() -> None:
    extension = f"extensions: {{'{CONTOSO}': {{Level: Integer, Tags: {{multi: true}}, On: Boolean}}}}"
    bound = bind(
        f"title: 0042\nactive: 'TRUE'\n{CONTOSO}:Level: 3\n{CONTOSO}:Tags: hr\n{CONTOSO}:On: false\nuserType: 7",
        more=extension,
    )
    first, second = bound.map(["7"]), bound.map(["7"])
    assert first == {
        "schemas": [*SCHEMAS, CONTOSO],
        "externalId": "7",
        "title": "0042",
        "active": True,
        CONTOSO: {"Level": 3, "Tags": ["hr"], "On": False},
        "userType": "7",
    }
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
    assert bound.map(["7", ""]) == {"schemas": [*SCHEMAS, CONTOSO], "externalId": "7"} | null
    bound = bind(mapping, "A", more=f"empty: {{title: null}}\n{extension}")
    assert bound.map(["7", ""]) == {"schemas": [*SCHEMAS, CONTOSO], "externalId": "7", "title": None}


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
    assert bound.map(["7", ""]) == user(
        active=False, title="none", emails=[{"type": "work", "value": "hr@example.com"}]
    )


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
    result = bound.map([" 7", "q w", "secret", "sec\x00ret", "1 Jan", "secret", "a,b"])
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


def test_the_external_id_is_exactly_what_the_mapping_gives() -> None:
    text = f"endpoint: {ENDPOINT}\nmapping: {{externalId: 'Append(\"E\", [Id])'}}\n"
    bound = load_feed(text.encode(), name="f.yaml").mapping.bind(["X", "Id"], now=NOW)
    assert bound.external_id(["x", "007"]) == "E007"
    assert bound.map(["x", "007"]) == user(externalId="E007")
    assert bind('title: "[A]"', "A").external_id([None, "a"]) == ""


def test_several_values_go_to_a_multi_valued_attribute_only() -> None:
    mapping = f'{CONTOSO}:Tags: Split([Tags], ",")\n{CONTOSO}:Levels: "[Levels]"'
    declared = f"extensions: {{'{CONTOSO}': {{Tags: {{multi: true}}, Levels: {{type: Integer, multi: true}}}}}}"
    bound = bind(mapping, "Tags", "Levels", more=declared)
    expected = {"schemas": [*SCHEMAS, CONTOSO], "externalId": "7"}
    assert bound.map(["7", "a,b", "1"]) == expected | {CONTOSO: {"Tags": ["a", "b"], "Levels": [1]}}
    assert bound.map(["7", "", ["1", "", "2"]]) == expected | {CONTOSO: {"Levels": [1, 2]}}
    assert bound.map(["7", "", None]) == expected
    assert messages(bound.map(["7", "", ["1", "x"]])) == [
        "'Levels', which becomes Levels, is not of the type Integer (only digits, with - in front where negative)"
    ]


def test_rows_that_where_leaves_out_are_filtered_and_never_judged() -> None:
    bound = bind('active: "[Status]"', "Status", "Site", more="where: '[Site] = \"HQ\"'")
    assert bound.map(["", "junk", "Lab"]) is FILTERED
    assert bound.map(["7", "True", "HQ"]) == user(active=True)


def test_a_row_that_where_cannot_judge_is_rejected() -> None:
    bound = bind('title: "[A]"', "A", more="where: '[A]'")
    assert bound.map(["7", "True"]) == user(title="True")
    assert bound.map(["7", "False"]) is FILTERED
    result = bound.map(["7", "maybe"])
    assert isinstance(result, Rejected)
    assert result.attributes == ("where",)
    assert result.faults[0].message.startswith("the feed's where cannot be worked out: ")


def test_a_missing_column_is_named_with_the_nearest() -> None:
    loaded = load_feed((SAMPLES / "quickstart.yaml").read_bytes(), name="quickstart.yaml")
    columns = [*loaded.mapping.columns, "Email"]
    columns[columns.index("WorkerID")] = "workerid"
    columns[columns.index("Phone")] = "Tel"
    with pytest.raises(DropUnusable) as caught:
        loaded.mapping.bind(columns, now=NOW)
    assert [str(fault) for fault in caught.value.faults][:2] == [
        "there is no column 'WorkerID', which the mapping names (the nearest are 'workerid')",
        "there are 2 columns 'Email' (give each a name of its own)",
    ]
    assert caught.value.faults[2].message == "there is no column 'Phone', which the mapping names"


def test_columns_may_stand_anywhere_and_be_thousands() -> None:
    text = f'endpoint: {ENDPOINT}\nmapping: {{externalId: "[C1999]", title: "[C5]"}}\n'
    columns = [f"C{n}" for n in range(2000)]
    bound = load_feed(text.encode(), name="f.yaml").mapping.bind(columns, now=NOW)
    assert bound.map([str(n) for n in range(2000)]) == user(externalId="1999", title="5")
    # A control character in a column that nobody maps is nobody's trouble.
    assert bound.map(["\x00", *(str(n) for n in range(1, 2000))]) == user(externalId="1999", title="5")


def test_a_row_of_another_width_is_rejected() -> None:
    assert messages(bind('title: "[A]"', "A").map(["7"])) == [
        "the row has 1 fields, and the header 2 (export it again)"
    ]


def test_now_is_the_landing_time() -> None:
    assert bind('title: FormatDateTime(Now(), , "M/d/yyyy h:mm:ss tt", "yyyy-MM-dd")').map(["7"]) == user(
        title="2026-11-24"
    )


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
    good = bound.map(["7", "a@x.org", "en-US", "DE", "8"])
    odd = bound.map(["7", "n/a", "en_US", "USA", "7"])
    assert isinstance(good, dict)
    assert isinstance(odd, dict)
    assert bound.warnings(good) == ()
    assert [(fault.column, fault.message) for fault in bound.warnings(odd)] == [
        ("Mail", "'Mail', which becomes emails[type eq \"work\"].value, does not look like a mail address"),
        ("Locale", "'Locale', which becomes locale, is not a language tag (BCP 47)"),
        ("Country", "'Country', which becomes addresses[type eq \"work\"].country, is not a country code"
         " (ISO 3166-1 alpha-2)"),
        ("Manager", "'Manager', which becomes manager.value, names the person as their own manager"),
    ]  # fmt: skip


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
    assert bound.map(["7"]) == {
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
