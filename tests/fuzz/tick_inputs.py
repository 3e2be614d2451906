"""What a careless HR system lets land, and what an ill Graph answers: by the number, as in `inputs`."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import openpyxl

from connector.vocabulary.scim import BULK_REQUEST, CORE_USER
from tests.fuzz import inputs
from tests.kit.people import MARK
from tests.unit.readers.reading import zipped

_COLUMNS: Final = ("Id", "Login", "Name", "State")
_PEOPLE: Final = [
    {"Id": f"P{number}", "Login": f"{MARK}{number}", "Name": f"{MARK.title()}Name {number}", "State": "Active"}
    for number in range(1, 4)
]
FEED: Final = """\
endpoint: {endpoint}
content: delta
mapping:
  externalId: "[Id]"
  userName: Join("@", [Login], "contoso.com")
  displayName: "[Name]"
  active: Switch([State], , "Active", "True", "Left", "False")
"""
_FIXED: Final = "file: {format: fixed, columns: {Id: 1-2, Login: 3-8, Name: 9-22, State: 23-30}}\n"
# Runs out of its time on every row.
_PATTERN: Final = '  title: Replace([Name], , "(a|aa)+$", , "x", , )\n'


def _csv(delimiter: str) -> str:
    return "".join(delimiter.join(row) + "\n" for row in [_COLUMNS, *(person.values() for person in _PEOPLE)])


def _workbook() -> bytes:
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in [_COLUMNS, *(tuple(person.values()) for person in _PEOPLE)]:
        book.active.append(row)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def _xml() -> str:
    people = ("".join(f"<{name}>{value}</{name}>" for name, value in person.items()) for person in _PEOPLE)
    return f"<people>{''.join(f'<person>{person}</person>' for person in people)}</people>"


def _scim() -> bytes:
    users = [
        {"schemas": [CORE_USER], "externalId": p["Id"], "userName": f"{p['Login']}@contoso.com", "active": True}
        for p in _PEOPLE
    ]
    operations = [{"method": "POST", "bulkId": f"{n}", "path": "/Users", "data": user} for n, user in enumerate(users)]
    return json.dumps({"schemas": [BULK_REQUEST], "Operations": operations}).encode()


SAMPLES: Final[Mapping[str, bytes]] = {
    "csv": _csv(",").encode(),
    "tsv": _csv("\t").encode("utf-16"),
    "json": json.dumps({"count": len(_PEOPLE), "value": _PEOPLE}).encode(),
    "jsonl": "".join(json.dumps(person) + "\n" for person in _PEOPLE).encode(),
    "xml": _xml().encode(),
    "xlsx": _workbook(),
    "scim": _scim(),
    "fixed": "".join(f"{p['Id']:2}{p['Login']:6}{p['Name']:14}{p['State']:8}\n" for p in _PEOPLE).encode(),
    "gzip": gzip.compress(_csv(";").encode(), mtime=0),
    "zip": zipped(people_csv=_csv(",").encode()),
}


def _far_row() -> bytes:
    """A workbook whose second row says that it is the last that there can be."""
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(SAMPLES["xlsx"])) as book, zipfile.ZipFile(packed, "w") as bomb:
        for name in book.namelist():
            bomb.writestr(name, book.read(name).replace(b'r="2"', b'r="1048576"').replace(b"2", b"1048576", 0))
    return packed.getvalue()


_ZEROS: Final = gzip.compress(b"Id,Login\n" + bytes(8_000_000), mtime=0)
_LAUGHS: Final = (
    b'<!DOCTYPE p [<!ENTITY a "ha">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9))
    + b"]><people><person><Id>&j;</Id></person></people>"
)
BOMBS: Final[tuple[bytes, ...]] = (
    _ZEROS,
    gzip.compress(_ZEROS, mtime=0),
    zipped(people_csv=bytes(4_000_000)),
    zipped(people_csv=_ZEROS, other_csv=b"Id\n1\n"),
    _LAUGHS,
    b"[" * 60_000,
    b'[{"Id": ' + b"[" * 3_000 + b"]" * 3_000 + b"}]",
    b'{"a":' * 20_000,
    b'[{"Id": ' + b"9" * 20_000 + b"}]",
    b'[{"Id": 1e999999999}]',
    b"<a>" * 20_000,
    b"<people><person " + b" ".join(b'a%d="1"' % n for n in range(5_000)) + b"/></people>",
    b",".join(b"c%d" % n for n in range(20_000)) + b"\n1\n",
    b'Id,Login\nP1,"' + b'""' * 50_000,
    b"Id,Login,Name,State\nP1,x," + b"a" * 40_000 + b"!,Active\n",
    b"Id\n" + b"P1\n" * 3_000,
    b"\n" * 100_000,
    b"\0" * 100_000,
    _far_row(),
)
_BODIES: Final = (b"", b"\xef\xbb\xbf", b"PK\x05\x06" + bytes(18), b"-----BEGIN PGP MESSAGE-----\n\nhQ\n", b"sep=;\n")


def drop(random: Random) -> bytes:
    """What lands: a sample as it is or mutated, anything, or something small that wants to be large."""
    chance = random.random()
    if chance < 0.2:
        return random.choice(list(SAMPLES.values()))
    if chance < 0.75:
        return inputs.mutated_bytes(random, random.choice(list(SAMPLES.values())))
    if chance < 0.85:
        return random.randbytes(random.randrange(400))
    if chance < 0.9:
        return random.choice(_BODIES)
    return random.choice(BOMBS)


_NAMES: Final = (
    *("people.csv", "people.xlsx", "people.json.gz", "people.xml", "people.csv.pgp", "people.done", "people", ".csv"),
    *("a b.csv", "größe.csv", "%2e%2e.csv", "a%00.csv", "a?b#c.csv", "a&b=c.csv", "a'b\"c.csv", "<b>.csv", "\\.csv"),
    *("../up.csv", "./here.csv", "a/../b.csv", "a//b.csv", "/a.csv", "a/", "a/b/c.csv", "x" * 900, "😀.csv", "ab.csv."),
    *("\x01.csv", "a\nb.csv", "\x7f", "\ufffe.csv", "\u202egnp.csv", "{name}.csv", "run.json", "CON", " "),
)
_FOLDERS: Final = ("ill", "ill", "ill", "zero", "_open", "_ended", "no feed", "ill.", "-", "ÄÖ")


def path(random: Random, number: int) -> str:
    """Of the inbox; seldom two drops of one case have the same."""
    name = random.choice(_NAMES) if random.random() < 0.4 else f"{number}{random.choice(_NAMES[:8])}"
    if random.random() < 0.04:
        return name
    return f"{random.choice(_FOLDERS)}/{name}"


def properties(random: Random) -> dict[str, str | dict[str, str]]:
    """With what a blob may land, beside its bytes."""
    if random.random() < 0.6:
        return {}
    drawn: dict[str, str | dict[str, str]] = random.choice(
        [
            {"content_encoding": random.choice(["gzip", "br", "deflate", "identity", "aws-chunked,gzip", "x" * 300])},
            {"content_type": random.choice(["text/csv; charset=none", "application/gzip", "", "x" * 300])},
            {"tier": random.choice(["Archive", "Cool", "Cold", "Smart"])},
            {"tier": "Archive", "archive_status": "rehydrate-pending-to-hot"},
            {"kind": "AppendBlob"},
            {"copy_status": random.choice(["pending", "failed", "aborted", "success"])},
            {"metadata": {random.choice(["hdi_isfolder", "Hdi_IsFolder"]): random.choice(["true", "false", "True"])}},
            {"metadata": {"state": "settled", "mark": "x", "code": "drop"}},
        ]
    )
    return drawn


def feed_file(random: Random, endpoint: str) -> bytes:
    """A feed file of the samples, with edits now and then, or one of the fuzzed ones, or anything."""
    text = FEED.replace("{endpoint}", endpoint)
    chance = random.random()
    if chance < 0.5:
        return text.encode()
    if chance < 0.6:
        return (text + _FIXED).encode()
    if chance < 0.63:
        return (text + _PATTERN).encode()
    if chance < 0.8:
        return inputs.mutated_bytes(random, text.encode())
    if chance < 0.95:
        before = inputs.FEED.partition("\n")[0]
        return inputs.feed(random).replace(before.encode(), f"endpoint: {endpoint}".encode())
    return random.randbytes(random.randrange(200))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What Graph answers to one call. `body` None is its own answer's, mutated; `processed`: after it took effect."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = b""
    processed: bool = False
    seconds: float = 0.0


# A 5xx, a 408 or 425, a connection that fails, and a success that is no 202 to a bulk request of one job stop the
# sending of all feeds today, as a 429 does by right (the limit is the tenant's): issue 13 has a breaker for each job.
_UPLOADED: Final = (202, 202, 202, 400, 400, 401, 402, 403, 404, 405, 406, 409, 410, 413, 415, 422, 451, 301, 302, 307)
_READ: Final = (200, 200, 200, 200, 201, 204, 206, 400, 401, 403, 404, 408, 410, 429, 500, 502, 503, 504, 302, 308, 599)
_RETRY_AFTER: Final = (
    "0",
    "1",
    "-1",
    "120",
    "99999999999",
    "1e400",
    "nan",
    "soon",
    "Wed, 31 Dec 9999 23:59:59 GMT",
    "",
)
_DATES: Final = (
    "Mon, 01 Jan 0001 00:00:00 GMT",
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "soon",
    "",
    "Thu, 30 Feb 2030 8:0:0 GMT",
)
_LINKS: Final = ("https://evil.example/steal", "//evil.example", "/v1.0/x", "http://[", "x" * 20_000, "\x00", "")
_VALUES: Final[tuple[Any, ...]] = (
    *(None, True, 0, -1, 1e308, "", "x", "x" * 5_000, [], {}, [[]], [None], {"a": {}}, "9999-12-31T23:59:59Z"),
    *("0001-01-01T00:00:00+14:00", "failure", "success", "skipped", "2030-01-07T08:00:00", "P1", f"{MARK} of nobody"),
)
_DOCUMENTS: Final[tuple[bytes, ...]] = (
    *(
        b"",
        b"null",
        b"{}",
        b"[]",
        b"7",
        b'"x"',
        b"<html>",
        b"\xff\xfe",
        b'{"value": null}',
        b'{"value": {}}',
        b"{" * 999,
    ),
    *(b'{"value": [null, 7, [], {}, "x"]}', b'{"value": [], "error": {"code": "x"}}', b'{"status": 7}', b"[" * 5_000),
    *(b'{"status": {"code": ["x"], "quarantine": 7}}', b'{"status": {"code": "Quarantine", "quarantine": {}}}'),
    json.dumps({"error": {"code": "Odd", "message": f"{MARK} is nobody's business"}}).encode(),
    json.dumps({"error": {"code": None, "message": ["x"], "innerError": 7}}).encode(),
    b" " * 300_000,
)


def answer(random: Random, kind: str, url: str) -> Answer:
    """To a call of `kind` (upload, job, log) of `url`."""
    headers: dict[str, str] = {}
    if random.random() < 0.3:
        headers["Retry-After"] = random.choice(_RETRY_AFTER)
    if random.random() < 0.2:
        headers["Date"] = random.choice(_DATES)
    if random.random() < 0.2:
        headers["Set-Cookie"] = "a=b; Domain=example"
    if kind == "upload":
        headers["Location"] = random.choice([*_LINKS[:2], "nonsense"])
        return Answer(
            status=random.choice(_UPLOADED),
            headers=headers,
            body=random.choice(_DOCUMENTS),
            processed=random.random() < 0.5,
        )
    seconds = random.choice([0.0, 0.0, 0.0, 1.0, 20.0])
    status = random.choice(_READ)
    if random.random() < 0.4:
        return Answer(status=200, headers=headers, body=None, processed=True, seconds=seconds)
    body = random.choice(_DOCUMENTS)
    if random.random() < 0.15:
        link = random.choice([url, *_LINKS])
        body = json.dumps({"value": [], "@odata.nextLink": random.choice([link, 7, None])}).encode()
    elif random.random() < 0.1:
        headers["Content-Encoding"] = random.choice(["gzip", "br", "deflate", "x"])
        body = random.choice([body, gzip.compress(body, mtime=0), gzip.compress(bytes(3_000_000), mtime=0)])
    return Answer(status=status, headers=headers, body=body, seconds=seconds)


def mutated_document(random: Random, body: bytes) -> bytes:
    """An answer of the sandbox with one or two of its values replaced, or a few of its bytes."""
    if not body or random.random() < 0.2:
        return inputs.mutated_bytes(random, body)
    document = json.loads(body)
    for _ in range(random.randint(1, 2)):
        places = list(_places(document))
        if places:
            holder, key = random.choice(places)
            holder[key] = random.choice(_VALUES)
    return json.dumps(document).encode()


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every place in a document: what holds it, and under which key."""
    found: list[tuple[Any, Any]] = []
    if isinstance(value, dict | list):
        for key, inner in list(value.items()) if isinstance(value, dict) else list(enumerate(value)):
            found += [(value, key), *_places(inner)]
    return found
