"""The demo runs the registered functions to a settled summary, and a wrong binding breaks it."""

from __future__ import annotations

import csv
import json
import logging
import os
import re
import signal
import subprocess
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from azure.storage.blob import BlobClient
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from connector.sandbox.demo import Pace, demo
from connector.sandbox.faults import Action, Endpoint, Rule
from connector.sandbox.host import BlobFunction, TimerFunction, ncrontab_fault, registered
from connector.sandbox.sample import sample
from connector.sandbox.screen import Screen, Trouble, last_screen, rejects_of
from connector.sandbox.servers import PROJECT, Azurite
from connector.sandbox.settings import SandboxSettings
from connector.vocabulary.errors import Fault, Unusable
from connector.vocabulary.run import Problem, ProblemCode, State, Times
from connector.vocabulary.summary import Outcomes, Rows, Summary, SummaryDrop
from tests.kit.account import PATIENCE, interruptible

Storage = Callable[[], AbstractContextManager[Azurite]]
QUICK = Pace(entra=SandboxSettings.immediate(), tick=0.05)
APP = (PROJECT / "function_app.py").read_text(encoding="utf-8")
HR_STORAGE = {"HR_STORAGE": "UseDevelopmentStorage=true"}

OWN_FEED = """\
endpoint: https://graph.microsoft.us/v1.0/servicePrincipals/0aa1/synchronization/jobs/API2AAD.x.y/bulkUpload
mapping:
  externalId: "[Key]"
  userName: Join("@", [Login], "elsewhere.test")
  active: true
  urn:ietf:params:scim:schemas:extension:fabrikam:2.0:User:Desk: "[Desk]"
"""


@pytest.fixture
def own(tmp_path: Path) -> tuple[Path, Path]:
    """A drop of three rows and its feed file: another job, domain and custom attribute than the sample's."""
    drop, feed = tmp_path / "desks.csv", tmp_path / "desks.yaml"
    drop.write_text("Key,Login,Desk,Grade\n1,ada,A1,7\n2,grace,B2,7\n2,grace,B3,7\n", encoding="utf-8")
    feed.write_text(OWN_FEED, encoding="utf-8")
    return drop, feed


