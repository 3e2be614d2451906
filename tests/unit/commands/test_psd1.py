"""`python -m connector import-psd1`: PowerShell data files, and CSV2SCIM's mapping as a feed file."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from connector.__main__ import main
from connector.commands.drafting.from_csv2scim import draft
from connector.commands.drafting.psd1 import MAX_DEPTH, Array, Literal, Malformed, Script, Table, Unknown, Value, parse
from connector.mapping import load_feed
from connector.vocabulary.errors import Unusable
from connector.vocabulary.scim import ENTERPRISE_USER

# Made after the shape of CSV2SCIM's samples.
WHOLE = f"""\
<# Contoso's
   mapping #>
@{{
    externalId   = 'WorkerID' # the key
    name         = @{{
        familyName = 'LastName'; givenName = "FirstName"
    }}
    active       = {{ $_.'WorkerStatus' -eq 'Active' }}
    userName     = 'UserID'
    userType     = {{ 'Employee' }}
    displayName  = {{ "$($_.FirstName) $($_.LastName)" }}
    locale       = 'en', 'de'
    emails       = @(
        @{{ type = {{ 'work' }}; value = 'Mail'; primary = {{ $true }} }}
        @{{ type = {{ 'home' }}; value = {{ $_.PrivateMail }} }}
    )
    phoneNumbers = @(@{{ value = 'Phone' }})
    addresses    = @{{ type = {{ 'work' }}; locality = 'City' }}
    "{ENTERPRISE_USER}" = @{{
        department = 'Department'
        manager    = @{{ value = 'ManagerID' }}
    }}
    'urn:ietf:params:scim:schemas:extension:csv:1.0:User' = @{{ HireDate = 'HireDate' }}
}}
"""


def mapping_of(text: str) -> dict[str, object]:
    return dict(yaml.safe_load(draft(text, name="AttributeMapping.psd1"))["mapping"])


def comments(text: str) -> list[str]:
    lines = draft(text, name="AttributeMapping.psd1").partition("mapping:\n")[2].splitlines()
    return [line.strip() for line in lines if line.strip().startswith("#")]


def test_a_whole_mapping_becomes_a_feed_file_that_loads(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "AttributeMapping.psd1"
    file.write_text(WHOLE)
    assert main(["import-psd1", str(file)]) == 0
    text = capsys.readouterr().out
    load_feed(text.encode(), name="feed.yaml", graph=None)
    assert yaml.safe_load(text)["mapping"] == {
        "externalId": "[WorkerID]",
        "name.familyName": "[LastName]",
        "name.givenName": "[FirstName]",
        "active": 'Switch(ToLower([WorkerStatus]), "False", "active", "True")',
        "userName": "[UserID]",
        "userType": "Employee",
        'emails[type eq "work"].value': "[Mail]",
        'emails[type eq "work"].primary': True,
        'emails[type eq "home"].value': "[PrivateMail]",
        'phoneNumbers[type eq "work"].value': "[Phone]",
        'addresses[type eq "work"].locality': "[City]",
        f"{ENTERPRISE_USER}:department": "[Department]",
        f"{ENTERPRISE_USER}:manager.value": "[ManagerID]",
        "urn:ietf:params:scim:schemas:extension:csv:1.0:User:HireDate": "[HireDate]",
    }
    assert comments(WHOLE) == [
        '# Line 11 was not understood, displayName: the script block { "$($_.FirstName) $($_.LastName)" }',
        "# Line 12 was not understood, locale: it is a list, and one value is needed",
        "# Line 17 has no type; Entra's default attribute mappings read work.",
    ]


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ("$_.'Worker Status' -eq 'Active'", 'Switch(ToLower([Worker Status]), "False", "active", "True")'),
        ("$_.Status -EQ \"Active\"", 'Switch(ToLower([Status]), "False", "active", "True")'),
        ("$PSItem.Status -ne 'Left'", 'Switch(ToLower([Status]), "True", "left", "False")'),
        ("$_['Status'] -ceq 'A'", 'Switch([Status], "False", "A", "True")'),
        ("$_.Code -eq 3", 'Switch([Code], "False", "3", "True")'),
        ("$_.Status -eq 'it''s \\'", 'Switch(ToLower([Status]), "False", "it\'s \\\\", "True")'),
        ("{ $_.Status -eq 'Active' }", 'Switch(ToLower([Status]), "False", "active", "True")'),
        ("$_.IsActive", "[IsActive]"),
        ("$true", True),
        ("$FALSE", False),
    ],
)  # fmt: skip
def test_simple_script_blocks_become_expressions(block: str, expected: object) -> None:
    text = f"@{{ externalId = 'Id'; active = {{ {block} }} }}"
    assert mapping_of(text) == {"externalId": "[Id]", "active": expected}


@pytest.mark.parametrize(
    ("block", "expected"),
    [("'Employee'", "Employee"), ("'true'", '"true"'), ("'[x]'", '"[x]"'), ("'a: b # c'", '"a: b # c"'), ("7", '"7"')],
)
def test_constant_script_blocks_are_constants(block: str, expected: str) -> None:
    assert mapping_of(f"@{{ externalId = 'Id'; title = {{ {block} }} }}")["title"] == expected


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("{ if ($_.x) { 'y' } else { 'z' } }", "the script block { if ($_.x) { 'y' } else { 'z' } }"),
        ("{ $_.A -eq 'x' -and $_.B -eq 'y' }", "the script block { $_.A -eq 'x' -and $_.B -eq 'y' }"),
        ("{ $_.A -like 'x*' }", "the script block { $_.A -like 'x*' }"),
        ('"$prefix-Title"', '"$prefix-Title"'),
        ("$titles[0]", "$titles[0]"),
        ("'a' + 'b'", "'a' + 'b'"),
        ("5", "it is neither a column nor a script block"),
        ("$null", "it is neither a column nor a script block"),
        ("'a]b'", "no expression can name that column: rename it"),
        ("@{ value = 'x' }", None),
    ],
)
def test_anything_else_becomes_a_comment_that_says_so(value: str, reason: str | None) -> None:
    text = f"@{{\n externalId = 'Id'\n title = {value}\n}}"
    assert mapping_of(text) == {"externalId": "[Id]"}
    (told,) = comments(text)
    assert told.startswith("# Line 3 was not understood, title")
    if reason is not None:
        assert told == f"# Line 3 was not understood, title: {reason}"


def test_what_a_feed_file_cannot_have_becomes_a_comment_too() -> None:
    text = "@{ externalId = 'Id'; id = 'X'; foo = 'Y'; emails = @(@{ primary = { $true }; value = { f } }) }"
    assert mapping_of(text) == {"externalId": "[Id]"}
    assert comments(text) == [
        "# Line 1 was not understood, id: 'id' is set by Entra and cannot be sent (delete the line)",
        "# Line 1 was not understood, foo: the Core User schema has no attribute 'foo' "
        "(custom attributes need a URN of their own: urn:…:User:foo)",
        "# Line 1 has no type; Entra's default attribute mappings read work.",
        '# Left out, emails[type eq "work"].primary: true: emails[type eq "work"].primary stands alone: '
        "there is nothing that it could mark",
        '# Line 1 was not understood, emails[type eq "work"].value: the script block { f }',
    ]


def test_without_an_externalid_there_is_no_feed_file() -> None:
    with pytest.raises(Unusable, match="the mapping has no externalId"):
        draft("@{ userName = 'UserID' }", name="x.psd1")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_files_in_the_encodings_of_powershells_editors_are_read(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, encoding: str
) -> None:
    file = tmp_path / "m.psd1"
    file.write_bytes("@{\r\n externalId = 'Schlüssel'\r\n}\r\n".encode(encoding))
    assert main(["import-psd1", str(file)]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["mapping"] == {"externalId": "[Schlüssel]"}


def literal(value: str | bool | None, *, number: bool = False) -> Literal:
    return Literal(value=value, line=1, number=number)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'it''s'", literal("it's")),
        ("'$x `n'", literal("$x `n")),
        ('"a`"b""c`n`$d"', literal('a"b"c\n$d')),
        ('"$x"', Unknown(text='"$x"', line=1)),
        ("@'\nit's 'so'\n\n'@", literal("it's 'so'\n")),
        ("@'\n'@", literal("")),
        ('@"\r\na "b"\r\n"@', literal('a "b"')),
        ("$True", literal(True)),
        ("-1.5", literal("-1.5", number=True)),
        ("0xFF", literal("0xFF", number=True)),
        ("@()", Array(items=(), line=1)),
        ("@('a', 'b'; 'c')", Array(items=(literal("a"), literal("b"), literal("c")), line=1)),
        ("'a', 'b'", Array(items=(literal("a"), literal("b")), line=1)),
        ("{ $_.a # why\n}", Script(text="$_.a", line=1)),
        ("{ f '}' @{ a = 1 } }", Script(text="f '}' @{ a = 1 }", line=1)),
        ("@{}", Table(entries=(), line=1)),
        (
            "# c\n<# d\n#> @{ 'a b' = `\n 'c'; 7 = 'd' }",
            Table(entries=(("a b", Literal(value="c", line=4)), ("7", Literal(value="d", line=4))), line=3),
        ),
        ("Get-Item @{ a = 1 }", Unknown(text="Get-Item @{ a = 1 }", line=1)),
    ],
)  # fmt: skip
def test_data_files_are_read(text: str, expected: Value) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", ("the file is empty", 1, 1)),
        ("@{\n a = 'b\n}", ("the text that begins here has no end", 2, 6)),
        ("@{ a = @{ b = 'c' }", ("the table that begins here has no end", 1, 1)),
        ("@('a'", ("the array that begins here has no end", 1, 1)),
        ("@{ a = { 'b' }", ("the table that begins here has no end", 1, 1)),
        ("{ ( }", ("} closes nothing here", 1, 5)),
        ("@{ a }", ("an = is missing after the key", 1, 4)),
        ("@{ a = }", ("a value is missing", 1, 8)),
        ("@{ a = 'b'; A = 'c' }", ("the table has 'A' twice", 1, 13)),
        ("@{}\n'x'", ("something follows the table", 2, 1)),
        ("@{ = 'a' }", ("a key is missing", 1, 4)),
        ("@x", ("@ begins neither a table nor an array nor a text here", 1, 1)),
        ("@(" * (MAX_DEPTH + 5), (f"tables are nested more than {MAX_DEPTH} deep", 1, 2 * MAX_DEPTH + 3)),
    ],
)
def test_what_is_no_data_file_is_told_with_its_place(text: str, fault: tuple[str, int, int]) -> None:
    with pytest.raises(Malformed) as caught:
        parse(text)
    assert (caught.value.message, caught.value.line, caught.value.position) == fault


def test_a_fault_in_the_file_ends_in_a_message(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "m.psd1"
    file.write_text("@{\n a = 'b\n}")
    assert main(["import-psd1", str(file)]) == 2
    assert capsys.readouterr().err == f"{file}: line 2, column 6: the text that begins here has no end\n"
