"""Each fault that `docs/reliability.md` promises to survive, alone and on purpose; `tests/chaos` mixes them at random.

Virtual time, the real pipeline, the real storage and HTTP clients; what Entra saw is asserted by the sandbox's report.
After every schedule all invariants of `tests/chaos/checks.py` are asked as well.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import pytest
from azure.core.credentials import AccessToken

from connector.outside.graph import Graph
from connector.outside.system_clock import SystemClock
from connector.outside.tokens import TokenSource
from connector.reporting.summary_file import parse_summary
from connector.sandbox.faults import Action, Endpoint, Rule
from connector.sandbox.servers import Sandbox
from connector.sending.drain import IN_FLIGHT
from connector.vocabulary.errors import Retryable
from connector.vocabulary.limits import Limit
from connector.vocabulary.summary import Outcomes, Summary
from tests.chaos.checks import violations
from tests.chaos.schedule import (
    FEED,
    EntraFault,
    ExtraTick,
    Happening,
    Kill,
    Land,
    Schedule,
    Skew,
    Steal,
    StorageFault,
    Tamper,
    TimeOut,
)
from tests.chaos.world import World

TICK = 300.0


def drop(people: int, *, at: float = 0.0, feed: str = "feed0", version: str = "v0", prompt: bool = False) -> Land:
    """`people` new people, of whom Entra takes all."""
    lines = [f"{feed}{n:05d},Ann,Other,a{n}.{feed}@example.com,{version},yes,\n" for n in range(people)]
    content = "".join(["Id,First,Last,Mail,Title,Active,Code\n", *lines]).encode()
    return Land(
        at=at, feed=feed, name=f"{version}.csv", content=content, version=version, delays=(1.0,) if prompt else ()
    )


def happen(
    *happenings: Happening,
    minutes: float = 30.0,
    quota: Limit = Limit(2000, 86400.0),  # noqa: B008 (frozen)
    limit: Limit = Limit(40, 5.0),  # noqa: B008 (frozen)
    time_limit: str = "4m",
    ticks: int = 30,
    pause: float = TICK,
) -> World:
    """The world after these happenings and quiet ticks, in which no invariant was violated."""
    feeds = sorted({h.feed for h in happenings if isinstance(h, Land)})
    world = World(
        Schedule(
            seed=4,
            happenings=happenings,
            feeds=dict.fromkeys(feeds, FEED),
            send_limit=limit,
            quota=quota,
            minutes=minutes,
            ticks=ticks,
            pause=pause,
            time_limit=time_limit,
        )
    )
    world.run()
    assert violations(world) == []
    return world


def versions(world: World, feed: str = "feed0", run: int = 0) -> list[Summary]:
    """Every version that was written of the summary of the feed's first run, or of a later one."""
    chosen = sorted(of_feed for name, of_feed in world.states() if name == feed)[run]
    return [parse_summary(w.data) for w in world.account.history if w.path == f"summaries/{feed}/{chosen}.json"]


def late_words(world: World, action: str, settled: Summary) -> int:
    """Of how many people the log showed this action only when the run had its outcomes already."""
    shown: dict[str, datetime] = {}
    for entry in world.sandbox.entra.log:
        if entry.value("provisioningAction") == action:
            shown.setdefault(entry.value("sourceIdentity/id"), entry.visible)
    assert settled.times.settled is not None
    return sum(visible > settled.times.settled for visible in shown.values())


def arrivals(world: World) -> list[float]:
    return [seen.at for seen in world.sandbox.report.of(Endpoint.UPLOAD)]


def said(world: World, message: str) -> int:
    return sum(record.msg == message for record in world.seen.records)


def upload(do: Action, *, calls: Sequence[int] = (1,), **options: object) -> EntraFault:
    chosen = tuple((number, number) for number in calls)
    return EntraFault(rules=(Rule(on=Endpoint.UPLOAD, do=do, calls=chosen, **options),))  # type: ignore[arg-type]  # a test's


# one request that goes wrong


@pytest.mark.parametrize(
    "fault",
    [
        *(upload(Action.STATUS, calls=(1, 2, 4), status=status) for status in (408, 429, 500, 502, 503, 504)),
        *(upload(Action.STATUS, status=429, retry_after=value) for value in ("3", "date+4", "-5", "soon", "1e400")),
        *(upload(do) for do in (Action.DROP_BEFORE, Action.NO_LOCATION, Action.DELAY)),
        upload(Action.HANG, seconds=600.0),
        upload(Action.ODD_LOCATION, location="https://stranger.example/log"),
    ],
    ids=str,
)
def test_a_request_that_entra_did_not_take_is_sent_once_more_and_no_other(fault: EntraFault) -> None:
    world = happen(drop(200), fault)
    assert world.sandbox.report.duplicate_bodies == 0
    assert versions(world)[-1].outcomes.created == 200


