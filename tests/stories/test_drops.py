"""Which blobs are drops: leftovers of transfers, `files: {match, ignore}`, and markers that a drop waits for."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from connector.outside.system_clock import SystemClock
from connector.reporting.terminal import unplanned_lines
from tests.kit.account import Account, outcomes
from tests.kit.people import csv_of, feed_file, ids, workers
from tests.kit.privacy import Collector
from tests.kit.stranger import Stranger

LEFTOVERS = (
    "today.csv.tmp",
    "TODAY.TMP",
    "today.csv.part",
    "today.csv.filepart",
    ".today.csv.Xy12",
    ".DS_Store",
    "2026/today.csv.part",
    "2026/.today.csv",
)


class Later(SystemClock):
    """The machine's clock, as it will be."""

    def __init__(self, by: timedelta) -> None:
        self._by = by

    def now(self) -> datetime:
        return super().now() + self._by


def with_files(rules: str) -> str:
    return f"{feed_file()}files: {rules}\n"


def dropped(account: Account) -> list[str]:
    """The names of the blobs that have a run, by the runs' own state."""
    states = (json.loads(data) for name, data in account.runs().items() if name.endswith("/run.json"))
    return sorted(state["drop"]["name"] for state in states)


def told(account: Account, *, later: timedelta = timedelta()) -> list[str]:
    """What a tick of then prints of blobs without a run."""

    async def ticked() -> list[str]:
        async with account.pipeline(Later(later)) as pipeline:
            await pipeline.on_tick()
            return [line for unplanned in pipeline.unplanned for line in unplanned_lines(unplanned)]

    return asyncio.run(ticked())


def event(account: Account, path: str, *, later: timedelta = timedelta()) -> None:
    """The blob's event."""

    async def delivered() -> None:
        async with account.pipeline(Later(later)) as pipeline:
            await pipeline.on_drop(path)

    asyncio.run(delivered())


def logged(collected: Collector, message: str) -> list[tuple[str, object]]:
    """Since the last look: (feed, what it counts or names) of the records of one event."""
    records = [record for record in collected.take() if record.getMessage() == message]
    return [(vars(record)["feed"], vars(record).get("blobs", vars(record).get("run"))) for record in records]


def test_leftovers_and_folders_are_ignored_and_counted_in_a_ticks_output(account: Account, graph: Stranger) -> None:
    account.feed("people")
    for name in LEFTOVERS:
        account.drop(f"people/{name}", csv_of(workers(1)))
    account.drop("people/archive/", b"")
    folder = account.service.get_blob_client(account.containers["INBOX_CONTAINER"], "people/2026")
    folder.upload_blob(b"", metadata={"hdi_isfolder": "true"})
    account.drop("people/today.csv", csv_of(workers(2)))

    tick = account.tick()

    assert (tick.code, tick.errors, dropped(account)) == (0, "", ["today.csv"])
    assert tick.lines[-1] == "people: 10 blobs ignored (folders, leftovers of transfers, or not matched by files:)"
    assert [line.partition(" ")[0] for line in tick.lines] == ["people", "people:"]
    assert graph.people == ids(workers(2))


def test_ignored_blobs_are_counted_by_feed_in_the_log(account: Account, graph: Stranger, collected: Collector) -> None:
    for path in ("north/a.tmp", "north/b.part", "south/a.tmp", "nobody/.c"):
        account.drop(path, b"half")
    collected.take()
    account.tick_here()
    assert sorted(logged(collected, "blobs ignored")) == [("nobody", 1), ("north", 2), ("south", 1)]
    assert (account.runs(), account.summaries()) == ({}, {})


@pytest.mark.parametrize("path", ["people/today.csv.tmp", "people/archive/", "people/2026"])
def test_the_event_of_what_is_no_drop_makes_no_run(account: Account, graph: Stranger, path: str) -> None:
    account.feed("people")
    blob = account.service.get_blob_client(account.containers["INBOX_CONTAINER"], path)
    blob.upload_blob(b"", metadata={"hdi_isfolder": "true"} if path.endswith("2026") else None)
    event(account, path)
    assert (account.runs(), account.summaries(), graph.bodies) == ({}, {}, [])


def test_match_and_ignore_choose_by_the_name_without_its_folder_and_in_any_case(
    account: Account, graph: Stranger
) -> None:
    account.feed("people", with_files('{match: ["*.csv", "hr-?.txt"], ignore: ["*_test*"]}'))
    drops = ("2026/B.CSV", "a.csv", "csv/hr-1.txt")
    others = ("d.txt", "hr-12.txt", "a_test.csv", "2026/B_TEST.csv", "a.csv.bak", "test_x/e.pdf", "f.csv.tmp")
    for name in (*drops, *others):
        account.drop(f"people/{name}", csv_of(workers(1)))
    assert told(account) == ["people: 7 blobs ignored (folders, leftovers of transfers, or not matched by files:)"]
    assert dropped(account) == list(drops)


