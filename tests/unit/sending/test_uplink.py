"""Sending, against a strict Entra over real HTTP: what it does when Entra or the network says no."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from azure.storage.blob import BlobLeaseClient, BlobServiceClient

from connector.outside.system_clock import SystemClock
from connector.sandbox.faults import Action, Endpoint, Rule, Schedule
from connector.sandbox.servers import Azurite, Sandbox
from connector.sandbox.settings import JOB, SERVICE_PRINCIPAL, SandboxSettings
from connector.sending.drain import ATTEMPTS
from connector.vocabulary.limits import Limit
from tests.kit.account import Account, adds_up, outcomes, rows, until
from tests.kit.people import csv_of, feed_file, ids, worker, workers
from tests.kit.servers import MakeSandbox

WIDE = Limit(1000, 1.0)


@dataclass(slots=True)
class Scene:
    account: Account
    entra: Sandbox

    def arrivals(self) -> list[float]:
        return [seen.at for seen in self.entra.report.of(Endpoint.UPLOAD)]

    def drop(self, count: int, feed: str = "people", first: int = 1) -> list[str]:
        people = workers(count, first)
        self.account.drop(f"{feed}/today.csv", csv_of(people))
        return ids(people)

    def received(self) -> list[str]:
        return sorted(self.entra.report.people_received)

    def spooled(self) -> int:
        return sum("/spool/" in name for name in self.account.runs())

    def calls_of_tick(self) -> int:
        before = len(self.arrivals())
        self.account.tick_here()
        return len(self.arrivals()) - before


@pytest.fixture
def scene(azurite: Azurite, containers: dict[str, str], make_sandbox: MakeSandbox) -> Iterator[Any]:
    with BlobServiceClient.from_connection_string(azurite.connection_string) as service:
        account = Account(service=service, containers=containers)

        def make(*faults: Rule, clock: SystemClock | None = None, limit: str = "40/500ms", **changes: Any) -> Scene:
            settings = SandboxSettings.immediate(**({"send_limit": WIDE} | changes))
            entra = make_sandbox(settings, faults=Schedule(faults), clock=clock)
            account.environment = {**azurite.environment(), **entra.identity_environment(), **containers}
            account.environment["SEND_LIMIT"] = limit
            account.prepare()
            account.feed("people")
            return Scene(account, entra)

        yield make


def answers(status: int, call: int = 1, retry_after: str = "", times: int = 0) -> Rule:
    calls = ((call, call),) if call else ()
    return Rule(on=Endpoint.UPLOAD, do=Action.STATUS, status=status, retry_after=retry_after, calls=calls, times=times)


def breaks(action: Action, call: int) -> Rule:
    return Rule(on=Endpoint.UPLOAD, do=action, calls=((call, call),))


@pytest.mark.parametrize(("retry_after", "at_least"), [("1", 1.0), ("date+2", 1.0), ("", 0.5), ("nonsense", 0.5)])
def test_after_a_429_nothing_is_sent_for_as_long_as_it_says_or_else_for_a_window(
    scene: Any, retry_after: str, at_least: float
) -> None:
    stage = scene(answers(429, retry_after=retry_after))
    everybody = stage.drop(3)
    summary = stage.account.bring_home("people")
    first, second = stage.arrivals()
    assert second - first >= at_least
    assert (summary["outcomes"], stage.received()) == (outcomes(created=3), everybody)


def test_a_tenant_that_somebody_else_uses_too_is_sent_to_at_the_pace_that_is_left(scene: Any) -> None:
    stage = scene(send_limit=Limit(4, 0.5), retry_after="none")
    everybody = stage.drop(600)
    summary = stage.account.bring_home("people")
    assert stage.entra.report.throttled > 0
    assert (summary["outcomes"], stage.received()) == (outcomes(created=600), everybody)
    assert stage.entra.report.duplicate_bodies == 0


def test_one_bad_operation_among_50_is_refused_by_name_and_the_other_49_arrive(scene: Any) -> None:
    stage = scene()
    people = [*workers(36), worker(37, Hired="someday"), *workers(13, first=38)]
    stage.account.drop("people/today.csv", csv_of(people))
    summary = stage.account.bring_home("people")
    assert (summary["rows"], summary["outcomes"]) == (rows(sent=50), outcomes(created=49, refused=1))
    assert stage.account.outcomes("people") == dict.fromkeys(ids(people), "created") | {"7037": "refused"}
    assert stage.received() == [key for key in ids(people) if key != "7037"]
    failure = summary["failures"][0]
    assert (failure["outcome"], failure["people"], failure["examples"]) == (
        "refused",
        1,
        [{"row": 37, "externalId": "7037"}],
    )
    # Entra's own words, and halving: 1 + 2 for each of the six times that 50 is halved, at most.
    assert "HireDate must be a date and time" in failure["reason"]
    assert len(stage.arrivals()) <= 13


def test_a_request_of_which_every_operation_is_bad_is_refused_whole_and_ends(scene: Any) -> None:
    stage = scene()
    stage.account.drop("people/today.csv", csv_of(worker(number, Hired="someday") for number in range(1, 9)))
    summary = stage.account.bring_home("people")
    assert (summary["rows"], summary["outcomes"], stage.received()) == (rows(sent=8), outcomes(refused=8), [])


class Skipping(SystemClock):
    """Entra's clock, which skips a day at some call."""

    def __init__(self) -> None:
        self.skipped: Callable[[], bool] = lambda: False

    def now(self) -> datetime:
        return super().now() + timedelta(hours=25 if self.skipped() else 0)


