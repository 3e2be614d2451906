"""Loading a feed file: every fault of the mapping, in its place, before any row is read."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.mapping import FILTERED, LoadedFeed, load_feed
from connector.vocabulary.errors import FeedUnusable

ENDPOINT = "https://graph.microsoft.com/v1.0/servicePrincipals/a/synchronization/jobs/b/bulkUpload"
HEAD = f'endpoint: {ENDPOINT}\nmapping:\n  externalId: "[WorkerID]"\n'
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


def load(text: str, files: dict[str, bytes] | None = None) -> LoadedFeed:
    read = None if files is None else files.__getitem__
    return load_feed(text.encode(), name="feeds/employees.yaml", files=read)


def faults(text: str, files: dict[str, bytes] | None = None) -> list[str]:
    with pytest.raises(FeedUnusable) as caught:
        load(text, files)
    return [str(fault) for fault in caught.value.faults]


def test_a_good_feed_knows_its_columns_in_order_of_first_use() -> None:
    loaded = load(HEAD + '  title: Join(" ", [Title], [Grade])\n  displayName: "[Title]"\nwhere: IsPresent([Site])\n')
    assert loaded.mapping.columns == ("WorkerID", "Title", "Grade", "Site")
    assert [str(target) for target in loaded.mapping.targets] == ["externalId", "title", "displayName"]
    assert loaded.feed.name == "employees"


def test_faults_of_every_kind_come_together_sorted_by_line() -> None:
    text = (
        "endpoint: https://evil.example/x\n"
        "mapping:\n"
        '  externalId: "[WorkerID]"\n'
        '  department: "[Dept]"\n'
        "  userName: Joined([A])\n"
        "  title: 'Join(\"@\", [A)'\n"
        "  TITLE: x\n"
        "  active: maybe\n"
        '  displayName: "Join(\\"-\\", [A], Foo)"\n'
        "guards: {max_removed: lots}\n"
        "where: x\n"
    )
    with pytest.raises(FeedUnusable) as caught:
        load(text)
    assert [(fault.line, fault.position, fault.column) for fault in caught.value.faults] == [
        (1, 11, "endpoint"),
        (4, 3, "mapping.department"),
        (5, 13, "mapping.userName"),
        (6, 21, "mapping.title"),
        (7, 3, "mapping.TITLE"),
        (8, 11, "mapping.active"),
        (9, 34, "mapping.displayName"),
        (10, 23, "guards.max_removed"),
        (11, 8, "where"),
    ]
    assert str(caught.value).startswith(
        "feeds/employees.yaml: line 1, column 11: 'endpoint' names the host evil.example"
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("  emails.value: x", "line 4, column 3: 'emails' holds several values"
         " (say which one: emails[type eq \"work\"].value)"),
        ("  id: x", "line 4, column 3: 'id' is set by Entra and cannot be sent (delete the line)"),
        (f"  {ENTERPRISE}:department: x\n  {ENTERPRISE.lower()}:DEPARTMENT: y",
         f"line 5, column 3: '{ENTERPRISE.lower()}:DEPARTMENT' is mapped already, in line 4"
         " (delete one of the two lines)"),
        ("  name: x\n  name.givenName: y", "line 4, column 3: 'name' has parts, and the path names none (add one of:"
         " .formatted, .familyName, .givenName, .middleName, .honorificPrefix, .honorificSuffix)"),
        ("  urn:a:b:C: x\n  URN:A:b:D: y", "line 5, column 3: 'urn:a:b' is spelt differently here"
         " (spell a URN the same everywhere)"),
        ("  active: yes", 'line 4, column 11: the constant is not of the type Boolean, which active is (map every'
         ' word to "True" or "False", for example with Switch, or correct it in the HR system)'),
        ("  active: 1", 'line 4, column 11: the constant is not of the type Boolean, which active is (map every word to'
         ' "True" or "False", for example with Switch, or correct it in the HR system)'),
        ("  title: true", 'line 4, column 10: title is text, and true and false are not (write "true" in quotes)'),
        ('  title: ""', "line 4, column 10: 'title' is always empty (delete the line, or write an expression)"),
        ("  userName: a b", "line 4, column 13: the constant has white space in it"
         " (use StripSpaces or Replace, or correct it in the HR system)"),
        ('  emails[type eq "work"].primary: true', 'line 4, column 3: emails[type eq "work"].primary stands alone:'
         " there is nothing that it could mark (map a .value beside it, or delete the line)"),
        ('  emails[type eq "work"].value: "[A]"\n  emails[type eq "work"].primary: true\n'
         '  emails[type eq "home" and primary eq true].value: "[B]"',
         "line 6, column 3: two of 'emails' are primary (leave primary: true with one of them)"),
        ('  title: Join("#", [A] # B)', "line 4, column 10: the ( of Join is never closed"
         " (YAML takes what follows # for a comment: put the whole value in single quotes)"),
        ("  title: Lookup([A], , Nowhere)", "line 4, column 24: 'Nowhere' is neither text nor a column"
         ' (write "Nowhere" for text or [Nowhere] for a column)'),
        ("  title: Guid()", "line 4, column 10: Guid cannot be used: "),
        ("defaults: {title: x}", "line 4, column 12: 'title' is not in the mapping (put it there, or delete the line)"),
        ("defaults: {externalId: x}", "line 4, column 12: externalId cannot have a default"
         " (every person needs an identifier of their own)"),
        ("empty: {nickName: null}", "line 4, column 9: 'nickName' is not in the mapping"
         " (put it there, or delete the line)"),
        ("empty: {externalId: null}", "line 4, column 9: externalId must have a value in every row (delete the line)"),
        ('  title: "[A]"\ndefaults: {title: x, TITLE: y}', "line 5, column 22: 'TITLE' has a default already"
         " (delete one of the two lines)"),
        ("  title: '[A]'\ndefaults: {title: '[B]'}", "line 5, column 12: a default is a constant"
         " (use Coalesce in the mapping for an expression)"),
        ('  active: "[A]"\ndefaults: {active: maybe}', "line 5, column 20: the constant is not of the type Boolean,"
         ' which active is (map every word to "True" or "False", for example with Switch, or correct it in the HR'
         " system)"),
        ('  active: "[A]"\nempty: {active: null}', "line 5, column 9: active must have a value in every row"
         " (delete the line)"),
        ('  emails[type eq "work"].value: "[A]"\nempty: {\'emails[type eq "work"].value\': null}',
         "line 5, column 9: Entra cannot clear 'emails' by null (delete the line)"),
        (f"  title: {'x' * 65_537}", "line 4, column 10: the constant is longer than 65,536 characters"
         " (shorten it, for example with Left)"),
        ("defaults: {'emails.value': x}", "line 4, column 12: 'emails' holds several values"
         ' (say which one: emails[type eq "work"].value)'),
        ('  roles[primary eq true].value: x\n  roles[type eq "a"].value: y\n  roles[type eq "a"].primary: true\n'
         '  roles[type eq "b"].value: z\n  roles[type eq "b"].primary: true',
         "line 5, column 3: two of 'roles' are primary (leave primary: true with one of them)"),
        ("where: Joined([A])", "line 4, column 8: there is no function 'Joined' (did you mean Join?)"),
        ("where: x", "line 4, column 8: 'where' is not an expression"
         ' (write an expression, such as IsPresent([WorkerID]) or [Country] = "DE")'),
        ("where: IsPresent(\"x\")", "line 4, column 8: 'where' reads no column (delete it, or name a column)"),
        ("lookup: {T: {file: t.csv}}", "line 4, column 10: 't.csv' cannot be read here"
         " (write the table into the feed file)"),
    ],
)  # fmt: skip
def test_a_fault_of_the_mapping_is_explained_in_its_place(line: str, expected: str) -> None:
    found = faults(f"{HEAD}{line}\n")
    assert len(found) == 1
    assert found[0].startswith(expected)


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        ('userName: "[A]"', ["line 2, column 1: the mapping has no externalId"
         ' (map the column that identifies a person: externalId: "[WorkerID]")']),
        ("externalId: 5", ["line 3, column 3: externalId is the same for every row"
         ' (map a column: externalId: "[WorkerID]")']),
        ("externalId: '\"x\"'", ["line 3, column 3: externalId is the same for every row"
         ' (map a column: externalId: "[WorkerID]")']),
        # Nothing is said of a missing externalId beside the fault of the one that is there.
        ("externalId: [WorkerID]", ["line 3, column 15: 'mapping.externalId' is a YAML list, not a column"
         ' (put it in quotes: "[WorkerID]")']),
        ("externalId: Join([A])", ["line 3, column 15: Join has too few arguments (1)"
         " (write Join(separator, source1, source2, …))"]),
    ],
)  # fmt: skip
def test_a_feed_says_who_a_person_is(mapping: str, expected: list[str]) -> None:
    found = faults(f"endpoint: {ENDPOINT}\nmapping:\n  {mapping}\n")
    assert [fault.split(" (write Join")[0] for fault in found] == [fault.split(" (write Join")[0] for fault in expected]


@pytest.mark.parametrize("path", ["externalId", "EXTERNALID", "urn:ietf:params:scim:schemas:core:2.0:User:externalId"])
def test_an_external_id_that_cannot_be_read_is_one_fault(path: str) -> None:
    assert len(faults(f"endpoint: {ENDPOINT}\nmapping:\n  {path}: [WorkerID]\n  title: x\n")) == 1
    found = faults(f"endpoint: {ENDPOINT}\nmapping:\n  {path}: Joined([WorkerID])\n")
    assert [fault.rpartition(": ")[2] for fault in found] == ["there is no function 'Joined' (did you mean Join?)"]


def test_one_primary_of_each_attribute_is_well() -> None:
    loaded = load(
        HEAD + '  emails[primary eq true].value: "[A]"\n  roles[primary eq true].value: x\n'
        '  emails[primary eq false].value: "[B]"\n  emails[type eq "x"].value: "[C]"\n'
        '  emails[type eq "x"].primary: "[D]"\n'
    )
    assert loaded.mapping.columns == ("WorkerID", "A", "B", "C", "D")


def test_a_lookup_file_that_is_missing_is_no_reason_to_call_its_table_unknown() -> None:
    text = HEAD + '  title: Lookup([A], , "T")\n  nickName: Lookup([A], , "U")\nlookup: {T: {file: t.csv}}\n'
    assert faults(text, {}) == [
        "line 5, column 27: there is no lookup table 'U' (known: T)",
        "line 6, column 10: there is no file 't.csv' (put it into the feed file's folder)",
    ]


def test_an_expressions_fault_has_its_column_in_every_style_of_quotes() -> None:
    for written, position in [
        ("Join([A], Foo)", 20),
        ("'Join([A], Foo)'", 21),
        ('"Join([A], Foo)"', 21),
        ('"Join(\\"-\\", Foo)"', 23),
        ("'Join(\"''\", Foo)'", 22),
    ]:
        with pytest.raises(FeedUnusable) as caught:
            load(f"{HEAD}  title: {written}\n")
        assert [(fault.line, fault.position) for fault in caught.value.faults] == [(4, position)], written
    with pytest.raises(FeedUnusable) as caught:
        load(f"{HEAD}  title: >\n    Join([A],\n    Foo)\n")
    assert [(fault.line, fault.position) for fault in caught.value.faults] == [(4, 0)]


def test_a_lookup_file_is_read_beside_the_feed() -> None:
    text = HEAD + '  title: Lookup([Job], , "Jobs")\nlookup: {Jobs: {file: jobs.csv}}\n'
    loaded = load(text, {"jobs.csv": '\ufeffCode,Name\r\nNO,"Boss, the"\r\n\r\n1,Clerk\r\n'.encode()})
    bound = loaded.mapping.bind(["WorkerID", "Job"], now=NOW)
    users = [bound.map(["7", job]) for job in ("NO", "1")]
    assert [user["title"] for user in users if isinstance(user, dict)] == ["Boss, the", "Clerk"]
    assert loaded.lookup_files == ("jobs.csv",)


@pytest.mark.parametrize(
    ("content", "table", "expected"),
    [
        (None, "{file: t.csv}", "there is no file 't.csv' (put it into the feed file's folder)"),
        (b"", "{file: t.csv}", "'t.csv': it needs a header and two columns, separated by a comma"
         " (save it as CSV with a comma)"),
        (b"a;b\n1;2\n", "{file: t.csv}", "'t.csv': it needs a header and two columns, separated by a comma"
         " (save it as CSV with a comma)"),
        (b"a,b\n1,\xff\n", "{file: t.csv}", "'t.csv': line 2 is not UTF-8 (save it as UTF-8)"),
        (b"a,b\n1\n", "{file: t.csv}", "'t.csv': line 2 has 1 fields, the header 2 (correct the line)"),
        (b"a,b\n1,2\n1,3\n", "{file: t.csv}", "'t.csv': line 3 gives a key another value than a line before"
         " (keep one of them)"),
        (b"a,b\n1,\x01\n", "{file: t.csv}", "'t.csv': line 2 has a control character in it (delete the character)"),
        (b"Code,Name\n", "{file: t.csv, key: Cod}", "'t.csv': there is no column 'Cod' (did you mean Code?)"),
        (b'a,b\n"1,2\n', "{file: t.csv}", "'t.csv': line 2 is not CSV: unexpected end of data"
         " (quote fields with a comma or a quote in them)"),
    ],
)  # fmt: skip
def test_a_lookup_file_that_cannot_be_used_is_explained(content: bytes | None, table: str, expected: str) -> None:
    files = {} if content is None else {"t.csv": content}
    assert faults(f"{HEAD}lookup: {{T: {table}}}\n", files) == [f"line 4, column 10: {expected}"]


@pytest.mark.parametrize(
    "lookup", ["{T: {file: ../t.csv}}", "{T: 5}", "{T: {a: [1]}}", "{T: {a: b}, 5: {a: b}}", '{T: {a: b}, "": {a: b}}']
)
def test_a_faulty_table_is_one_fault_and_its_use_none(lookup: str) -> None:
    text = HEAD + f'  title: Lookup([A], , "T")\nlookup: {lookup}\n'
    assert len(faults(text, {})) == 1


def test_a_table_that_nobody_declares_is_unknown_beside_any_fault() -> None:
    text = HEAD + '  title: Lookup([A], , "T")\n  nickName: [x]\nlookup: 5\nwhere: Lookup([A], , "W")\n'
    assert [fault.split(" (")[0] for fault in faults(text, {})] == [
        "line 4, column 24: there is no lookup table 'T'",
        "line 5, column 13: 'mapping.nickName' is a YAML list, not a column",
        "line 6, column 9: 'lookup' must have keys and values of its own",
        "line 7, column 22: there is no lookup table 'W'",
    ]


def test_tables_in_the_feed_and_beside_it_are_all_read() -> None:
    text = HEAD + '  title: Join("-", Lookup([A], , "S"), Lookup([A], , "T"), Lookup([A], , "U"))\n'
    text += "lookup: {S: {a: one}, T: {file: t.csv}, U: {a: three}}\n"
    bound = load(text, {"t.csv": b"k,v\na,two\n"}).mapping.bind(["WorkerID", "A"], now=NOW)
    assert bound.map(["7", "a"])["title"] == "one-two-three"  # type: ignore[index]  # it is a user


def test_what_is_said_of_a_path_that_is_faulty_in_the_mapping_is_not_judged() -> None:
    for line in ("  title: [x]\n", "  title: Joined([A])\n"):
        text = f"{HEAD}{line}defaults: {{TITLE: x, nickName: y}}\nempty: {{title: null, 'emails.value': null}}\n"
        said = [fault.split(": ", 1)[1].split(" (")[0] for fault in faults(text)]
        assert said[1:] == ["'nickName' is not in the mapping", "'emails' holds several values"]
    # A path that cannot be at all is no reason either.
    assert len(faults(f"{HEAD}  nonsense: x\ndefaults: {{title: x}}\n")) == 2


def test_every_default_and_null_is_judged() -> None:
    text = (
        f'{HEAD}  title: "[A]"\n  active: "[B]"\n  emails[type eq "work"].value: "[C]"\n'
        "defaults: {nonsense: x, externalId: x, title: '[B]', active: maybe}\n"
        "empty: {nonsense: null, externalId: omit, active: null, 'emails[type eq \"work\"].value': null}\n"
    )
    assert [fault.split(": ", 1)[1].split(" (")[0] for fault in faults(text)] == [
        "the Core User schema has no attribute 'nonsense'",
        "externalId cannot have a default",
        "a default is a constant",
        "the constant is not of the type Boolean, which active is",
        "the Core User schema has no attribute 'nonsense'",
        "active must have a value in every row",
        "Entra cannot clear 'emails' by null",
    ]
    omitted = f'{HEAD}  active: "[B]"\n  emails[type eq "work"].value: "[C]"\nempty: {{active: omit, externalId: omit,'
    load(omitted + " 'emails[type eq \"work\"].value': omit}\n")


def test_what_python_cannot_compile_is_a_fault_of_the_feed() -> None:
    text = f"""{HEAD}  title: 'Join("", {", ".join(["IgnoreFlowIfNullOrEmpty([A])"] * 300)})'\n"""
    assert faults(text) == [
        "line 2, column 1: an expression is too deeply nested (use Switch or a lookup table instead of nesting)"
    ]


def test_a_custom_extension_may_have_an_external_id_too() -> None:
    assert [
        fault.split(": ", 1)[1].split(" (")[0] for fault in faults(f"endpoint: {ENDPOINT}\nmapping:\n  title: x\n")
    ] == ["the mapping has no externalId"]
    loaded = load(f'{HEAD}  urn:x:y:externalId: "[A]"\nempty: null\n')
    bound = loaded.mapping.bind(["WorkerID", "A"], now=NOW)
    assert bound.map(["7", ""])["urn:x:y"] == {"externalId": None}  # type: ignore[index]  # it is a user


WORDS = st.sampled_from(
    ["[A]", '"[A]"', "'[A]'", 'Join(", ", [A], "x")', "'Switch([A], , \"a\", \"b\")'", "true", "5", "x", "''",
     '"\\ud800"',
     "[", "{a: b}", "null", "IIF([A] = 1, 2, 3)", "Lookup([A], , \"T\")", "Replace([A], , \"(?<x>a)\", , \"b\", , )"]
)  # fmt: skip
PATHS = st.sampled_from(
    ["externalId", "userName", "active", "title", "name.givenName", 'emails[type eq "work"].value', "emails.value",
     "id", 'emails[primary eq true].value', 'emails[type eq "work"].primary', "urn:contoso:x:A",
     f"{ENTERPRISE}:manager.value",
     "nonsense", "urn:", "[", "name"]
)  # fmt: skip


@given(
    st.lists(st.tuples(PATHS, WORDS), max_size=6),
    st.sampled_from(["", "empty: null", "where: '[A]'", "lookup: {T: {a: b}}"]),
)
def test_any_mapping_is_loaded_or_unusable(lines: list[tuple[str, str]], more: str) -> None:
    text = f"endpoint: {ENDPOINT}\nmapping:\n" + "".join(f"  {path}: {word}\n" for path, word in lines) + more
    try:
        loaded = load(text)
    except FeedUnusable as error:
        assert all(fault.message and fault.line >= 1 for fault in error.faults)
    else:
        bound = loaded.mapping.bind(loaded.mapping.columns, now=NOW)
        result = bound.map(["True" for _ in loaded.mapping.columns])
        assert result is FILTERED or result is not None