@pytest.mark.parametrize("do", [Action.DROP_AFTER, Action.HALF, Action.HANG_AFTER, Action.STATUS_AFTER], ids=str)
def test_of_a_request_whose_answer_is_lost_only_that_one_is_sent_twice(do: Action) -> None:
    world = happen(drop(200), upload(do, seconds=600.0))
    assert world.sandbox.report.duplicate_bodies == 1
    assert versions(world)[-1].outcomes.sum == 200


def test_what_is_sent_again_minutes_later_counts_from_when_entra_may_have_taken_it_first() -> None:
    lost = upload(Action.STATUS_AFTER, status=503, retry_after="60")
    refused = upload(Action.STATUS, calls=(2, 3), status=503, retry_after="60")
    world = happen(drop(20), lost, refused)
    first, *_, last = arrivals(world)
    # Entra's cycle has run by then, and finds nothing more to do.
    assert (world.sandbox.report.duplicate_bodies, last - first > 120.0) == (1, True)
    skipped = late_words(world, "create", settled := versions(world)[-1])
    assert settled.outcomes == Outcomes(created=20 - skipped, skipped=skipped)


async def test_a_server_without_tls_and_a_name_without_address_may_work_later() -> None:
    class Credential:
        def get_token(self, *_: str, **__: object) -> AccessToken:
            return AccessToken("token", 2**40)

    with Sandbox() as plain:
        for base in (plain.base_url.replace("http:", "https:"), "https://graph.invalid"):
            graph = Graph(base, TokenSource(Credential, "scope"), SystemClock())
            with pytest.raises(Retryable, match="ConnectError"):
                await graph.upload("/v1.0/x", b"{}")
            await graph.close()


# an instance that dies, and others beside it


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("calls", [*range(1, 12), *range(12, 76, 7)])
def test_a_process_killed_at_any_call_loses_nobody(calls: int, after: bool) -> None:
    world = happen(drop(120), Kill(at=0.0, host="a", calls=calls, after=after), minutes=10.0)
    assert world.sandbox.report.duplicate_bodies <= IN_FLIGHT * world.seen.crashes
    # Of who was sent twice the log says last that nothing had to be done. Its first word counts, if it came in time.
    skipped = late_words(world, "create", settled := versions(world)[-1])
    assert settled.outcomes == Outcomes(created=120 - skipped, skipped=skipped)


@pytest.mark.parametrize("calls", range(1, 40, 6))
def test_what_entra_said_of_an_earlier_drop_is_no_outcome_of_one_whose_sender_was_killed(calls: int) -> None:
    later = 2 * TICK
    world = happen(
        drop(120), drop(120, at=later, version="v1"), Kill(at=later + 1.0, host="a", calls=calls, after=True)
    )
    assert world.seen.crashes == 1
    assert versions(world)[-1].outcomes == Outcomes(created=120)
    skipped = late_words(world, "update", settled := versions(world, run=1)[-1])
    assert settled.outcomes == Outcomes(updated=120 - skipped, skipped=skipped)


def test_a_function_host_that_cancels_and_ends_the_process_makes_nothing_be_sent_twice() -> None:
    world = happen(drop(1200), TimeOut(at=1.5, host="a"), limit=Limit(4, 5.0))
    assert arrivals(world)[-1] > TICK
    assert world.sandbox.report.duplicate_bodies == 0


def test_a_second_instance_that_starts_while_the_first_one_sends_sends_nothing_twice() -> None:
    extra = [ExtraTick(at=at, host="b") for at in (0.0, 0.3, 1.0, 2.0, 20.0)]
    world = happen(drop(600, prompt=True), *extra, limit=Limit(4, 5.0))
    assert world.sandbox.report.duplicate_bodies == 0


@pytest.mark.parametrize("held", [0.0, 60.0])
def test_a_lease_stolen_while_sending_costs_at_most_the_requests_in_flight(held: float) -> None:
    steal = Steal(at=1.0, calls=10, of="uplink", held=held)
    world = happen(drop(1600), steal, ExtraTick(at=2.0, host="b"), limit=Limit(8, 5.0))
    assert world.seen.thefts == 1
    assert world.sandbox.report.duplicate_bodies <= IN_FLIGHT


@pytest.mark.parametrize("seconds", [-600.0, 108_000.0])
def test_an_instance_whose_clock_is_off_changes_no_outcome(seconds: float) -> None:
    extra = [ExtraTick(at=at, host="b") for at in (30.0, 700.0)]
    world = happen(drop(300), drop(300, at=600.0, version="v1"), Skew(host="b", seconds=seconds), *extra)
    assert world.sandbox.report.duplicate_bodies == 0
    assert [s.outcomes.created for s in versions(world)[-1:]] == [300]


# storage


