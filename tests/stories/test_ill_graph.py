"""Whole ticks where Graph is ill, or somebody's clock is off: who is not concerned comes home beside it."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connector.outside.system_clock import SystemClock
from connector.sandbox.connection import flood
from connector.sandbox.faults import Action, Endpoint, Rule, Schedule
from connector.sandbox.servers import Azurite
from connector.sandbox.settings import SandboxSettings
from tests.kit.account import Account, adds_up, outcomes
from tests.kit.people import csv_of, feed_file, workers
from tests.kit.privacy import Collector
from tests.kit.servers import MakeSandbox
from tests.kit.stranger import LOG, Stranger

ILL = "API2AAD.ill.job"


class Hasty(SystemClock):
    """Sleeps a hundredth of what it is asked for, since a page that is not whole is asked for again and again."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds / 100)


class Off(SystemClock):
    """So many hours ahead."""

    def __init__(self, hours: int) -> None:
        self._ahead = timedelta(hours=hours)

    def now(self) -> datetime:
        return super().now() + self._ahead


def said(collected: Collector, name: str, field: str) -> list[Any]:
    return [vars(record)[field] for record in collected.take() if record.msg == name]


def answer(body: bytes, *headers: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def test_a_log_that_is_ill_settles_nobody_of_its_job_and_delays_nobody_else(account: Account, graph: Stranger) -> None:
    account.feed("ill", feed_file(f"{graph.url}/v1.0/servicePrincipals/s/synchronization/jobs/{ILL}/bulkUpload"))
    account.feed("people")
    account.drop("ill/today.csv", csv_of(workers(2)))
    graph.ill[ILL] = answer(b'{"value": []}')
    account.tick_here()
    whole = {"value": [event for event in graph.log if event["jobId"] == ILL]}
    assert len(whole["value"]) > 2
    endless = [event | {"id": f"{number}"} for number, event in enumerate(whole["value"] * 500)]
    again = f"{LOG}?$filter=jobId%20eq%20'{ILL}'"
    illnesses = {
        "is larger than 64 MiB": answer(flood(65), "Content-Encoding: gzip"),
        "has an error in it Busy": answer(json.dumps(whole | {"error": {"code": "Busy"}}).encode()),
        "has more than 20 entries a person": answer(json.dumps({"value": endless}).encode()),
        "lead in a circle": answer(json.dumps(whole | {"@odata.nextLink": again}).encode()),
    }
    # Whatever silence there is, it is longer than this.
    ticking = account.with_settings(SETTLE_DEADLINE="1ms")
    found: dict[str, tuple[Any, ...]] = {}
    for number, (words, graph.ill[ILL]) in enumerate(illnesses.items()):
        account.drop(f"people/{number}.csv", csv_of(workers(1, first=10 + number)))
        ticking.tick_here(Hasty())
        summary = account.summary("ill")
        problem = summary["problem"]
        found[words] = (summary["state"], summary["outcomes"], problem["code"], words in problem["message"])
        assert adds_up(summary)
    assert found == dict.fromkeys(illnesses, ("settling", outcomes(waiting=2), "log", True))
    ticking.bring_home("people", clock=Hasty())
    home = [json.loads(data) for name, data in account.summaries().items() if re.fullmatch("people/2.*json", name)]
    assert [(s["state"], s["outcomes"]) for s in home] == [("settled", outcomes(created=1))] * len(illnesses)

    del graph.ill[ILL]
    account.bring_home("ill")
    assert account.summary("ill")["outcomes"] == outcomes(created=2)


class Dragging(dict[str, bytes]):
    """What an ill log answers; each time it takes the rest of a tick's time."""

    asked = 0

    def get(self, job: str, default: Any = None) -> Any:
        self.asked += job in self
        return super().get(job, default)


def test_a_job_whose_log_takes_all_the_time_is_not_the_first_one_every_time(account: Account, graph: Stranger) -> None:
    account.feed("ill", feed_file(f"{graph.url}/v1.0/servicePrincipals/s/synchronization/jobs/{ILL}/bulkUpload"))
    account.feed("people")
    for feed in ("ill", "people"):
        account.drop(f"{feed}/today.csv", csv_of(workers(1)))
    graph.silent = True
    account.tick_here()
    graph.silent = False
    dragging = graph.ill = Dragging({ILL: answer(b"x" * 9, "Content-Encoding: br")})

    class Slow(SystemClock):
        def monotonic(self) -> float:
            return super().monotonic() + 700.0 * dragging.asked

    account.bring_home("people", clock=Slow())
    assert account.summary("people")["outcomes"] == outcomes(created=1)
    assert account.summary("ill")["state"] == "settling"


@pytest.mark.parametrize("hours", [30, -30], ids=["ahead", "behind"])
def test_an_instance_whose_clock_is_off_by_a_day_leaves_nobody_unconfirmed_before_it_is_time(
    account: Account, graph: Stranger, collected: Collector, hours: int
) -> None:
    graph.silent = True
    account.feed("people")
    account.drop("people/today.csv", csv_of(workers(2)))
    # It sends what the right one settles, and the other way round.
    for clock in (Off(hours), None, Off(hours)):
        account.tick_here(clock)
        summary = account.summary("people")
        assert (summary["state"], summary["outcomes"]) == ("settling", outcomes(waiting=2))
    assert {round(ahead / 3600) for ahead in said(collected, "clocks disagree", "ahead")} == {-hours}

    graph.silent = False
    account.tick_here(Off(hours))
    summary = account.summary("people")
    assert (summary["state"], summary["outcomes"]) == ("settled", outcomes(created=2))
    settled, sent = (datetime.fromisoformat(summary["times"][name]) for name in ("settled", "sent"))
    assert abs(settled - datetime.now(UTC)) < timedelta(minutes=30)
    assert abs(sent - datetime.now(UTC) - timedelta(hours=hours)) < timedelta(minutes=30)


@pytest.mark.parametrize("hours", [30, -30], ids=["ahead", "behind"])
def test_an_instance_whose_clock_is_off_settles_when_the_log_has_been_silent_by_both_clocks(
    account: Account, graph: Stranger, hours: int
) -> None:
    graph.silent = True
    account.feed("people")
    account.drop("people/today.csv", csv_of(workers(2)))
    account.tick_here()
    deadline = account.with_settings(SETTLE_DEADLINE="2h")
    # A day later for everybody: the server's clock is told with its answers.
    graph.slow_clock = timedelta(hours=-40)
    deadline.tick_here(Off(40 + hours))
    assert account.summary("people")["outcomes"] == outcomes(unconfirmed=2)


@pytest.mark.parametrize("date", ["Fri, 31 Dec 9999 23:59:59 -0100", "date+2592000"])
def test_a_graph_whose_dates_are_wrong_settles_nobody_before_it_is_time(
    azurite: Azurite, account: Account, make_sandbox: MakeSandbox, date: str
) -> None:
    """Its log's entries tell the right time, as they are made elsewhere than its answers."""
    rules = [Rule(on=on, do=Action.ODD_DATE, date=date) for on in (Endpoint.LOG, Endpoint.JOB)]
    sandbox = make_sandbox(SandboxSettings.immediate(log_delay=1e9), faults=Schedule(rules))
    account.environment |= {**azurite.environment(), **sandbox.identity_environment()}
    account.feed("people")
    account.drop("people/today.csv", csv_of(workers(2)))
    for _ in range(2):
        account.tick_here()
    summary = account.summary("people")
    assert (summary["state"], summary["outcomes"]) == ("settling", outcomes(waiting=2))


def test_an_entry_that_cannot_be_costs_nobody_else_the_page(
    account: Account, make_sandbox: MakeSandbox, collected: Collector
) -> None:
    sandbox = make_sandbox(faults=Schedule([Rule(on=Endpoint.LOG, do=Action.ODD_ENTRIES)]))
    account.environment |= sandbox.identity_environment()
    account.feed("people")
    account.drop("people/today.csv", csv_of(workers(3)))
    account.bring_home("people")
    assert account.summary("people")["outcomes"] == outcomes(created=3)
    assert set(said(collected, "log entries passed over", "entries")) == {19}


def test_a_ledger_of_another_time_or_of_none_does_not_silence_sending(account: Account, collected: Collector) -> None:
    ledgers = [
        b'{"calls": {"900719925474": 9, "29925360": -5, "x": 1}, "quota_until": "2999-01-01T00:00:00Z", "outage": 7}',
        b'{"calls": {"99999999": 1000000}, "quota_until": "2026-01-01T00:00:00", "outage": "9999-12-31T23:59-02:00"}',
        b"[" * 3000,
    ]
    account.feed("people")
    # What was counted may have been sent just now, whatever its minute: so long a successor waits.
    account.environment["SEND_LIMIT"] = "40/100ms"
    container = account.containers["RUNS_CONTAINER"]
    account.service.create_container(container)
    # Whoever counted, and whoever goes on, may have any time.
    for number, (ledger, clock) in enumerate(zip(ledgers, (None, Off(30), Off(-30)), strict=True)):
        account.drop(f"people/{number}.csv", csv_of(workers(2, first=10 * number)))
        account.service.get_blob_client(container, "uplink.json").upload_blob(ledger, overwrite=True)
        account.tick_here(clock)
    account.bring_home("people")
    home = [json.loads(data) for name, data in account.summaries().items() if re.fullmatch("people/2.*json", name)]
    assert [(s["state"], s["rows"]["sent"]) for s in home] == [("settled", 2)] * len(ledgers)
    assert said(collected, "ledger damaged", "ignored") == [3, 2, 1]