def test_a_changed_rule_makes_a_drop_of_what_was_ignored(account: Account, graph: Stranger) -> None:
    account.feed("people", with_files('{match: ["*.txt"]}'))
    account.drop("people/today.csv", csv_of(workers(2)))
    assert (told(account), dropped(account)) == (
        ["people: 1 blob ignored (folders, leftovers of transfers, or not matched by files:)"],
        [],
    )
    account.feed("people", with_files('{match: ["*.csv"]}'))
    assert (told(account), dropped(account)) == ([], ["today.csv"])


@pytest.mark.parametrize(
    ("first", "ready"),
    [("drop", "{name}.done"), ("marker", "{name}.done"), ("marker", "ready_{name}"), ("drop", "{name}.tmp")],
)
def test_a_drop_waits_for_its_marker_whichever_lands_first(
    account: Account, graph: Stranger, first: str, ready: str
) -> None:
    account.feed("people", with_files(f'{{ready: "{ready}"}}'))
    both = {
        "drop": ("people/2026/today.csv", csv_of(workers(2))),
        "marker": (f"people/2026/{ready.replace('{name}', 'today.csv')}", b""),
    }
    account.drop(*both.pop(first))
    assert (told(account), account.runs(), graph.bodies) == ([], {}, [])
    (second,) = both.values()
    account.drop(*second)
    account.bring_home("people")
    assert (dropped(account), account.summary("people")["outcomes"]) == (["2026/today.csv"], outcomes(created=2))
    assert (told(account), graph.people) == ([], ids(workers(2)))


def test_a_marker_of_another_folder_or_drop_does_not_count(account: Account, graph: Stranger) -> None:
    account.feed("people", with_files('{ready: "{name}.done"}'))
    account.drop("people/today.csv", csv_of(workers(2)))
    for marker in ("2026/today.csv.done", "yesterday.csv.done", "today.done", ".done"):
        account.drop(f"people/{marker}", b"")
    # A name that is nothing but the marker's suffix belongs to no drop: it is a leftover.
    assert told(account) == ["people: 1 blob ignored (folders, leftovers of transfers, or not matched by files:)"]
    assert (dropped(account), graph.bodies) == ([], [])


def test_the_markers_event_plans_the_drop_and_the_drops_own_does_not(account: Account, graph: Stranger) -> None:
    account.feed("people", with_files('{ready: "{name}.done"}'))
    account.drop("people/today.csv", csv_of(workers(2)))
    event(account, "people/today.csv")
    assert (account.runs(), graph.bodies) == ({}, [])
    account.drop("people/today.csv.done", b"")
    event(account, "people/today.csv.done")
    assert (dropped(account), graph.people) == (["today.csv"], ids(workers(2)))
    before = account.versions()
    event(account, "people/today.csv.done")
    event(account, "people/today.csv")
    assert (account.versions(), graph.people) == (before, ids(workers(2)))


def test_a_marker_that_has_not_come_after_a_day_is_reported_once_a_tick(
    account: Account, graph: Stranger, collected: Collector
) -> None:
    account.feed("people", with_files('{ready: "{name}.done"}'))
    account.drop("people/today.csv", csv_of(workers(2)))
    inbox = account.service.get_container_client(account.containers["INBOX_CONTAINER"])
    landed = inbox.get_blob_client("people/today.csv").get_blob_properties().last_modified
    collected.take()

    assert (told(account, later=timedelta(hours=23)), logged(collected, "marker missing")) == ([], [])
    for _ in range(2):
        assert told(account, later=timedelta(hours=25)) == [
            "people: 1 drop waits for a marker (files: ready) that is overdue; "
            f"landed {landed.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        ]
        ((feed, run),) = logged(collected, "marker missing")
        assert (feed, str(run).partition("-")[0]) == ("people", f"{landed:%Y%m%dT%H%M%SZ}")
    # Each event of a feed sweeps it, and there may be thousands.
    event(account, "people/today.csv", later=timedelta(hours=25))
    assert (logged(collected, "marker missing"), account.runs(), account.summaries()) == ([], {}, {})

    account.drop("people/today.csv.done", b"")
    assert (told(account, later=timedelta(hours=25)), logged(collected, "marker missing")) == ([], [])
    assert (dropped(account), graph.people) == (["today.csv"], ids(workers(2)))


def test_a_fault_elsewhere_in_the_feed_file_makes_no_runs_of_markers_and_ignored_blobs(
    account: Account, graph: Stranger
) -> None:
    rules = with_files('{ignore: ["*.pdf"], ready: "{name}.done"}')
    account.feed("people", rules.replace("Join(", "Jion(").replace("https://graph.microsoft.com", "https://elsewhere"))
    for name in ("today.csv", "today.csv.done", "waits.csv", "manual.pdf"):
        account.drop(f"people/{name}", csv_of(workers(2)))
    assert told(account) == ["people: 1 blob ignored (folders, leftovers of transfers, or not matched by files:)"]
    summary = account.summary("people")
    assert (dropped(account), summary["state"], summary["problem"]["code"]) == (["today.csv"], "rejected", "feed")

    account.feed("people", rules)
    account.bring_home("people")
    assert (dropped(account), account.summary("people")["outcomes"]) == (["today.csv"], outcomes(created=2))