def test_storage_that_is_down_for_minutes_only_makes_it_later() -> None:
    down = Rule(on=Endpoint.STORAGE, do=Action.DOWN, calls=((40, 40),), seconds=700.0)
    world = happen(drop(600), StorageFault(rule=down))
    assert arrivals(world)[-1] > 600.0
    assert world.sandbox.report.duplicate_bodies <= IN_FLIGHT


@pytest.mark.parametrize("path", ["/spool/", "receipts", "run.json", "uplink.json", "plan.jsonl", "summaries/", ""])
def test_storage_that_is_busy_for_minutes_loses_nobody(path: str) -> None:
    busy = Rule(on=Endpoint.STORAGE, do=Action.STATUS, status=503, path=path, before=400.0, probability=0.7)
    happen(drop(120), StorageFault(rule=busy))


def test_a_body_deleted_from_the_spool_is_made_again_byte_for_byte() -> None:
    world = happen(drop(600), Tamper(at=0.0, calls=40, what="spool deleted", count=3), limit=Limit(2, 60.0))
    bodies = Counter((w.path, w.data) for w in world.account.history if "/spool/" in w.path)
    assert sorted(bodies.values()) == [1] * 9 + [2] * 3
    assert versions(world)[-1].outcomes.created == 600


def test_a_body_changed_in_the_spool_is_never_sent() -> None:
    # That Entra has no record which no plan made is one of the invariants that `happen` asks.
    world = happen(drop(600), Tamper(at=0.0, calls=40, what="spool changed", count=3), limit=Limit(2, 60.0))
    assert versions(world)[-1].outcomes.created == 600


def test_bodies_that_cannot_be_made_again_are_given_up_by_name() -> None:
    gone = [
        Tamper(at=0.0, calls=40, what="spool deleted", count=1),
        Tamper(at=0.0, calls=40, what="drop deleted", count=1),
    ]
    world = happen(drop(600), *gone, limit=Limit(2, 60.0))
    last = versions(world)[-1]
    assert (last.rows.total, last.rows.rejected, last.rows.sent, last.outcomes.created) == (600, 50, 550, 550)
    rejects = world.account.read("summaries", f"feed0/{last.run}.rejects.csv")
    assert rejects is not None
    lines = list(csv.DictReader(io.StringIO(rejects.decode())))
    assert {line["fault"] for line in lines} == {
        "its bulk request vanished from the spool before it was sent, and the drop is gone"
    }
    assert world.sandbox.report.people_received.isdisjoint(line["externalId"] for line in lines)


@pytest.mark.parametrize("path", ["uplink.json", "run.json", "receipts", "/spool/", "plan.jsonl", "inbox/"])
def test_a_storage_connection_that_breaks_is_tried_again(path: str) -> None:
    breaks = Rule(on=Endpoint.STORAGE, do=Action.DROP_AFTER, path=path, every=2, before=60.0)
    world = happen(drop(120), StorageFault(rule=breaks))
    assert world.sandbox.report.duplicate_bodies == 0


# an administrator is needed


def test_a_permission_revoked_in_the_middle_stops_sending_until_it_is_granted() -> None:
    rules = (
        Rule(on=Endpoint.UPLOAD, do=Action.REVOKE, calls=((3, 3),)),
        Rule(on=Endpoint.UPLOAD, do=Action.GRANT, after=2 * TICK, times=1),
    )
    world = happen(drop(600), EntraFault(rules=rules))
    assert "stopped" in {s.problem.code for s in versions(world) if s.problem}
    assert versions(world)[-1].outcomes.created == 600
    assert world.sandbox.report.duplicate_bodies == 0


def test_a_job_that_is_deleted_stops_its_own_feed_and_no_other() -> None:
    world = happen(drop(300), drop(300, feed="feed1"), upload(Action.DELETE_JOB, calls=(9,)), limit=Limit(8, 5.0))
    assert "stopped" in {s.problem.code for s in versions(world) if s.problem}
    assert {versions(world, feed)[-1].outcomes.unconfirmed for feed in ("feed0", "feed1")} == {0}


@pytest.mark.parametrize(("do", "code"), [(Action.PAUSE, "job-paused"), (Action.QUARANTINE, "job-quarantine")])
def test_a_job_that_is_paused_or_in_quarantine_is_said_in_the_summary(do: Action, code: str) -> None:
    rule = Rule(on=Endpoint.JOB, do=do, calls=((1, 1),))
    world = happen(drop(60), EntraFault(rules=(rule,)))
    assert code in {s.problem.code for s in versions(world) if s.problem}
    assert versions(world)[-1].outcomes.created == 60


# time, quota and turns


