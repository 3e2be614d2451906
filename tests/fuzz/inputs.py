"""Inputs by the number: the same seed gives the same ones. Each is a sample with a few edits, or made of its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

from connector.mapping.expressions.signatures import KNOWN_NAMES

EXPRESSIONS: Final = (
    'Join("@", ToLower([A]), "contoso.com")',
    'Switch([A], "False", "Active", "True", "", [B])',
    'IIF([A] = "x", IIF(IsNullOrEmpty([B]), "1", "2"), Coalesce([A], [B], "d"))',
    'Replace([A], , "(?<Suffix>@(.)*)", "Suffix", "", , )',
    'Replace([A], , "^(?<first>\\\\w+) (\\\\w+)$", , "${first}.$2", , )',
    'FormatDateTime([A], , "yyyy-MM-dd", "yyyyMMddHHmmss.fffZ")',
    'DateAdd("d", -7, CDate([A]))',
    'Mid(Word([A], 1, " "), 1, InStr([B], "@"))',
    'Item(Split([A], ","), 2)',
    "NumFromDate(Now()) >= 7",
)
_FUNCTIONS: Final = sorted(KNOWN_NAMES)
_PIECES: Final = (
    *("[A]", "[B]", "[", "]", '"x"', '"', '""', "(", ")", ",", "=", "<>", ">=", "7", "-10", "&HF", "1.5", " ", "\n"),
    *("\\", '\\"', "$1", "${a}", "(?<a>.)*", "(a+)+$", "yyyy", "'", "{", "}", "\0", "é", "\ud800", "😀", "9" * 30),
)
CELLS: Final = (
    "",
    "x",
    "Active",
    "a@b.c",
    "2020-02-29",
    "31.12.1999 23:59",
    "7",
    "-3",
    "True",
    "ß İı",
    "a,b,,c",
    "x" * 99,
)

FEED: Final = """\
endpoint: https://graph.microsoft.com/v1.0/servicePrincipals/a/synchronization/jobs/b/bulkUpload
content: full
where: IsPresent([A])
file: {format: csv, delimiter: ";", skip: 1, footer: {lines: 1, count: 'T;([0-9]+)'}}
mapping:
  externalId: "[A]"
  userName: Join("@", ToLower([B]), "contoso.com")
  active: Switch([B], "False", "Active", "True")
  emails[type eq "work"].value: '[B]'
  emails[type eq "work"].primary: true
  urn:ietf:params:scim:schemas:extension:contoso:1.0:User:Level: "[B]"
  title: Lookup([A], , "jobs")
defaults: {active: false}
empty: {default: omit, title: null}
extensions:
  urn:ietf:params:scim:schemas:extension:contoso:1.0:User: {Level: {type: Integer, multi: true}}
lookup: {jobs: {a: b, "1": c}}
guards: {max_disabled: 5%, max_removed: 3}
files: {match: ["*.csv"], ready: "{name}.done"}
expect: every 24h
"""
_YAML_PIECES: Final = (
    *(": ", "\n", "\n  ", "- ", "{", "}", "[", "]", "&a ", "*a", "!!python/object:x ", "!x ", "|\n", ">-\n", "# ", "'"),
    *(
        '"',
        "<<: *a",
        "---\n",
        "%YAML 1.1\n",
        "\t",
        "null",
        "true",
        "1e999",
        "0x10",
        "2026-01-01",
        "\ufeff",
        "é",
        "\0",
        "? ",
    ),
)

PSD1: Final = """\
@{ externalId = 'A' # c
 name = @{ givenName = "B" }
 active = { $_.'S' -eq 'Active' }
 emails = @( @{ type = { 'work' }; value = 'M' }, @{ value = { $_.X } } )
 "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User" = @{ manager = @{ value = 'C' } }
 title = @'
x
'@
}
"""
_PSD1_PIECES: Final = (
    *("@{", "}", "@(", ")", "{", "(", "=", ";", ",", "\n", "'", '"', "''", "`", "`n", "$_", "$true", "$null", "$x"),
    *("<#", "#>", "#", "@'\n", "\n'@", '@"\n', '\n"@', "-eq", "7", "[", "]", "é", "\0", "urn:a:b"),
)

_BYTES: Final = (
    *(
        b'"',
        b"'",
        b",",
        b";",
        b"\t",
        b"\r",
        b"\n",
        b"\0",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"{",
        b"}",
        b"[",
        b"]",
    ),
    *(b":", b"<", b">", b"&", b"&#0;", b"\\u", b"\\ud800", b"null", b"1e999", b"<!DOCTYPE", b"<!ENTITY a 'b'>", b"]]>"),
    *(b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"sep=", b"-----BEGIN PGP MESSAGE-----"),
)


def mutated_bytes(random: Random, sample: bytes) -> bytes:
    """The sample with up to six stretches replaced; now and then something else altogether."""
    if random.random() < 0.05:
        return random.randbytes(random.randrange(200))
    data = bytearray(sample)
    for _ in range(random.randint(1, 6)):
        at = random.randrange(len(data) + 1)
        new = random.choice(_BYTES) if random.random() < 0.6 else random.randbytes(random.randrange(6))
        data[at : at + random.randrange(7)] = new
    return bytes(data)


def mutated_text(random: Random, sample: str, pieces: Sequence[str]) -> str:
    """As `mutated_bytes`, with pieces of the language."""
    if random.random() < 0.1:
        return "".join(random.choices(pieces, k=random.randrange(30)))
    text = sample
    for _ in range(random.randint(1, 5)):
        at = random.randrange(len(text) + 1)
        text = text[:at] + random.choice(pieces) + text[at + random.randrange(5) :]
    return text


def expression(random: Random) -> str:
    """A sample with edits, or calls in one another that are right now and then; seldom very deep or long."""
    if random.random() < 0.5:
        return mutated_text(random, random.choice(EXPRESSIONS), (*_PIECES, *_FUNCTIONS))
    if random.random() < 0.01:
        depth = random.randrange(1, 400)
        return "Trim(" * depth + "[A]" + ")" * random.randint(depth - 1, depth + 1)
    return _call(random, 4)


def _call(random: Random, depth: int) -> str:
    if not depth or random.random() < 0.3:
        return random.choice(
            ("[A]", "[B]", '"x"', '""', "7", "-1", '"yyyy-MM-dd"', '"2020-01-31"', "", "vbTextCompare")
        )
    arguments = (_call(random, depth - 1) for _ in range(random.randrange(5)))
    return f"{random.choice(_FUNCTIONS)}({', '.join(arguments)})"


def feed(random: Random) -> bytes:
    """A feed file with edits, or with an expression of its own."""
    if random.random() < 0.3:
        text = FEED.replace('Join("@", ToLower([B]), "contoso.com")', repr(expression(random)))
    else:
        text = mutated_text(random, FEED, _YAML_PIECES)
    return text.encode("utf-8", "surrogatepass")


def psd1(random: Random) -> str:
    return mutated_text(random, PSD1, _PSD1_PIECES)
