"""What is not a person sent as a matter of course, end to end: rows that are filtered, notes, empty values, tables,
trailers, guesses, and drops that are SCIM already. A preview and the summary of a run say the same.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from connector.commands.preview import preview
from connector.sandbox.servers import Sandbox
from connector.vocabulary.scim import BULK_REQUEST, CORE_USER, ENTERPRISE_USER
from tests.kit.account import Account, adds_up, outcomes, rows
from tests.kit.people import csv_of, feed_file, ids, worker, workers
from tests.kit.privacy import leaks
from tests.kit.stranger import Stranger

WHERE = """where: IIF([Team] = "Contractors", "False", "True")\n"""


class Previewer:
    """`python -m connector preview --out`, in this process."""

    def __init__(self, folder: Path, said: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._said = said

    def __call__(self, feed: str, content: bytes, name: str = "today.csv") -> tuple[int, list[str], list[Any]]:
        """The exit code, what is said, and the bodies."""
        (self.folder / "people.yaml").write_text(feed)
        (self.folder / name).write_bytes(content)
        out = self.folder / "out"
        code = preview(self.folder / "people.yaml", self.folder / name, out)
        bodies = [json.loads(path.read_bytes()) for path in sorted(out.glob("*.json"))]
        return code, self._said.readouterr().err.splitlines(), bodies


@pytest.fixture
def previewed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Previewer:
    return Previewer(tmp_path, capsys)


def config(account: Account, name: str, content: bytes) -> None:
    blob = account.service.get_blob_client(account.containers["CONFIG_CONTAINER"], f"feeds/{name}")
    blob.upload_blob(content, overwrite=True)


def users(bodies: list[Any]) -> dict[str, Any]:
    """externalId to the SCIM user of each operation."""
    return {operation["data"]["externalId"]: operation["data"] for body in bodies for operation in body["Operations"]}


def test_rows_that_where_leaves_out_are_filtered_and_not_sent(
    account: Account, graph: Stranger, previewed: Previewer
) -> None:
    feed = feed_file() + WHERE
    content = csv_of([*workers(3), worker(4, Team="Contractors"), worker(5, Team="Contractors"), worker(6, State="?")])
    code, said, bodies = previewed(feed, content)
    assert (code, said[0], [*users(bodies)]) == (
        3,
        "6 rows: 3 send, 1 rejected, 2 filtered; 1 bulk requests",
        ids(workers(3)),
    )

    account.feed("people", feed)
    account.drop("people/today.csv", content)
    summary = account.bring_home("people")
    assert (summary["rows"], summary["outcomes"], adds_up(summary)) == (
        rows(sent=3, rejected=1, filtered=2),
        outcomes(created=3),
        True,
    )
    assert account.rejects("people") == [(6, "7006", "State")]
    assert graph.people == ids(workers(3))


def test_a_drop_of_which_every_row_is_filtered_settles_without_a_call(
    account: Account, graph: Stranger, previewed: Previewer
) -> None:
    content = csv_of([worker(1, Team="Contractors"), worker(2, Team="Contractors")])
    assert previewed(feed_file() + WHERE, content) == (0, ["2 rows: 2 filtered; 0 bulk requests"], [])
    account.feed("people", feed_file() + WHERE)
    account.drop("people/today.csv", content)
    summary = account.bring_home("people")
    assert (summary["state"], summary["rows"], summary["requests"]) == (
        "settled",
        rows(filtered=2),
        {"total": 0, "sent": 0, "left": 0},
    )
    assert graph.requests == []


def test_what_is_odd_about_those_who_are_sent_is_counted_in_the_notes_and_they_are_sent(
    account: Account, graph: Stranger, previewed: Previewer
) -> None:
    mail = 'emails[type eq "work"].value'
    feed = feed_file().replace(f'{mail}: Join("@", [Login], "contoso.com")', f'{mail}: "[Login]"') + WHERE
    people = [
        *workers(2),
        worker(3, Login="zyx~3@contoso.com", Boss="7003"),
        # Neither who is filtered, nor who is rejected, nor who is replaced by a later row counts.
        worker(4, Team="Contractors"),
        worker(5, State="?"),
        worker(2, Team="Later"),
    ]
    code, said, _ = previewed(feed, csv_of(people))
    notes = [line.removeprefix("note: ") for line in said if line.startswith("note: ")]
    assert (code, notes) == (
        3,
        [
            f"2 rows: 'Login', which becomes {mail}, does not look like a mail address "
            "(Entra refuses such a mail when it creates the account)",
            "1 row: 'Boss', which becomes manager.value, names the person as their own manager "
            '(to leave it out: IIF([Boss] = [WorkerID], "", [Boss]) with the column of externalId)',
        ],
    )

    account.feed("people", feed)
    account.drop("people/today.csv", csv_of(people))
    summary = account.bring_home("people")
    assert summary["notes"] == notes
    assert (summary["rows"], summary["outcomes"]) == (
        rows(sent=3, rejected=1, filtered=1, duplicate=1),
        outcomes(created=3),
    )
    assert sorted(graph.people) == ids(workers(3))


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ("", frozenset()),
        ("empty: null\n", frozenset({"title", "nickName", "department"})),
        ("empty: {default: null, nickName: omit}\n", frozenset({"title", "department"})),
    ],
)
def test_an_empty_value_is_sent_as_json_null_where_the_feed_says_so(
    account: Account, graph: Stranger, previewed: Previewer, rule: str, kept: frozenset[str]
) -> None:
    mapping = f"""\