def test_the_server_never_sees_more_calls_in_a_window_than_the_limit_and_no_fewer_than_it_may() -> None:
    world = happen(drop(1000), limit=Limit(6, 1.0))
    report = world.sandbox.report
    assert (report.throttled, report.most_uploads_in_window) == (0, 6)
    # Four windows for twenty requests, and one while nothing is known of the path.
    assert arrivals(world)[-1] - arrivals(world)[0] <= 5.0


def test_sending_hands_over_before_the_time_limit_and_the_next_tick_goes_on() -> None:
    world = happen(drop(1000), limit=Limit(2, 5.0), time_limit="20s")
    ticks = Counter(int(at // TICK) for at in arrivals(world))
    assert set(ticks) == {0, 1, 2}
    # Two calls in each window of five seconds, of which four begin within the limit.
    assert all(count <= 8 for count in ticks.values())
    assert "time" in {s.problem.code for s in versions(world) if s.problem}
    assert world.sandbox.report.duplicate_bodies == 0


def test_a_run_that_was_paused_in_good_order_takes_nothing_of_what_another_feed_did_meanwhile() -> None:
    large = drop(1000)
    header, *lines = large.content.splitlines(keepends=True)
    # The second feed is for another job; the third is for the first one's, and has its last people.
    # Not more of them: the log speaks of the fifth from the end so late that his first word is about the other feed.
    small = replace(drop(4, feed="feed2"), content=header + b"".join(lines[-4:]))
    world = happen(large, drop(1, feed="feed1"), small, limit=Limit(2, 5.0), time_limit="20s")
    assert arrivals(world)[-1] > TICK
    assert versions(world, "feed2")[-1].outcomes == Outcomes(created=4)
    assert versions(world)[-1].outcomes == Outcomes(created=996, skipped=4)


def test_a_small_feed_waits_for_no_more_of_a_large_one_than_is_in_flight() -> None:
    world = happen(drop(1250), drop(10, feed="feed1"))
    people = [seen.operations for seen in world.sandbox.report.of(Endpoint.UPLOAD)]
    assert sorted(people) == [10] + [50] * 25
    assert people.index(10) <= IN_FLIGHT


def test_in_an_outage_each_tick_asks_with_one_request_and_it_is_said_once() -> None:
    outage = Rule(on=Endpoint.UPLOAD, do=Action.STATUS, status=503, before=5 * TICK)
    world = happen(drop(600), EntraFault(rules=(outage,)))
    asked = Counter(int(at // TICK) for at in arrivals(world))
    assert [asked[tick] for tick in range(1, 5)] == [1, 1, 1, 1]
    assert said(world, "run waits") == 1
    assert versions(world)[-1].outcomes.created == 600


def test_the_quota_of_a_day_is_used_up_and_sending_goes_on_by_itself_the_next_day() -> None:
    world = happen(drop(300), quota=Limit(4, 86400.0), minutes=10.0, pause=3600.0, ticks=30)
    days = Counter(int(at // 86400) for at in arrivals(world))
    assert days == {0: 4, 1: 2}
    assert world.sandbox.report.throttled == 0
    waiting = next(s for s in versions(world) if s.problem)
    assert waiting.state == "sending"
    assert waiting.problem is not None
    assert waiting.problem.message == (
        "the tenant's quota of calls is used up; sending goes on at about 2030-01-08 08:01 UTC"
    )
    assert said(world, "run waits") == 1


def test_a_long_retry_after_is_taken_as_the_quota_and_asked_again_within_the_hour() -> None:
    world = happen(drop(200), upload(Action.STATUS, calls=(2,), status=429, retry_after="86400"), minutes=90.0)
    assert "quota" in {s.problem.code for s in versions(world) if s.problem}
    late = arrivals(world)[-1]
    assert 3600.0 <= late <= 3600.0 + 2 * TICK
    assert versions(world)[-1].outcomes.created == 200


def half_refused(people: int) -> Land:
    """One person in each fifty whom Entra refuses."""
    land = drop(people)
    lines = land.content.split(b"\n")
    refused = [line + b"refuse" if number % 50 == 7 else line for number, line in enumerate(lines)]
    return replace(land, content=b"\n".join(refused))


def test_a_refused_request_in_parts_sends_no_part_twice_however_small_the_quota() -> None:
    world = happen(half_refused(300), quota=Limit(12, 1200.0), ticks=200)
    assert world.sandbox.report.duplicate_people == 0
    last = versions(world)[-1]
    assert (last.outcomes.created, last.outcomes.refused) == (294, 6)


def test_of_a_request_that_vanished_when_it_was_sent_in_part_only_the_rest_is_given_up() -> None:
    gone = [Tamper(at=100.0, calls=1, what=what, count=9) for what in ("spool deleted", "drop deleted")]
    world = happen(half_refused(50), *gone, quota=Limit(6, 1200.0), ticks=60)
    last = versions(world)[-1]
    assert last.rows.sent == len(world.sandbox.report.people_received) == 6
    assert last.rows.rejected == 44