@pytest.fixture
def storage(azurite: Azurite, containers: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Storage:
    """The tests' account instead of a new one: to start one takes as long as the rest of a small demo."""
    for name, value in containers.items():
        monkeypatch.setenv(name, value)
    return lambda: nullcontext(azurite)


def altered(folder: Path, old: str, new: str) -> Path:
    """A folder whose function_app.py differs from ours in one place."""
    assert APP.count(old) == 1, old
    (folder / "function_app.py").write_text(APP.replace(old, new), encoding="utf-8")
    return folder


# ---- the demo as a whole


def test_the_sample_goes_from_the_inbox_to_a_settled_summary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drop, environment, handlers = sample(), dict(os.environ), list(logging.getLogger().handlers)

    assert demo(None, None, tmp_path, pace=QUICK) == 0

    shown = capsys.readouterr()
    assert shown.err == ""
    assert "1,000  = 6 rejected + 1 duplicate + 993 sent  ✓" in shown.out
    assert "993  = 991 created + 2 failed  ✓" in shown.out
    (html,) = tmp_path.glob("employees/*.html")
    assert str(html) in shown.out
    assert {path.name for path in (tmp_path / "employees").iterdir()} == {
        "latest.json",
        *(f"{html.stem}.{kind}" for kind in ("html", "json", "outcomes.csv", "rejects.csv")),
    }
    summary = json.loads((tmp_path / "employees" / "latest.json").read_bytes())
    assert summary["state"] == "settled"
    assert summary["rows"]["total"] == 1000
    with html.with_suffix(".outcomes.csv").open(encoding="utf-8", newline="") as lines:
        failed = {line["externalId"]: line["code"] for line in csv.DictReader(lines) if line["outcome"] == "failed"}
    assert failed == drop.failures
    with html.with_suffix(".rejects.csv").open(encoding="utf-8", newline="") as lines:
        assert {int(line["row"]) for line in csv.DictReader(lines)} == {*drop.rejected, *drop.duplicates}
    # Whoever runs it in a process of theirs gets everything back as it was.
    assert dict(os.environ) == environment
    assert logging.getLogger().handlers == handlers


def test_a_file_of_ones_own_meets_an_entra_that_has_its_job_and_takes_its_attributes(
    own: tuple[Path, Path], tmp_path: Path, storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo(*own, tmp_path / "out", pace=QUICK, storage=storage) == 0
    shown = capsys.readouterr().out
    assert "3  = 1 duplicate + 2 sent  ✓" in shown
    assert "2  = 2 created  ✓" in shown
    log = (tmp_path / "out" / "demo.log").read_text(encoding="utf-8")
    assert "run settled" in log
    assert re.search("ada|grace|elsewhere", log) is None


def test_tables_beside_the_feed_file_come_along(own: tuple[Path, Path], tmp_path: Path, storage: Storage) -> None:
    (tmp_path / "grades.csv").write_text("Grade,Title\n7,Fellow\n", encoding="utf-8")
    title = '  title: Lookup([Grade], "", "grades")\nlookup:\n  grades: {file: grades.csv}\n'
    own[1].write_text(OWN_FEED + title, encoding="utf-8")
    assert demo(*own, tmp_path / "out", pace=QUICK, storage=storage) == 0


def test_a_drop_that_cannot_be_used_is_shown_with_the_reason_and_exit_1(
    own: tuple[Path, Path], tmp_path: Path, storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    own[0].write_text("Key,Login,Grade\n1,ada,7\n", encoding="utf-8")
    assert demo(*own, tmp_path / "out", pace=QUICK, storage=storage) == 1
    shown = capsys.readouterr().out
    assert "Plan      FAILED Nothing was sent: the file could not be used." in shown
    assert "there is no column 'Desk'" in shown
    assert "rejected after" in shown


def test_a_run_that_only_an_administrator_can_help_ends_the_demo_with_exit_1(
    own: tuple[Path, Path], tmp_path: Path, storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    forbidden = replace(QUICK, uploads=(Rule(on=Endpoint.UPLOAD, do=Action.STATUS, status=403),))
    assert demo(*own, tmp_path / "out", pace=forbidden, storage=storage) == 1
    shown = capsys.readouterr().out
    assert re.search(r"Send +FAILED .*403", shown)
    assert "sending after" in shown


@pytest.mark.parametrize("given", ["file", "feed"])
def test_a_file_and_its_feed_file_go_together(own: tuple[Path, Path], tmp_path: Path, given: str) -> None:
    drop, feed = own
    with pytest.raises(Unusable, match=r"demo: a file of your own and its feed file go together"):
        demo(drop if given == "file" else None, feed if given == "feed" else None, tmp_path)


def test_files_that_are_not_there_are_named(own: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(Unusable, match=r"nowhere\.csv: No such file or directory"):
        demo(tmp_path / "nowhere.csv", own[1], tmp_path / "out")


def test_a_name_that_the_feed_does_not_take_is_refused_before_anything_starts(
    own: tuple[Path, Path], tmp_path: Path
) -> None:
    drop, feed = own
    feed.write_text(f"{feed.read_text(encoding='utf-8')}files: {{match: ['*.txt']}}\n", encoding="utf-8")
    with pytest.raises(Unusable, match=r"by its `files` rules desks\.csv is no drop"):
        demo(drop, feed, tmp_path / "out")


def test_a_binding_that_does_not_match_the_drop_breaks_the_demo(own: tuple[Path, Path], tmp_path: Path) -> None:
    folder = altered(tmp_path, "{bindings.inbox}/{{feed}}/{{name}}", "{bindings.inbox}/in/{{feed}}/{{name}}")
    with pytest.raises(Unusable) as caught:
        demo(*own, tmp_path / "out", pace=QUICK, functions=folder)
    assert str(caught.value) == (
        "function_app.py: no blob trigger takes the blob inbox/desks/desks.csv: "
        "declared is 'inbox/in/{feed}/{name}' (on_drop)"
    )


@pytest.mark.skipif(not hasattr(signal, "SIGINT") or os.name == "nt", reason="Windows has no SIGINT to send")
def test_ctrl_c_stops_all_that_was_started_and_exits_130(tmp_path: Path) -> None:
    mark = uuid.uuid4().hex
    with subprocess.Popen(
        interruptible("demo", "--out", str(tmp_path)),
        cwd=PROJECT,
        env={**os.environ, "DEMO_TEST_MARK": mark},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        try:
            # Storage, the local Entra and the function are all at work then.
            seen = ""
            for line in process.stdout:
                seen += line
                if "Plan      ok" in line:
                    break
            assert len(processes_marked(mark)) == 2, seen
            process.send_signal(signal.SIGINT)
            rest = process.communicate(timeout=PATIENCE)[0]
        finally:
            process.kill()
    assert process.returncode == 130
    assert rest.endswith("\nInterrupted: storage and the local Entra are stopped, nothing is left running.\n")
    assert "Traceback" not in rest
    assert processes_marked(mark) == []


def processes_marked(mark: str) -> list[int]:
    """Ids of the living processes with this mark in their environment, which children inherit."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"DEMO_TEST_MARK={mark}".encode() in environment.read_bytes().split(b"\0"):
                found.append(int(environment.parent.name))
        except OSError:
            # It has ended, or it is somebody else's.
            continue
    return found


# ---- the host


def test_our_own_functions_are_found_by_what_they_declare() -> None:
    functions = registered(PROJECT, HR_STORAGE)
    assert [(f.name, f.argument, f.path, f.connection) for f in functions.blob] == [
        ("on_drop", "drop", "inbox/{feed}/{name}", "HR_STORAGE")
    ]
    assert [(f.name, f.argument, f.schedule) for f in functions.timer] == [("on_tick", "timer", "0 */5 * * * *")]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('connection="HR_STORAGE"', 'connection="HR_STORE"', "on_drop: the connection 'HR_STORE' is no app setting"),
        (
            "source=func.BlobSource.EVENT_GRID",
            "source=func.BlobSource.LOGS_AND_CONTAINER_SCAN",
            "on_drop: the blob trigger's source is not EventGrid, and Flex Consumption has no other",
        ),
        ("drop: blob.BlobClient", "drop: str", "on_drop: the parameter 'drop' is not annotated as a BlobClient"),
        ("timer: func.TimerRequest", "timer", "on_tick: the parameter 'timer' is not annotated as a TimerRequest"),
        (
            "schedule=bindings.schedule",
            'schedule="*/5 * * * *"',
            "on_tick: the schedule '*/5 * * * *' is no NCRONTAB expression: it has 5 fields and not 6 "
            "({second} {minute} {hour} {day} {month} {day of the week})",
        ),
        (
            "schedule=bindings.schedule",
            'schedule="%NIGHTLY%"',
            "on_tick: the schedule '0 0 25 * * *' is no NCRONTAB expression: "
            "the hour '25' is not made of *, 0 to 23, ranges, lists and steps",
        ),
        (
            '@app.timer_trigger(arg_name="timer", schedule=bindings.schedule, use_monitor=True)',
            '@app.route(route="timer")',
            "no function has a timer trigger",
        ),
    ],
)
def test_a_binding_that_the_host_would_not_fire_is_a_fault(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(Unusable) as caught:
        registered(altered(tmp_path, old, new), {**HR_STORAGE, "NIGHTLY": "0 0 25 * * *"})
    assert caught.value.faults == (Fault(message=message, column=message.partition(":")[0] if ":" in message else ""),)


def test_a_folder_without_functions_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match=rf"function_app\.py: there is none in {re.escape(str(tmp_path))}"):
        registered(tmp_path, HR_STORAGE)


@pytest.mark.parametrize(
    ("path", "blob", "matches"),
    [
        ("inbox/{feed}/{name}", "employees/people.csv", True),
        ("inbox/{feed}/{name}", "employees/2026/11/people.csv", True),
        ("inbox/{feed}/{name}", "people.csv", False),
        ("inbox/{name}", "employees/people.csv", True),
        ("inbox/{feed}/{name}.csv", "employees/people.xlsx", False),
        ("inbox/{feed}/{name}.csv", "employees/people.csv", True),
        ("inbox/a.b/{name}", "aXb/people.csv", False),
        ("outbox/{feed}/{name}", "employees/people.csv", False),
    ],
)
def test_a_blob_matches_a_declared_path(path: str, blob: str, matches: bool) -> None:
    function = BlobFunction(name="f", argument="drop", path=path, connection="HR_STORAGE", call=print)
    assert function.matches("inbox", blob) is matches


async def test_functions_get_what_their_triggers_pass() -> None:
    passed: list[object] = []

    async def on_blob(drop: BlobClient) -> None:
        passed.append((drop.container_name, drop.blob_name))

    def on_time(timer: object) -> None:
        passed.append(getattr(timer, "past_due"))  # noqa: B009 (an object as far as this function knows)

    blob = BlobClient("http://127.0.0.1:1/account", "inbox", "employees/people.csv")
    await BlobFunction(name="b", argument="drop", path="inbox/{x}", connection="HR_STORAGE", call=on_blob).fire(blob)
    await TimerFunction(name="t", argument="timer", schedule="0 * * * * *", call=on_time).fire()
    assert passed == [("inbox", "employees/people.csv"), False]


@pytest.mark.parametrize(
    "schedule",
    ["0 */5 * * * *", "0 30 9 * Jan Mon", "*/15 * * * * *", "0 0 8-17/2 1,15 1-12 mon-fri", "59 59 23 31 12 6"],
)
def test_the_host_takes_these_schedules(schedule: str) -> None:
    assert ncrontab_fault(schedule) == ""


@pytest.mark.parametrize(
    ("schedule", "fault"),
    [
        ("60 * * * * *", "the second '60' is not made of *, 0 to 59, ranges, lists and steps"),
        ("0 */0 * * * *", "the minute '*/0' has a step that is no number"),
        ("0 0 5-3 * * *", "the hour '5-3' is not made of *, 0 to 23, ranges, lists and steps"),
        ("0 0 0 0 * *", "the day '0' is not made of *, 1 to 31, ranges, lists and steps"),
        ("0 0 0 * 1-2-3 *", "the month '1-2-3' is not made of *, 1 to 12, ranges, lists and steps"),
        ("0 0 0 * * 7", "the day of the week '7' is not made of *, 0 to 6, ranges, lists and steps"),
    ],
)
def test_the_host_takes_no_such_schedule(schedule: str, fault: str) -> None:
    assert ncrontab_fault(schedule) == fault


@given(st.text())
def test_no_text_breaks_the_check_of_schedules(schedule: str) -> None:
    assert ncrontab_fault(schedule) or len(schedule.split()) == 6


# ---- the screen

SUMMARY = Summary(
    feed="employees",
    run="20261124T092000Z-3f0123456789",
    state=State.SETTLED,
    drop=SummaryDrop(name="people.csv", etag="0x1", bytes=1000),
    rows=Rows(total=1000, rejected=6, duplicate=1, sent=993),
    outcomes=Outcomes(created=990, disabled=1, failed=2),
    times=Times(landed=datetime(2026, 11, 24, 9, 20, tzinfo=UTC)),
)


def plain() -> Console:
    return Console(width=90, record=True, force_terminal=False, quiet=False, highlight=False, color_system=None)


def test_the_last_screen_adds_up_before_ones_eyes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "run.html"
    last_screen(
        plain(),
        SUMMARY,
        failures=[Trouble(where="row 9 P9 and 1 more", what="failed", reason="Name taken.", advice="Choose another.")],
        rejects=[Trouble(where="row 7 P7", what="", reason="'State' is unknown", advice="")],
        took=18.4,
        report=report,
        more={"Log": "demo.log"},
    )
    assert (
        [line.rstrip() for line in capsys.readouterr().out.splitlines()]
        == f"""
╭─  employees / people.csv  ─────────────────────────────────────────────────────────────╮
│                                                                                        │
│  2 of 993 people did not get through to Entra, and 6 rows were rejected.               │
│                                                                                        │
│  rows            1,000  = 6 rejected + 1 duplicate + 993 sent  ✓                       │
│  ├─ rejected         6  ▎                                                              │
│  ├─ duplicate        1  ▏                                                              │
│  └─ sent           993  = 990 created + 1 disabled + 2 failed  ✓                       │
│     ├─ created     990  ███████████████████████████████████████████▌                   │
│     ├─ disabled      1  ▏                                                              │
│     └─ failed        2  ▏                                                              │
│                                                                                        │
│  Failures                                                                              │
│  row 9 P9 and 1 more       failed: Name taken.                                         │
│                            → Choose another.                                           │
│                                                                                        │
│  Rows that were not sent                                                               │
│  row 7 P7                  'State' is unknown                                          │
│                                                                                        │
╰─────────────────────────────────────────────────────────────────  settled after 18 s  ─╯

  Report     {report}
  Log        demo.log
""".removesuffix("\n").split("\n")
    )


def test_a_problem_of_the_run_is_shown_line_by_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = "\n".join(f"there is no column 'C{number}'" for number in range(10))
    unusable = replace(
        SUMMARY,
        state=State.REJECTED,
        rows=Rows(total=3, rejected=3),
        outcomes=Outcomes(),
        problem=Problem(code=ProblemCode.DROP, message=message, advice="mend \x1b[31mit"),
    )
    last_screen(plain(), unusable, failures=[], rejects=[], took=2, report=tmp_path / "r.html", more={})
    shown = capsys.readouterr().out
    assert [line[2:-1].strip() for line in shown.splitlines()[5:15]] == [
        "problem     there is no column 'C0'",
        *(f"there is no column 'C{number}'" for number in range(1, 8)),
        "and 2 more",
        # What an HR file holds does not steer the terminal.
        "what to do  mend  [31mit",
    ]


def test_equal_faults_of_rows_are_shown_once() -> None:
    def record(row: int, fault: str) -> dict[str, str]:
        return {"row": str(row), "externalId": f"P{row}", "column": "", "fault": fault, "advice": "do"}

    records = [record(1, "a later row, 8, won"), record(2, "odd"), record(3, "a later row, 9, won")]
    assert list(rejects_of(records)) == [
        Trouble(where="row 1 P1 and 1 more", what="", reason="a later row, 8, won", advice="do"),
        Trouble(where="row 2 P2", what="", reason="odd", advice="do"),
    ]


def test_steps_end_once_and_a_failed_one_is_remembered(capsys: pytest.CaptureFixture[str]) -> None:
    with Screen(plain(), "title", ["One", "Two", "Three"]) as screen:
        screen.show("One", "under way")
        screen.finish("One", "done")
        screen.finish("One", "done again")
        assert (screen.unfinished(), screen.failed) == ("Two", False)
        screen.show("Three", "first", done=1, of=3)
        assert screen.unfinished() == "Three"
        screen.fail("Three", "broken")
        assert screen.failed
    assert [line[9:] for line in capsys.readouterr().out.splitlines()] == [
        "",
        "One       ...    under way",
        "One       ok     done",
        "Three     FAILED broken",
    ]