def test_a_token_that_expires_in_the_middle_is_replaced_and_nothing_is_lost_or_sent_twice(scene: Any) -> None:
    clock = Skipping()
    stage = scene(clock=clock)
    clock.skipped = lambda: stage.entra.report.accepted >= 3
    everybody = stage.drop(600)
    summary = stage.account.bring_home("people")
    report = stage.entra.report
    assert 401 in report.statuses(Endpoint.UPLOAD)
    assert (summary["state"], summary["rows"], stage.received()) == ("settled", rows(sent=600), everybody)
    assert report.duplicate_bodies == 0


def test_a_token_that_is_refused_though_it_is_fresh_stops_the_run_with_what_to_do(scene: Any) -> None:
    stage = scene(answers(401, call=0))
    stage.drop(60)
    assert stage.calls_of_tick() <= 4
    summary = stage.account.summary("people")
    assert (summary["state"], summary["rows"], adds_up(summary)) == ("sending", rows(pending=60), True)
    assert "AZURE_CLIENT_ID" in summary["problem"]["advice"]


def test_a_permission_that_is_taken_away_stops_sending_and_once_granted_it_goes_on(scene: Any) -> None:
    stage = scene(Rule(on=Endpoint.UPLOAD, do=Action.REVOKE, calls=((3, 3),)), limit="1/50ms")
    everybody = stage.drop(300)
    stage.account.tick_here()
    summary = stage.account.summary("people")
    assert (summary["state"], summary["rows"]) == ("sending", rows(pending=200, sent=100))
    assert (summary["problem"]["code"], adds_up(summary)) == ("stopped", True)
    assert "SynchronizationData-User.Upload" in summary["problem"]["advice"]

    stage.entra.faults = Schedule([Rule(on=Endpoint.UPLOAD, do=Action.GRANT)])
    summary = stage.account.bring_home("people")
    assert (summary["outcomes"], summary["problem"]) == (outcomes(created=300), None)
    assert (stage.received(), stage.entra.report.duplicate_bodies) == (everybody, 0)


def test_of_a_feed_that_waits_for_an_administrator_one_request_a_tick_finds_out(scene: Any) -> None:
    stage = scene(Rule(on=Endpoint.UPLOAD, do=Action.REVOKE, calls=((1, 1),)))
    everybody = stage.drop(300)
    stage.account.tick_here()
    assert [stage.calls_of_tick() for _ in range(2)] == [1, 1]
    stage.entra.faults = Schedule([Rule(on=Endpoint.UPLOAD, do=Action.GRANT)])
    # The grant comes with the next request. Once one has gone through, all go at once, in the same tick.
    assert [stage.calls_of_tick() for _ in range(2)] == [1, 6]
    assert (stage.received(), stage.entra.report.duplicate_bodies) == (everybody, 0)


def test_a_job_that_is_not_there_stops_its_own_feed_and_no_other(scene: Any) -> None:
    stage = scene()
    path = f"/v1.0/servicePrincipals/{SERVICE_PRINCIPAL}/synchronization/jobs/API2AAD.gone.1/bulkUpload"
    stage.account.feed("gone", feed_file(f"https://graph.microsoft.com{path}"))
    stage.drop(60, feed="gone", first=500)
    everybody = stage.drop(60)
    stage.account.bring_home("people")
    summary = stage.account.summary("gone")
    assert (summary["state"], summary["rows"]) == ("sending", rows(pending=60))
    assert "Provisioning API Endpoint" in summary["problem"]["advice"]
    assert (stage.account.summary("people")["outcomes"], stage.received()) == (outcomes(created=60), everybody)

    # The endpoint is mended: the next tick sends.
    stage.account.feed("gone", feed_file(f"{stage.entra.base_url}{path.replace('API2AAD.gone.1', JOB)}"))
    assert stage.account.bring_home("gone")["outcomes"] == outcomes(created=60)


def test_5xx_and_broken_connections_are_retried_until_all_have_arrived(scene: Any) -> None:
    stage = scene(
        answers(503, call=1),
        answers(500, call=2),
        breaks(Action.DROP_BEFORE, 3),
        answers(504, call=4),
        breaks(Action.DROP_AFTER, 6),
        breaks(Action.HALF, 7),
    )
    everybody = stage.drop(400)
    stage.account.tick_here()
    # In one tick: nothing of this is a reason to wait for the next.
    assert (stage.spooled(), stage.received()) == (0, everybody)
    summary = stage.account.bring_home("people")
    assert (summary["state"], adds_up(summary)) == ("settled", True)
    assert (summary["rows"], summary["outcomes"]) == (rows(sent=400), outcomes(created=400))
    # Only what Entra took without anybody knowing was sent again, and its first word about these people counts.
    assert stage.entra.report.duplicate_bodies == 2


