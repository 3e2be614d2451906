"""A process that is killed, at any point, costs nobody their outcome: the next ticks bring the run home."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import httpx
import pytest
from azure.storage.blob import BlobServiceClient

from connector.sandbox.faults import Action, Endpoint, Rule, Schedule
from connector.sandbox.proxy import FaultProxy
from connector.sandbox.servers import Azurite, Sandbox, connection_string
from connector.sandbox.settings import SandboxSettings
from connector.sending.drain import IN_FLIGHT
from connector.vocabulary.limits import Limit
from connector.vocabulary.run import State
from tests.kit.account import Account, adds_up, outcomes, rows, until
from tests.kit.people import csv_of, ids, worker, workers
from tests.kit.servers import MakeSandbox

PEOPLE = workers(320)
# Two who are not sent, so that the accounting has more than one term.
DROP = csv_of([*PEOPLE[:10], worker(900, State="?"), *PEOPLE[10:], worker(1)])
BODIES = 7
BLOCK_LIST = "comp=blocklist"


@dataclass(slots=True)
class Scene:
    """`hung` is the account as the process that will be killed sees it."""

    account: Account
    hung: Account
    storage: FaultProxy
    blob_service: str
    entra: Sandbox

    def kill_at(self, rule: Rule) -> None:
        """Starts ticks, and kills the one that hangs at the call of the rule: settling is the next tick's."""
        if rule.on is Endpoint.STORAGE:
            self.storage.faults = Schedule([rule])
        else:
            self.entra.faults = Schedule([rule])
        for _ in range(3):
            process = self.hung.start("tick")
            try:
                until(partial(self._hangs_or_ended, rule, process), "the call that is to hang")
                hangs = process.poll() is None
            finally:
                process.kill()
                said = process.communicate()
            if hangs:
                break
        assert hangs, said
        self._outlive()
        self.entra.faults = Schedule()

    def _outlive(self) -> None:
        """Until all that the dead process has sent off is dealt with: sockets outlive their process."""
        for url, server in ((self.entra.base_url, self.entra), (self.storage.url(self.blob_service), self.storage)):
            # Connections are taken in the order in which they were made: once ours is answered, all of them are known.
            httpx.get(url, verify=False)
            until(lambda: not server.busy, "the dead process's last request")  # noqa: B023 (called within the loop)

    def receipts(self) -> int:
        """How many bulk requests storage knows an answer of."""
        return sum(data.count(b"\n") for name, data in self.account.runs().items() if name.endswith("receipts.jsonl"))

    def _hangs_or_ended(self, rule: Rule, process: subprocess.Popen[str]) -> bool:
        return self._hangs(rule) or process.poll() is not None

    def _hangs(self, rule: Rule) -> bool:
        if rule.on is Endpoint.STORAGE:
            return any(passed.fault == rule.do for passed in list(self.storage.requests))
        return any(seen.fault == rule.do for seen in list(self.entra.report.requests))


@pytest.fixture
def scene(azurite: Azurite, containers: dict[str, str], make_sandbox: MakeSandbox) -> Iterator[Scene]:
    # A short window: a successor waits for as long as the last sender's calls may count.
    entra = make_sandbox(SandboxSettings.immediate(send_limit=Limit(40, 0.5)))
    with (
        BlobServiceClient.from_connection_string(azurite.connection_string) as service,
        FaultProxy(azurite.blob_service) as storage,
    ):
        account = Account(service=service, containers=containers)
        account.environment = {
            **azurite.environment(),
            **entra.identity_environment(),
            **containers,
            "SEND_LIMIT": "40/500ms",
        }
        account.prepare()
        # A deployment makes these, too; so the numbers of calls below do not depend on who does.
        for name in ("RUNS_CONTAINER", "SUMMARIES_CONTAINER"):
            service.create_container(containers[name])
        account.feed("people")
        account.drop("people/today.csv", DROP)
        through = connection_string(storage.url(azurite.blob_service), azurite.queue_service)
        yield Scene(account, account.with_settings(HR_STORAGE=through), storage, azurite.blob_service, entra)


def storage_call(method: str, path: str, *, after: bool, call: int = 1, header: str = "") -> Rule:
    """The `call`-th of its kind hangs: before it took effect, or after."""
    action = Action.HANG_AFTER if after else Action.HANG
    calls = ((call, call),)
    return Rule(on=Endpoint.STORAGE, do=action, method=method, path=path, header=header, calls=calls, seconds=60)


