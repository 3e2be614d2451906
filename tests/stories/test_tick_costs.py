"""What a tick costs: it is what is open, and not what ever was."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from connector.sandbox.faults import Action, Endpoint, Rule, Schedule
from tests.kit.account import Account
from tests.kit.house import Counted, House
from tests.kit.people import csv_of, workers


def _settled_runs(account: Account, count: int) -> None:
    container = account.service.get_container_client(account.containers["RUNS_CONTAINER"])
    for number in range(count):
        name = f"people/20250101T{number:06d}Z-0123456789ab"
        container.upload_blob(f"{name}/run.json", b"{}", metadata={"state": "settled"})


@pytest.mark.parametrize("ended_runs", [0, 60])
def test_an_idle_tick_costs_a_dozen_calls_and_no_write_however_much_has_ended(
    house: Callable[..., House], ended_runs: int
) -> None:
    stage = house()
    stage.tick()
    _settled_runs(stage.account, ended_runs)
    counted = Counted()
    assert stage.tick(counted=counted) == []
    assert (counted.writes, 3 <= len(counted.calls) <= 12) == (0, True), counted.calls


def test_a_run_that_waits_for_the_log_costs_three_calls_and_no_write(house: Callable[..., House]) -> None:
    stage = house(log_delay=3600.0)
    idle = Counted()
    stage.tick()
    stage.tick(counted=idle)
    stage.healthy(120)
    for _ in range(3):
        stage.tick()
    assert stage.state("people") == ("settling", "")
    inbox = stage.account.service.get_container_client(stage.account.containers["INBOX_CONTAINER"])
    inbox.delete_blob("people/today.csv")
    before, waiting = stage.account.versions(), Counted()
    assert stage.tick(counted=waiting) == []
    assert (waiting.writes, stage.account.versions() == before) == (0, True), waiting.calls
    assert len(waiting.calls) <= len(idle.calls) + 3, (waiting.calls, idle.calls)


def test_a_run_that_waits_for_the_quota_costs_three_calls_and_no_write(house: Callable[..., House]) -> None:
    stage = house()
    stage.account.environment["SEND_QUOTA"] = "2/24h"
    stage.healthy(150)
    for _ in range(3):
        stage.tick()
    assert stage.state("people") == ("sending", "quota")
    before, waiting = stage.account.versions(), Counted()
    assert stage.tick(counted=waiting) == []
    run = stage.account.summary("people")["run"]
    assert stage.account.versions() == before
    assert len([call for call in waiting.calls if run in call]) <= 3, waiting.calls


def test_of_all_runs_that_wait_for_graph_one_alone_tries_and_none_is_written(house: Callable[..., House]) -> None:
    stage = house(Rule(on=Endpoint.UPLOAD, do=Action.STATUS, status=503, calls=((1, 99),)))
    stage.account.feed("others")
    stage.account.drop("others/today.csv", csv_of(workers(3, first=500)))
    everybody = stage.healthy()
    for _ in range(3):
        stage.tick()
    assert (stage.state("others"), stage.state("people")) == (("sending", "outage"), ("sending", "outage"))
    before, waiting = stage.account.versions(), Counted()
    assert stage.tick(counted=waiting) == []
    assert len([call for call in waiting.calls if call.endswith("/spool/000001.json")]) == 1, waiting.calls
    written = {name for name, etag in stage.account.versions().items() if before.get(name) != etag}
    assert written == {"RUNS_CONTAINER/uplink.json"}
    stage.entra.faults = Schedule([])
    stage.tick()
    stage.tick()
    assert stage.account.outcomes("people") == dict.fromkeys(everybody, "created")
    assert stage.state("others") == ("settled", "")


def test_a_run_that_is_in_no_index_is_found_once_a_day(house: Callable[..., House]) -> None:
    stage = house(Rule(on=Endpoint.UPLOAD, do=Action.STATUS, status=503, calls=((1, 9),)))
    everybody = stage.healthy()
    stage.tick()
    assert stage.state("people") == ("sending", "outage")
    container = stage.account.service.get_container_client(stage.account.containers["RUNS_CONTAINER"])
    for name in stage.account.blobs("RUNS_CONTAINER"):
        if name.startswith("_"):
            container.delete_blob(name)
    inbox = stage.account.service.get_container_client(stage.account.containers["INBOX_CONTAINER"])
    inbox.delete_blob("people/today.csv")
    stage.entra.faults = Schedule([])
    # The day's mark is gone too, so that it is due.
    for _ in range(3):
        stage.tick()
    assert stage.account.outcomes("people") == dict.fromkeys(everybody, "created")
