"""Attribute paths: what they name, what they cannot name, and that writing one out loses nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.feed.mapping_section import Declared
from connector.mapping.attribute_paths import PathError, Target, parse_path
from connector.vocabulary import scim
from connector.vocabulary.scim import Attribute, Mutability, Type

ENTERPRISE = scim.ENTERPRISE_USER
CONTOSO = "urn:ietf:params:scim:schemas:extension:contoso:1.0:User"
DECLARED = {
    CONTOSO: {"HireDate": Declared(type="DateTime"), "Badges": Declared(multi=True)},
    ENTERPRISE: {"Badge": Declared()},
}
CORE = scim.SCHEMAS[scim.CORE_USER]


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("title", "title"),
        ("TITLE", "title"),
        (" name.GivenName ", "name.givenName"),
        ('emails[type eq "work"].value', 'emails[type eq "work"].value'),
        ('Emails[Type EQ "work" AND primary eq TRUE].Value', 'emails[type eq "work" and primary eq true].value'),
        ('roles[primary eq "True"].display', "roles[primary eq true].display"),
        (r'ims[type eq "a\"b]c"].value', r'ims[type eq "a\"b]c"].value'),
        ('addresses[type eq "work"].primary', 'addresses[type eq "work"].primary'),
        (f"{scim.CORE_USER}:displayName", "displayName"),
        (f'{scim.CORE_USER}:emails[type eq "a:b"].value', 'emails[type eq "a:b"].value'),
        (f"{ENTERPRISE}:department", f"{ENTERPRISE}:department"),
        (f"{ENTERPRISE.lower()}:manager.VALUE", f"{ENTERPRISE}:manager.value"),
        (f"{ENTERPRISE}:manager.displayName", f"{ENTERPRISE}:manager.displayName"),
        ("urn:contoso:employee:HireDate", "urn:contoso:employee:HireDate"),
        (f"{ENTERPRISE}:badge", f"{ENTERPRISE}:Badge"),
        (f"{CONTOSO.upper()}:hiredate", f"{CONTOSO}:HireDate"),
    ],
)
def test_a_path_names_an_attribute_in_the_schemas_spelling(text: str, canonical: str) -> None:
    target = parse_path(text, DECLARED)
    assert str(target) == canonical
    assert parse_path(canonical, DECLARED) == target


def test_a_path_is_taken_apart() -> None:
    assert parse_path('emails[primary eq true and type eq "work"].value', {}) == Target(
        urn=scim.CORE_USER,
        attribute=CORE["emails"],
        where=(("primary", True), ("type", "work")),
        sub=Attribute(name="value"),
    )
    assert parse_path(f"{CONTOSO}:Badges", DECLARED) == Target(
        urn=CONTOSO, attribute=Attribute(name="Badges", type=Type.STRING, multi_valued=True)
    )


def test_the_order_of_conditions_does_not_make_another_value() -> None:
    one = parse_path('emails[type eq "work" and primary eq true].value', {})
    other = parse_path('emails[primary eq true and type eq "work"].value', {})
    assert one.key == other.key
    assert one.key != parse_path('emails[type eq "work"].value', {}).key


@pytest.mark.parametrize(
    ("text", "message", "advice"),
    [
        ("emails.value", "'emails' holds several values", 'say which one: emails[type eq "work"].value'),
        ("emails", "'emails' holds several values", 'say which one: emails[type eq "work"].value'),
        ('emails[type eq "work"]', "'emails' has parts, and the path names none",
         "add one of: .value, .display, .type, .primary, .$ref"),
        ('emails[type eq "work"].vale', "'emails' has no part 'vale'", "did you mean value?"),
        ('emails[type eq "work"].type', "'type' is already given by the filter", "delete the line"),
        ('emails[type ne "work"].value', "a filter here cannot use 'ne'",
         "a mapping writes values, so only eq tells what to write"),
        ('emails[type eq "a" or type eq "b"].value', '[type eq "a" or type eq "b"] joins conditions with something else'
         " than and", "use only eq and and"),
        ('emails[type eq "a" and type eq "b"].value', '[type eq "a" and type eq "b"] names a part twice',
         "delete one of the conditions"),
        ("emails[type eq work].value", "'type' is compared with something that is no text", 'write type eq "work"'),
        ("emails[primary eq 1].value", "'primary' is true or false", "write primary eq true"),
        ('emails[kind eq "x"].value', "'emails' has no part 'kind' to filter by",
         "it has: value, display, type, primary, $ref"),
        ("emails[].value", "[] is not a filter that a mapping can use",
         'write conditions with eq, joined by and: emails[type eq "work"]'),
        ('title[type eq "x"]', "'title' has no parts", "write title"),
        ("title.value", "'title' has no parts", "write title"),
        ('name[type eq "x"].givenName', "'name' holds one value and takes no filter", "delete the brackets"),
        ("name", "'name' has parts, and the path names none", "add one of: .formatted, .familyName, .givenName,"
         " .middleName, .honorificPrefix, .honorificSuffix"),
        ("id", "'id' is set by Entra and cannot be sent", "delete the line"),
        ("meta.created", "'meta' is set by Entra and cannot be sent", "delete the line"),
        ('groups[type eq "x"].value', "'groups' is set by Entra and cannot be sent", "delete the line"),
        ("schemas", "'schemas' is written by the connector", "delete the line"),
        ("displayNam", "the Core User schema has no attribute 'displayNam'",
         'did you mean displayName or emails[type eq "work"].display?'),
        ("givenName", "the Core User schema has no attribute 'givenName'", "did you mean name.givenName?"),
        ("surname", "the Core User schema has no attribute 'surname'", "write name.familyName"),
        ("department", "the Core User schema has no attribute 'department'",
         f"did you mean {ENTERPRISE}:department?"),
        ("manager.value", "the Core User schema has no attribute 'manager'", f"write {ENTERPRISE}:manager.value"),
        (f"{ENTERPRISE}:manager", "'manager' has parts, and the path names none",
         "add one of: .value, .$ref, .displayName"),
        (ENTERPRISE, f"{ENTERPRISE!r} is a schema, not an attribute", f"add the attribute's name: {ENTERPRISE}:title"),
        (f"{ENTERPRISE}:HireDate", "the Enterprise User schema has no attribute 'HireDate'",
         "custom attributes need a URN of their own: urn:…:User:HireDate"),
        (f"{CONTOSO}:Hire.Date", "'Hire.Date' is not the name of a custom attribute",
         "a custom attribute is one name: no dots, no brackets"),
        (CONTOSO, f"{CONTOSO!r} is a schema, not an attribute", f"add the attribute's name: {CONTOSO}:title"),
        ("urn:x", "'urn' is not a URN with an attribute's name after it",
         "for example urn:ietf:params:scim:schemas:extension:contoso:1.0:User:HireDate"),
        ("name.givenName.x", "'name.givenName.x' is not an attribute path",
         'for example title, name.givenName or emails[type eq "work"].value'),
        ("", "'' is not an attribute path", 'for example title, name.givenName or emails[type eq "work"].value'),
    ],
)  # fmt: skip
def test_what_a_path_cannot_name_is_explained(text: str, message: str, advice: str) -> None:
    with pytest.raises(PathError) as caught:
        parse_path(text, DECLARED)
    assert (caught.value.message, caught.value.advice) == (message, advice)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("accountEnabled", "active"),
        ("City", 'addresses[type eq "work"].locality'),
        ("CompanyName", f"{ENTERPRISE}:organization"),
        ("EmployeeID", "externalId"),
        ("FirstName", "name.givenName"),
        ("JobTitle", "title"),
        ("LastName", "name.familyName"),
        ("mail", 'emails[type eq "work"].value'),
        ("Manager", f"{ENTERPRISE}:manager.value"),
        ("mobile", 'phoneNumbers[type eq "mobile"].value'),
        ("phone", 'phoneNumbers[type eq "work"].value'),
        ("state", 'addresses[type eq "work"].region'),
        ("surname", "name.familyName"),
        ("userPrincipalName", "userName"),
    ],
)
def test_what_others_call_an_attribute_is_known(name: str, path: str) -> None:
    with pytest.raises(PathError) as caught:
        parse_path(name, {})
    assert caught.value.advice == f"write {path}"
    assert str(parse_path(path, {})) == path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"urn:x:{'y' * 10}", "'urn:x' is not a URN with an attribute's name after it"),
        ("urn:-x:y:A", "'urn:-x:y' is not a URN with an attribute's name after it"),
        (f"urn:{'x' * 33}:y:A", f"'urn:{'x' * 33}:y' is not a URN with an attribute's name after it"),
        ("urn:x y:z:A", "'urn:x y:z' is not a URN with an attribute's name after it"),
        ("urn:x:y:1A", "'1A' is not the name of a custom attribute"),
        ("urn:x:y:", "'' is not the name of a custom attribute"),
        ('emails[type eq "a"]x.value', """'emails[type eq "a"]x.value' is not an attribute path"""),
        ('emails[type eq "a].value', '[type eq "a] is not a filter that a mapping can use'),
        ('emails[type eq "a" and].value', '[type eq "a" and] joins conditions with something else than and'),
        ('emails[type eq ""].value', "'type' is compared with something that is no text"),
        ('emails[type eq "\\n"].value', "'type' is compared with something that is no text"),
        ("emails[type eq 5].value", "'type' is compared with something that is no text"),
        ("emails[type eq true].value", "'type' is compared with something that is no text"),
        ('emails[primary eq "yes"].value', "'primary' is true or false"),
        ("title .x", "'title .x' is not an attribute path"),
        ('emails[(type eq "work")].value', '[(type eq "work")] is not a filter that a mapping can use'),
        (
            'emails[type eq "a" x and type eq "b"].value',
            '[type eq "a" x and type eq "b"] joins conditions with something else than and',
        ),
        (
            'emails[type eq "a" android eq "b"].value',
            """[type eq "a" android eq "b"] joins conditions with something else than and""",
        ),
    ],
)
def test_what_is_no_path_at_all_is_refused(text: str, message: str) -> None:
    with pytest.raises(PathError) as caught:
        parse_path(text, {})
    assert caught.value.message == message
    assert str(caught.value) == f"{message} ({caught.value.advice})"


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("name.honorificPrefx", "did you mean honorificPrefix or honorificSuffix?"),
        ("name.gvnName", "did you mean givenName?"),
        ("name.fmdlName", "did you mean middleName or familyName?"),
        ("name.xyz", "it has: formatted, familyName, givenName, middleName, honorificPrefix, honorificSuffix"),
        ("email", 'did you mean emails[type eq "work"].value?'),
        ("costcentre", f"did you mean {ENTERPRISE}:costCenter?"),
        (
            "addres",
            'did you mean addresses[type eq "work"].formatted or addresses[type eq "work"].streetAddress?',
        ),
        ("LOCALITY", 'did you mean addresses[type eq "work"].locality?'),
        (f"{ENTERPRISE}:departmnt", f"did you mean {ENTERPRISE}:department?"),
        ("q", "custom attributes need a URN of their own: urn:…:User:q"),
    ],
)
def test_the_nearest_names_are_suggested(text: str, advice: str) -> None:
    with pytest.raises(PathError) as caught:
        parse_path(text, {})
    assert caught.value.advice == advice


def test_a_filters_words_are_kept_as_they_are() -> None:
    assert parse_path('emails[type eq "Work" and primary eq FALSE].value', {}).where == (
        ("type", "Work"),
        ("primary", False),
    )
    assert str(parse_path('emails[type eq "é"].value', {})) == 'emails[type eq "é"].value'


def test_a_filter_may_be_written_freely() -> None:
    for text in (
        'emails[ type  EQ "work"  And primary eq "TRUE" ].value',
        'emails[type eq "work" and primary eq True].value',
        'EMAILS[TYPE eq "work"\tand PRIMARY eq true].VALUE',
    ):
        assert str(parse_path(text, {})) == 'emails[type eq "work" and primary eq true].value'
    assert parse_path('ims[type eq "é\\u00e9\\\\"].value', {}).where == (("type", "éé\\"),)
    assert parse_path(f"urn:{'x' * 32}:y:A", {}).urn == f"urn:{'x' * 32}:y"


PERSON: dict[str, Any] = {
    "title": "Boss",
    "name": {"givenName": "Ann"},
    "emails": [{"type": "home", "value": "h"}, {"type": "work", "primary": True, "value": "w"}],
    ENTERPRISE: {"department": "Sales", "manager": {"value": "8"}},
    CONTOSO: {"Grade": 7},
}


@pytest.mark.parametrize(
    ("path", "container", "value"),
    [
        ("title", (), "Boss"),
        ("nickName", (), None),
        ("name.givenName", ("name",), "Ann"),
        ("name.familyName", ("name",), None),
        ('emails[type eq "work"].value', ("emails",), "w"),
        ('emails[primary eq true and type eq "work"].value', ("emails",), "w"),
        ('emails[primary eq true and type eq "home"].value', ("emails",), None),
        ('emails[type eq "home"].display', ("emails",), None),
        ('phoneNumbers[type eq "work"].value', ("phoneNumbers",), None),
        (f"{ENTERPRISE}:department", (ENTERPRISE,), "Sales"),
        (f"{ENTERPRISE}:manager.value", (ENTERPRISE, "manager"), "8"),
        (f"{CONTOSO}:Grade", (CONTOSO,), 7),
        (f"{CONTOSO}:HireDate", (CONTOSO,), None),
        ("urn:contoso:other:Grade", ("urn:contoso:other",), None),
    ],
)
def test_a_path_finds_its_value_in_a_user(path: str, container: tuple[str, ...], value: Any) -> None:
    target = parse_path(path, {})
    assert (target.container, target.find(PERSON)) == (container, value)


def test_two_paths_are_the_same_value_whatever_their_case() -> None:
    for one, other, same in (
        ("urn:x:y:A", "URN:X:Y:a", True),
        ("urn:x:y:A", "urn:x:y:B", False),
        ("urn:x:y:A", "urn:x:z:A", False),
        ("name.givenName", "name.familyName", False),
        ("title", f"{scim.CORE_USER}:TITLE", True),
    ):
        assert (parse_path(one, {}).key == parse_path(other, {}).key) is same


LABELS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=8)


@st.composite
def targets(draw: st.DrawFn) -> Target:
    urn = draw(st.sampled_from([*scim.SCHEMAS, "urn:contoso:employee"]))
    if urn not in scim.SCHEMAS:
        return Target(
            urn=urn, attribute=Attribute(name=draw(st.from_regex(r"[A-Za-z][A-Za-z0-9_$-]{0,8}", fullmatch=True)))
        )
    usable = [a for a in scim.SCHEMAS[urn].values() if a.mutability is not Mutability.READ_ONLY]
    attribute = draw(st.sampled_from(usable))
    if not attribute.sub_attributes:
        return Target(urn=urn, attribute=attribute)
    sub = draw(st.sampled_from(attribute.sub_attributes))
    if not attribute.multi_valued:
        return Target(urn=urn, attribute=attribute, sub=sub)
    others = [s for s in attribute.sub_attributes if s != sub]
    filtered = draw(st.lists(st.sampled_from(others), min_size=1, max_size=3, unique_by=lambda s: s.name))
    values: list[str | bool] = [draw(st.booleans()) if s.type is Type.BOOLEAN else draw(LABELS) for s in filtered]
    where = tuple(zip((s.name for s in filtered), values, strict=True))
    return Target(urn=urn, attribute=attribute, where=where, sub=sub)


@given(targets())
def test_a_path_written_out_names_the_same(target: Target) -> None:
    assert parse_path(str(target), {}) == target


@given(st.text(max_size=60) | st.text(alphabet='emails[]type eq "work".value urn:and\\', max_size=60))
def test_any_text_is_a_path_or_a_path_error(text: str) -> None:
    try:
        target = parse_path(text, DECLARED)
    except PathError as error:
        assert error.message
        assert error.advice
    else:
        assert parse_path(str(target), DECLARED) == target
