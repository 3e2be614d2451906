"""`python -m connector tick` as a stranger sees it: settings in, blobs and exit code out, a Graph that is not ours."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from connector.sandbox.servers import Azurite, connection_string
from tests.kit.account import Account, adds_up, ended, outcomes, rows
from tests.kit.people import csv_of, feed_file, ids, worker, workers
from tests.kit.stranger import Eavesdropper, Stranger, eavesdropper
from tests.kit.witness import witness

RUN = r"\d{8}T\d{6}Z-[0-9a-f]{12}"


@pytest.fixture
def elsewhere() -> Iterator[Eavesdropper]:
    with eavesdropper() as running:
        yield running


def test_a_drop_becomes_a_settled_summary_with_nothing_but_settings(account: Account, graph: Stranger) -> None:
    account.feed("people")
    people = workers(60)
    people[3] = worker(4, State="Left")
    people[10] = worker(11, State="Unheard of")
    people[20] = worker(5, Team="Later")
    content = csv_of(people)
    account.drop("people/today.csv", content)

    ticked = account.tick_until_settled("people")

    summary = account.summary("people")
    run = summary["run"]
    assert re.fullmatch(RUN, run)
    assert {name: summary[name] for name in ("schema", "feed", "state", "rows", "outcomes")} == {
        "schema": 1,
        "feed": "people",
        "state": "settled",
        "rows": rows(rejected=1, duplicate=1, sent=58),
        "outcomes": outcomes(created=57, disabled=1),
    }
    assert {name: summary["drop"][name] for name in ("name", "bytes")} == {"name": "today.csv", "bytes": len(content)}
    times = [datetime.fromisoformat(summary["times"][name]) for name in ("landed", "planned", "sent", "settled")]
    # Blob Storage gives whole seconds; its clock is this machine's here.
    assert times[0] <= times[1] + timedelta(seconds=1)
    assert times[1:] == sorted(times[1:])
    assert sorted(account.summaries()) == sorted(
        f"people/{name}"
        for name in (f"{run}.json", f"{run}.html", f"{run}.outcomes.csv", f"{run}.rejects.csv", "latest.json")
    )
    assert {
        "uplink.json",
        f"people/{run}/run.json",
        f"people/{run}/plan.jsonl.gz",
        f"people/{run}/events.jsonl.gz",
    } <= set(account.runs())
    assert [name for name in account.runs() if "/spool/" in name] == []
    assert account.summaries()["people/latest.json"] == account.summaries()[f"people/{run}.json"]
    assert account.rejects("people") == [(5, "7005", ""), (11, "7011", "State")]
    expected = {key: "created" for key in ids(people) if key != "7011"} | {"7004": "disabled"}
    assert account.outcomes("people") == expected
    assert sorted(graph.people) == sorted(expected)
    assert {tick.code for tick in ticked} == {0}
    assert [line for tick in ticked for line in tick.lines][-1].startswith(f"people {run} settled: 60 rows")
    assert "".join(tick.errors for tick in ticked) == ""
    assert [request for request in graph.requests if request.status not in {200, 202, 403}] == []


def test_both_sums_hold_in_every_version_of_the_summary_from_planned_to_settled(
    account: Account, azurite: Azurite, graph: Stranger
) -> None:
    account.feed("people")
    people = [*workers(120), worker(1), worker(121, State="?")]
    account.drop("people/today.csv", csv_of(people))
    graph.silent = True
    with witness(azurite.blob_service) as storage:
        seen = account.with_settings(HR_STORAGE=connection_string(storage.url, azurite.queue_service))
        seen.tick_here()
        graph.silent = False
        seen.bring_home("people")
    container = account.containers["SUMMARIES_CONTAINER"]
    run = account.summary("people")["run"]
    written: dict[str, list[Any]] = {
        name: [json.loads(body) for path, body in storage.written if path == f"{container}/people/{name}.json"]
        for name in (run, "latest")
    }
    assert [summary for version in written.values() for summary in version if not adds_up(summary)] == []
    states = [summary["state"] for summary in written[run]]
    assert list(dict.fromkeys(states)) == ["sending", "settling", "settled"]
    first, last = written[run][0], written[run][-1]
    assert (first["rows"], first["outcomes"]) == (rows(rejected=1, duplicate=1, pending=120), outcomes())
    middle = next(summary for summary in written[run] if summary["state"] == "settling")
    assert (middle["rows"], middle["outcomes"]) == (rows(rejected=1, duplicate=1, sent=120), outcomes(waiting=120))
    assert (last["rows"], last["outcomes"]) == (rows(rejected=1, duplicate=1, sent=120), outcomes(created=120))
    runs = [
        json.loads(body)["state"]
        for path, body in storage.written
        if path == f"{account.containers['RUNS_CONTAINER']}/people/{run}/run.json"
    ]
    assert list(dict.fromkeys(runs)) == ["planning", "sending", "settling", "settled"]


def test_a_run_that_waits_for_the_log_is_no_failure_and_is_printed(account: Account, graph: Stranger) -> None:
    graph.silent = True
    account.feed("people")
    account.drop("people/today.csv", csv_of(workers(2)))
    first, second = account.tick(), account.tick()
    run = account.summary("people")["run"]
    line = f"people {run} settling: 2 rows = 2 sent (2 waiting)"
    assert [(tick.code, tick.lines) for tick in (first, second)] == [(0, [line]), (0, [line])]


def test_a_log_that_stays_silent_past_the_deadline_leaves_people_unconfirmed(account: Account, graph: Stranger) -> None:
    graph.silent = True
    account.feed("people")
    account.drop("people/today.csv", csv_of(workers(2)))
    account.with_settings(SETTLE_DEADLINE="100ms").bring_home("people")
    summary = account.summary("people")
    assert (summary["state"], summary["rows"], summary["outcomes"]) == (
        "settled",
        rows(sent=2),
        outcomes(unconfirmed=2),
    )


def test_a_tick_with_nothing_to_do_prints_nothing_and_writes_nothing(account: Account, graph: Stranger) -> None:
    account.feed("people")
    account.drop("people/today.csv", csv_of(workers(2)))
    account.bring_home("people")
    before, calls = account.versions(), len(graph.requests)
    tick = account.tick()
    assert (tick.code, tick.lines, tick.errors) == (0, [], "")
    assert (account.versions(), len(graph.requests)) == (before, calls)


def test_a_server_whose_clock_is_behind_ours_settles_all_the_same(account: Account, graph: Stranger) -> None:
    graph.slow_clock = timedelta(minutes=10)
    account.feed("people")
    account.drop("people/today.csv", csv_of(workers(2)))
    account.bring_home("people")
    assert account.summary("people")["outcomes"] == outcomes(created=2)


def test_two_feeds_with_two_drops_each_all_come_home(account: Account, graph: Stranger) -> None:
    for number, feed in enumerate(("north", "south")):
        account.feed(feed)
        for drop in (1, 2):
            account.drop(f"{feed}/{drop}.csv", csv_of(workers(30, first=1000 * number + 100 * drop)))
    account.bring_home("north", "south")
    documents = [json.loads(data) for name, data in account.summaries().items() if re.search(f"{RUN}.json$", name)]
    assert {(s["feed"], s["drop"]["name"]): (s["state"], s["rows"], s["outcomes"]) for s in documents} == {
        (feed, f"{drop}.csv"): ("settled", rows(sent=30), outcomes(created=30))
        for feed in ("north", "south")
        for drop in (1, 2)
    }
    assert sorted(graph.people) == sorted(
        key for first in (100, 200, 1100, 1200) for key in ids(workers(30, first=first))
    )


def test_two_drops_of_one_feed_tell_what_each_did_to_a_person_of_both(account: Account, graph: Stranger) -> None:
    account.feed("people")
    account.drop("people/1.csv", csv_of(workers(3)))
    account.drop_a_second_later("people/2.csv", csv_of([worker(1, State="Left"), *workers(2, first=2)]))
    account.bring_home("people")
    documents = [json.loads(data) for name, data in account.summaries().items() if re.search(f"{RUN}.json$", name)]
    assert {s["drop"]["name"]: s["outcomes"] for s in documents} == {
        "1.csv": outcomes(created=3),
        "2.csv": outcomes(created=2, disabled=1),
    }


def test_two_ticks_at_once_send_everybody_once(account: Account, graph: Stranger) -> None:
    account.feed("people")
    account.drop("people/today.csv", csv_of(workers(130)))
    codes = [ended(process).code for process in [account.start("tick"), account.start("tick")]]
    account.bring_home("people")
    assert codes == [0, 0]
    assert sorted(graph.people) == sorted(ids(workers(130)))
    assert account.summary("people")["outcomes"] == outcomes(created=130)


def test_a_replaced_drop_is_a_drop_of_its_own(account: Account, graph: Stranger) -> None:
    account.feed("people")
    account.drop("people/today.csv", csv_of(workers(2)))
    account.bring_home("people")
    first = account.summary("people")["run"]
    account.drop("people/today.csv", csv_of(workers(3)))
    account.tick_here()
    account.bring_home("people")
    runs = {name.split("/")[1] for name in account.runs() if name.endswith("run.json")}
    assert (len(runs), first in runs) == (2, True)
    assert graph.people == [*ids(workers(2)), *ids(workers(3))]


def test_an_unusable_file_is_rejected_with_the_reason_and_stops_nobody_else(account: Account, graph: Stranger) -> None:
    account.feed("people")
    account.feed("broken")
    account.drop("broken/photo.csv", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00")
    account.drop("orphan/file.csv", csv_of(workers(1)))
    account.drop("people/today.csv", csv_of(workers(2)))
    tick = account.tick()
    account.bring_home("broken", "orphan", "people")
    found = {feed: account.summary(feed) for feed in ("broken", "orphan", "people")}
    assert {feed: summary["state"] for feed, summary in found.items()} == {
        "broken": "rejected",
        "orphan": "rejected",
        "people": "settled",
    }
    assert [feed for feed, summary in found.items() if not adds_up(summary)] == []
    assert tick.code == 0
    assert "no feed file" in next(line for line in tick.lines if line.startswith("orphan "))
    assert sorted(graph.people) == ids(workers(2))


def test_every_setting_that_is_missing_or_malformed_is_named_at_once(account: Account, graph: Stranger) -> None:
    wrong = account.with_settings(
        HR_STORAGE="",
        GRAPH_BASE_URL="http://graph.microsoft.com",
        SEND_LIMIT="fast",
        SETTLE_DEADLINE="soon",
        RUNS_CONTAINER="A",
    )
    tick = wrong.tick()
    assert (tick.code, tick.lines) == (2, [])
    named = ("HR_STORAGE__blobServiceUri", "GRAPH_BASE_URL", "SEND_LIMIT", "SETTLE_DEADLINE", "RUNS_CONTAINER")
    assert [name for name in named if name not in tick.errors] == []
    assert "Traceback" not in tick.errors
    assert graph.requests == []


def test_a_malformed_connection_string_is_named_and_not_shown(account: Account) -> None:
    tick = account.with_settings(HR_STORAGE="AccountName AccountKey c2VjcmV0").tick()
    assert (tick.code, tick.lines) == (2, [])
    assert "settings: the setting HR_STORAGE is no connection string (copy it whole" in tick.errors
    assert [word for word in ("Traceback", "c2VjcmV0") if word in tick.errors] == []


def test_storage_that_refuses_us_is_exit_code_1_and_no_trace(account: Account, azurite: Azurite) -> None:
    wrong_key = azurite.connection_string.replace("AccountKey=Eby8", "AccountKey=AAAA")
    tick = account.with_settings(HR_STORAGE=wrong_key).tick()
    assert (tick.code, tick.lines, "Traceback" in tick.errors) == (1, [], False)
    assert "403" in tick.errors


def test_a_feed_that_names_another_host_is_unusable_and_that_host_hears_nothing(
    account: Account, graph: Stranger, elsewhere: Eavesdropper
) -> None:
    path = "/v1.0/servicePrincipals/abc/synchronization/jobs/API2AAD.x.y/bulkUpload"
    account.feed("people", feed_file(f"{elsewhere.url}{path}"))
    account.drop("people/today.csv", csv_of(workers(2)))
    tick = account.tick()
    summary = account.summary("people")
    assert (tick.code, summary["state"], summary["problem"]["code"]) == (0, "rejected", "feed")
    assert "names the host 127.0.0.1" in summary["problem"]["message"]
    assert (elsewhere.heard, graph.bodies, graph.tokens) == ([], [], set())

    # Mended, the drop is planned again by itself.
    account.feed("people", feed_file(f"{graph.url}{path}"))
    account.tick_here()
    account.bring_home("people")
    assert (account.summary("people")["outcomes"], elsewhere.heard) == (outcomes(created=2), [])


def test_half_a_log_settles_nothing(account: Account, graph: Stranger, elsewhere: Eavesdropper) -> None:
    # Everybody is on the first page already; what the others hold, nobody knows.
    graph.next_link = f"{elsewhere.url}/v1.0/auditLogs/provisioning?$skiptoken=1"
    account.feed("people")
    account.drop("people/today.csv", csv_of(workers(2)))
    account.tick_here()
    account.tick_here()
    summary = account.summary("people")
    assert (summary["state"], summary["problem"]["code"], adds_up(summary)) == ("settling", "log", True)

    graph.next_link = ""
    account.bring_home("people")
    assert account.summary("people")["outcomes"] == outcomes(created=2)


def test_a_redirect_is_not_followed(account: Account, graph: Stranger, elsewhere: Eavesdropper) -> None:
    graph.redirect = elsewhere.url
    account.feed("people")
    account.drop("people/today.csv", csv_of(workers(2)))
    for graph.redirect_status in (301, 302, 303, 307, 308):
        before = len(graph.paths("POST"))
        account.tick_here()
        summary = account.summary("people")
        assert (summary["state"], summary["rows"]) == ("sending", rows(pending=2))
        assert (len(graph.paths("POST")) > before, elsewhere.heard) == (True, [])
        assert "redirect" in summary["problem"]["message"]

    graph.redirect = ""
    account.bring_home("people")
    assert account.summary("people")["outcomes"] == outcomes(created=2)


def test_a_next_link_and_a_location_that_lead_elsewhere_are_not_followed(
    account: Account, graph: Stranger, elsewhere: Eavesdropper
) -> None:
    graph.location = f"{elsewhere.url}/v1.0/auditLogs/provisioning"
    graph.next_link = f"{elsewhere.url}/v1.0/auditLogs/provisioning?$skiptoken=1"
    account.feed("people")
    account.drop("people/today.csv", csv_of(workers(20)))
    account.tick_here()
    account.tick_here()
    summary = account.summary("people")
    assert (summary["state"], summary["problem"]["code"]) == ("settling", "log")
    assert (adds_up(summary), elsewhere.heard) == (True, [])

    graph.next_link = ""
    account.bring_home("people")
    assert (account.summary("people")["outcomes"], elsewhere.heard) == (outcomes(created=20), [])