mapping:
  externalId: "[Number]"
  active: Switch([State], [State], "Active", "True", "Left", "False")
  displayName: Join(" ", [Given], [Family])
  title: "[Phone]"
  nickName: "[Hired]"
  {ENTERPRISE_USER}:department: "[Team]"
"""
    feed = f"{feed_file().partition('mapping:')[0]}{mapping}{rule}"
    content = csv_of([worker(1, Phone="", Hired="", Team="")])
    expected: dict[str, Any] = {
        "externalId": "7001",
        "active": True,
        "displayName": "Zyx~given1 Zyx~family1",
        **{name: None for name in ("title", "nickName") if name in kept},
        **({ENTERPRISE_USER: {"department": None}} if "department" in kept else {}),
    }
    code, said, bodies = previewed(feed, content)
    user = users(bodies)["7001"]
    assert (code, said) == (0, ["1 rows: 1 send; 1 bulk requests"])
    assert {name: value for name, value in user.items() if name != "schemas"} == expected

    account.feed("people", feed)
    account.drop("people/today.csv", content)
    account.tick_here()
    assert graph.bodies == bodies


def test_a_lookup_table_beside_the_feed_file_is_used_and_mends_a_drop_that_lacked_it(
    account: Account, graph: Stranger, previewed: Previewer
) -> None:
    department = f"{ENTERPRISE_USER}:department"
    feed = feed_file().replace(f'{department}: "[Team]"', f'{department}: Lookup([Team], "none", "teams")')
    feed += "lookup: {teams: {file: teams.csv, key: code, value: title}}\n"
    table = "title,code\nWorks Königsberg,W\nSales,S\n".encode()
    content = csv_of([worker(1, Team="W"), worker(2, Team="S"), worker(3, Team="?")])
    (previewed.folder / "teams.csv").write_bytes(table)
    wanted = {"7001": "Works Königsberg", "7002": "Sales", "7003": "none"}
    bodies = previewed(feed, content)[2]
    assert {key: user[ENTERPRISE_USER]["department"] for key, user in users(bodies).items()} == wanted

    account.feed("people", feed)
    account.drop("people/today.csv", content)
    account.tick_here()
    summary = account.summary("people")
    assert (summary["state"], summary["problem"]["code"], graph.bodies) == ("rejected", "feed", [])
    assert "teams.csv" in summary["problem"]["message"]

    config(account, "teams.csv", table)
    account.bring_home("people")
    assert account.summary("people")["outcomes"] == outcomes(created=3)
    assert graph.bodies == bodies


@pytest.mark.parametrize(
    ("trailer", "state", "counted"),
    [
        ("TRAILER;3\r\n", "settled", rows(sent=3)),
        ("TRAILER;4\r\n", "rejected", rows(rejected=3)),
        ("", "rejected", rows(rejected=2)),
    ],
)
def test_a_trailer_that_states_another_count_rejects_the_drop_and_nobody_is_sent(
    account: Account, graph: Stranger, trailer: str, state: str, counted: dict[str, int]
) -> None:
    account.feed("people", f"{feed_file()}file: {{footer: {{lines: 1, count: 'TRAILER;([0-9]+)'}}}}\n")
    account.drop("people/today.csv", csv_of(workers(3)) + trailer.encode())
    summary = account.bring_home("people")
    assert (summary["state"], summary["rows"], adds_up(summary)) == (state, counted, True)
    assert graph.people == (ids(workers(3)) if state == "settled" else [])
    said = {
        "TRAILER;3\r\n": None,
        "TRAILER;4\r\n": "the trailer states 4 rows, but the file has 3",
        "": "no trailer line states a count of rows as file: footer: count describes it",
    }[trailer]
    problem = summary["problem"]
    assert (problem["message"].partition(";")[0] if problem else None) == said


def test_where_the_header_is_missing_nothing_that_is_left_behind_has_the_first_person(
    account: Account, graph: Stranger
) -> None:
    account.feed("people")
    account.drop("people/today.csv", csv_of(workers(2)).partition(b"\r\n")[2])
    # The command's output is searched for people, and so is the log.
    tick = account.tick()
    problem = account.summary("people")["problem"]
    assert (tick.code, graph.bodies) == (0, [])
    assert problem == {
        "code": "drop",
        "message": "the header row has none of the 9 columns that the mapping names",
        "advice": "the first row must name the columns; if it does not, list them under file: header",
    }
    left = account.runs() | account.summaries()
    left = {name: gzip.decompress(content) if name.endswith(".gz") else content for name, content in left.items()}
    assert [name for name, content in left.items() if leaks(content.decode())] == []


@pytest.mark.parametrize(
    ("encoding", "declared", "note"),
    [
        ("windows-1252", False, True),
        ("windows-1252", True, False),
        ("utf-8", False, False),
    ],
)
def test_an_encoding_that_was_a_guess_is_named_in_the_summary_and_its_page(
    account: Account, graph: Stranger, previewed: Previewer, encoding: str, declared: bool, note: bool
) -> None:
    feed = feed_file() + (f"file: {{encoding: {encoding}}}\n" if declared else "")
    content = csv_of([worker(1, Family="Zyx~familÿ Müller–Ærø")]).decode().encode(encoding)
    guess = (
        "encoding: windows-1252 (a guess: the file is not UTF-8; file: encoding in the feed file says it for certain)"
    )
    notes = [guess] if note else []
    assert previewed(feed, content)[1][1:] == [f"note: {text}" for text in notes]

    account.feed("people", feed)
    account.drop("people/today.csv", content)
    account.tick_here()
    summary = account.summary("people")
    assert summary["notes"] == notes
    page = account.summaries()[f"people/{summary['run']}.html"].decode()
    assert ("windows-1252 (a guess" in page) is note
    assert users(graph.bodies)["7001"]["name"]["familyName"] == "Zyx~familÿ Müller–Ærø"


def operation(number: int, *, bulk_id: str = "701984", **changes: Any) -> dict[str, Any]:
    """As in the quickstart's body, with the bulkId that its copies all have."""
    user = {
        "schemas": [CORE_USER, ENTERPRISE_USER],
        "externalId": str(7000 + number),
        "userName": f"zyx~{number}@contoso.com",
        "name": {"formatted": f"Ms. Zyx~given{number} Zyx~family{number}, III", "familyName": f"Zyx~family{number}"},
        "emails": [{"value": f"zyx~{number}@contoso.com", "type": "work", "primary": True}],
        "active": True,
        ENTERPRISE_USER: {"employeeNumber": str(7000 + number), "manager": {"value": "7001"}},
    }
    return {"method": "POST", "bulkId": bulk_id, "path": "/Users", "data": user} | changes