def test_in_an_outage_nothing_is_lost_and_the_next_tick_asks_with_one_request(scene: Any) -> None:
    stage = scene(answers(503, call=0, retry_after="0"))
    everybody = stage.drop(200)
    stage.account.tick_here()
    summary = stage.account.summary("people")
    assert (summary["state"], summary["rows"]) == ("sending", rows(pending=200))
    assert (summary["problem"]["code"], adds_up(summary), stage.spooled()) == ("outage", True, 4)
    assert 1 <= stage.calls_of_tick() <= ATTEMPTS

    stage.entra.faults = Schedule()
    summary = stage.account.bring_home("people")
    assert (summary["outcomes"], summary["problem"], stage.received()) == (outcomes(created=200), None, everybody)


def test_with_the_quota_used_up_the_rest_waits_and_says_until_when(scene: Any) -> None:
    stage = scene()
    stage.account.environment["SEND_QUOTA"] = "2/24h"
    stage.drop(200)
    assert (stage.calls_of_tick(), stage.calls_of_tick()) == (2, 0)
    summary = stage.account.summary("people")
    assert (summary["state"], summary["rows"], summary["outcomes"]) == (
        "sending",
        rows(pending=100, sent=100),
        outcomes(created=100),
    )
    assert (summary["problem"]["code"], adds_up(summary)) == ("quota", True)


def _lease(stage: Scene) -> BlobLeaseClient:
    runs = stage.account.service.get_container_client(stage.account.containers["RUNS_CONTAINER"])
    return BlobLeaseClient(runs.get_blob_client("uplink.json"))


def test_a_second_sender_waits_for_the_lease_and_then_sends(scene: Any) -> None:
    stage = scene()
    everybody = stage.drop(60)
    runs = stage.account.service.create_container(stage.account.containers["RUNS_CONTAINER"])
    runs.upload_blob("uplink.json", b"{}")
    lease = _lease(stage)
    lease.acquire(-1)
    with ThreadPoolExecutor(1) as pool:
        tick = pool.submit(stage.account.tick_here)
        until(lambda: stage.spooled() == 2, "the plan")
        # It has asked for the lease at least once by the time that a second try would have come.
        assert (stage.arrivals(), tick.done()) == ([], False)
        lease.release()
        tick.result()
    assert stage.received() == everybody


@dataclass(slots=True)
class Meanwhile(Schedule):
    """Something happens while Entra has its `call`-th upload in hand and answers nobody."""

    call: int = 0
    happens: Callable[[], object] = lambda: None
    uploads: int = 0

    def decide(self, on: Endpoint, **_: Any) -> Rule | None:
        self.uploads += on is Endpoint.UPLOAD
        if on is Endpoint.UPLOAD and self.uploads == self.call:
            self.happens()
        return None


def test_a_sender_that_has_lost_its_lease_stops_and_the_next_one_goes_on(scene: Any) -> None:
    stage = scene(limit="2/2s")
    everybody = stage.drop(1000)
    other = _lease(stage)

    def steal() -> None:
        other.break_lease(0)
        other.acquire(-1)

    stage.entra.faults = Meanwhile(call=1, happens=steal)
    stage.account.tick_here()
    # What was set aside by then still goes: the first window's calls, and the second's if the thief was slower.
    sent = len(stage.arrivals())
    assert sent in {2, 4}
    summary = stage.account.summary("people")
    assert (summary["state"], adds_up(summary), stage.spooled()) == ("sending", True, 20 - sent)
    other.release()
    stage.account.environment["SEND_LIMIT"] = "40/500ms"
    summary = stage.account.bring_home("people")
    assert (summary["outcomes"], stage.received()) == (outcomes(created=1000), everybody)
    assert stage.entra.report.duplicate_bodies == 0


def test_a_body_that_vanished_from_the_spool_is_made_again(scene: Any) -> None:
    stage = scene(answers(503, call=0, retry_after="0"))
    everybody = stage.drop(120)
    stage.account.tick_here()
    runs = stage.account.service.get_container_client(stage.account.containers["RUNS_CONTAINER"])
    bodies = {name: data for name, data in stage.account.runs().items() if "/spool/" in name}
    gone = next(name for name in bodies if name.endswith("000002.json"))
    runs.delete_blob(gone)
    stage.entra.faults = Schedule()
    summary = stage.account.bring_home("people")
    assert (summary["outcomes"], stage.received()) == (outcomes(created=120), everybody)
    assert {len(json.loads(body)["Operations"]) for body in bodies.values()} == {50, 20}