def transition(state: State, *, after: bool) -> Rule:
    """The first write of the run's state that says so hangs."""
    return storage_call("PUT", r"/run\.json$", header=f"^x-ms-meta-state: {state}$", after=after)


def entra_call(endpoint: Endpoint, *, after: bool, call: int = 1) -> Rule:
    return Rule(on=endpoint, do=Action.HANG_AFTER if after else Action.HANG, calls=((call, call),), seconds=60)


CRASHES = {
    "planning: the run was made": transition(State.PLANNING, after=True),
    "planning: a body is being spooled": storage_call("PUT", r"/spool/000002", after=False),
    "planning: a body was spooled": storage_call("PUT", r"/spool/000004", after=True),
    "planning: the plan was written": storage_call("PUT", rf"/plan\.jsonl\.gz\?.*{BLOCK_LIST}", after=True),
    "planning: all is planned, and not yet said": transition(State.SENDING, after=False),
    "planning: all is planned, and it is said": transition(State.SENDING, after=True),
    "sending: Entra was about to have a request": entra_call(Endpoint.UPLOAD, after=False, call=3),
    "sending: Entra has a request and nobody knows": entra_call(Endpoint.UPLOAD, after=True, call=4),
    "sending: a receipt is being written": storage_call(
        "PUT", r"/receipts\.jsonl\?comp=appendblock", after=False, call=2
    ),
    "sending: a receipt was written": storage_call("PUT", r"/receipts\.jsonl\?comp=appendblock", after=True, call=4),
    "sending: the last body was deleted": storage_call("DELETE", r"/spool/", after=True, call=BODIES),
    "sending: all is sent, and not yet said": transition(State.SETTLING, after=False),
    "settling: the log is being read": entra_call(Endpoint.LOG, after=True, call=2),
    "settling: events were kept": storage_call("PUT", r"/events\.jsonl\.gz", after=True),
    "settling: settled, and not yet said": transition(State.SETTLED, after=False),
}


@pytest.mark.parametrize("crash", CRASHES.values(), ids=CRASHES.keys())
def test_after_a_crash_ticks_bring_the_run_home_and_everybody_has_one_outcome(scene: Scene, crash: Rule) -> None:
    scene.kill_at(crash)
    between = [json.loads(data) for name, data in scene.account.summaries().items() if name.endswith(".json")]
    assert [summary for summary in between if not adds_up(summary)] == []
    # What Entra has and storage does not know of is what was under way, and what will be sent again.
    unknown = scene.entra.report.accepted - scene.receipts()
    assert unknown <= IN_FLIGHT
    scene.account.expire_leases()

    summary = scene.account.bring_home("people")

    assert (summary["state"], summary["rows"]) == ("settled", rows(rejected=1, duplicate=1, sent=320))
    assert scene.entra.report.duplicate_bodies == unknown
    # Of whoever was sent again Entra says at last that nothing was to be done, or that a manager was added. What it
    # said first is the outcome all the same: the run knows since when it was being sent.
    assert summary["outcomes"] == outcomes(created=320)
    assert sorted(scene.account.outcomes("people")) == sorted(ids(PEOPLE))
    assert sorted(scene.entra.report.people_received) == sorted(ids(PEOPLE))
    assert [name for name in scene.account.runs() if "/spool/" in name] == []


def test_a_killed_senders_lease_is_waited_for(scene: Scene) -> None:
    scene.kill_at(entra_call(Endpoint.UPLOAD, after=True, call=7))
    # No lease is expired by hand here: a tick waits for it, as long as a lease can last.
    summary = scene.account.bring_home("people")
    assert (summary["state"], summary["rows"]) == ("settled", rows(rejected=1, duplicate=1, sent=320))
    assert scene.entra.report.duplicate_bodies <= IN_FLIGHT


def test_a_process_killed_again_and_again_still_comes_home(scene: Scene) -> None:
    for crash in (
        storage_call("PUT", r"/spool/000003", after=True),
        storage_call("PUT", r"/receipts\.jsonl\?comp=appendblock", after=True, call=2),
        storage_call("PUT", r"/events\.jsonl\.gz", after=True),
    ):
        scene.storage.requests.clear()
        scene.kill_at(crash)
        scene.account.expire_leases()
    summary = scene.account.bring_home("people")
    assert (summary["state"], summary["rows"]) == ("settled", rows(rejected=1, duplicate=1, sent=320))
    assert sorted(scene.account.outcomes("people")) == sorted(ids(PEOPLE))
    assert scene.entra.report.duplicate_bodies <= IN_FLIGHT