def bulk_request(operations: list[dict[str, Any]]) -> bytes:
    return json.dumps({"schemas": [BULK_REQUEST], "Operations": operations, "failOnErrors": None}).encode()


SCIM = [
    *(operation(number) for number in range(1, 61)),
    operation(1, method="PUT"),
    operation(61, path="/Groups"),
    *(operation(number, bulk_id="") for number in range(70, 100)),
    # Somebody of the first request again: the later record is the one that counts.
    operation(5, bulk_id="x"),
]


def test_a_scim_drop_is_validated_cut_anew_and_given_bulk_ids_that_are_unique(previewed: Previewer) -> None:
    content = b"\n".join((bulk_request(SCIM[:61]), bulk_request(SCIM[61:]), b""))
    code, said, bodies = previewed(feed_file(), content, "today.jsonl")
    assert (code, said) == (
        3,
        [
            "93 rows: 90 send, 2 rejected, 1 duplicate; 2 bulk requests",
            "row 5 (externalId 7005): duplicate: a later row, 93, has the same externalId; that one was used",
            "row 61: the operation's method is not POST (every operation is a POST (bulkUpload))",
            "row 62: the operation's path is not /Users (every operation has the path /Users)",
        ],
    )
    assert [len(body["Operations"]) for body in bodies] == [50, 40]
    operations = [made for body in bodies for made in body["Operations"]]
    assert len({made["bulkId"] for made in operations}) == len(operations)
    assert {(made["method"], made["path"]) for made in operations} == {("POST", "/Users")}
    # The people are whose they were, to the last value.
    wanted = [made["data"] for row, made in enumerate(SCIM, start=1) if row not in {5, 61, 62}]
    assert [made["data"] for made in operations] == wanted


def test_a_scim_drop_is_uploaded_and_settled_whatever_the_feeds_mapping_says(
    account: Account, sandbox: Sandbox
) -> None:
    entra = account.with_settings(**sandbox.identity_environment())
    entra.feed("people", feed_file() + WHERE)
    entra.drop("people/today.jsonl", b"\n".join((bulk_request(SCIM[:61]), bulk_request(SCIM[61:]))))
    summary = entra.bring_home("people")
    assert (summary["state"], summary["rows"], summary["outcomes"]) == (
        "settled",
        rows(sent=90, rejected=2, duplicate=1),
        outcomes(created=90),
    )
    assert (sandbox.report.uploads, sandbox.report.accepted, sandbox.report.duplicate_people) == (2, 2, 0)
    assert sandbox.report.people_received == {str(7000 + n) for n in (*range(1, 61), *range(70, 100))}


def test_a_body_that_is_no_bulk_request_rejects_the_drop(account: Account, graph: Stranger) -> None:
    account.feed("people", feed_file() + "file: {format: scim}\n")
    account.drop("people/today.json", json.dumps({"schemas": [CORE_USER], "Operations": [operation(1)]}).encode())
    summary = account.bring_home("people")
    assert (summary["state"], graph.bodies) == ("rejected", [])
    assert summary["problem"]["message"].startswith(f"bulk request 1 lacks the schema {BULK_REQUEST}")
