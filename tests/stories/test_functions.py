"""`function_app.py` under the production worker: what the host is told of it, and what its messages bring about."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient

from connector.sandbox.faults import Action, Endpoint, Rule, Schedule
from connector.sandbox.proxy import FaultProxy
from connector.sandbox.servers import PROJECT, Azurite, Sandbox, connection_string
from tests.kit.account import Account, adds_up, outcomes, rows
from tests.kit.people import csv_of, ids, workers
from tests.kit.worker import Failed, Worker

APP = PROJECT / "function_app.py"


@pytest.fixture
def account(
    azurite: Azurite, containers: dict[str, str], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Account]:
    with BlobServiceClient.from_connection_string(azurite.connection_string) as service:
        made = Account(service=service, containers=containers)
        made.environment = {**azurite.environment(), **sandbox.identity_environment(), **containers}
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        made.prepare()
        made.feed("people")
        yield made


@pytest.fixture
async def worker(account: Account) -> Worker:
    started = await Worker.start()
    await started.metadata()
    return started


async def _deliver(worker: Worker, account: Account, path: str) -> None:
    await worker.blob("HR_STORAGE", account.containers["INBOX_CONTAINER"], path)


def _trigger(bindings: list[dict[str, Any]]) -> dict[str, Any]:
    (trigger,) = bindings
    return trigger


async def test_the_host_is_told_of_an_event_based_blob_trigger_and_a_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("INBOX_CONTAINER", "TICK_SCHEDULE"):
        monkeypatch.delenv(name, raising=False)
    found = await (await Worker.start()).metadata()
    assert sorted(found) == ["on_drop", "on_tick"]
    drop, tick = _trigger(found["on_drop"]), _trigger(found["on_tick"])
    wanted = ("type", "direction", "name", "path", "connection", "source")
    assert {key: drop[key] for key in wanted} == {
        "type": "blobTrigger",
        "direction": "IN",
        "name": "drop",
        "path": "inbox/{feed}/{name}",
        "connection": "HR_STORAGE",
        "source": "EventGrid",
    }
    # The content stays in storage: the host passes a reference, and not up to gigabytes of bytes.
    assert drop["properties"] == {"SupportsDeferredBinding": True}
    assert {key: tick[key] for key in ("type", "direction", "name", "schedule")} == {
        "type": "timerTrigger",
        "direction": "IN",
        "name": "timer",
        "schedule": "0 */5 * * * *",
    }
    assert tick.get("runOnStartup") in {None, False}


async def test_settings_reach_the_bindings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INBOX_CONTAINER", "hr-files")
    monkeypatch.setenv("TICK_SCHEDULE", "30 0 * * * *")
    found = await (await Worker.start()).metadata()
    assert _trigger(found["on_drop"])["path"] == "hr-files/{feed}/{name}"
    assert _trigger(found["on_tick"])["schedule"] == "30 0 * * * *"


def test_the_bindings_are_all_that_is_in_function_app() -> None:
    assert len(APP.read_text().splitlines()) < 60


async def test_a_drop_is_sent_by_its_own_event_and_settled_by_the_timer(
    worker: Worker, account: Account, sandbox: Sandbox
) -> None:
    account.drop("people/today.csv", csv_of(workers(120)))
    await _deliver(worker, account, "people/today.csv")
    summary = account.summary("people")
    assert (summary["rows"], adds_up(summary)) == (rows(sent=120), True)
    assert sandbox.report.accepted == 3
    await worker.timer()
    summary = account.summary("people")
    assert (summary["state"], summary["rows"], summary["outcomes"]) == (
        "settled",
        rows(sent=120),
        outcomes(created=120),
    )


async def test_an_event_that_is_delivered_five_more_times_changes_nothing(
    worker: Worker, account: Account, sandbox: Sandbox
) -> None:
    account.drop("people/today.csv", csv_of(workers(120)))
    await _deliver(worker, account, "people/today.csv")
    for settle in (False, True):
        if settle:
            await worker.timer()
        before = (account.runs(), account.summaries(), account.versions(), sandbox.report.uploads)
        for _ in range(5):
            await _deliver(worker, account, "people/today.csv")
        assert (account.runs(), account.summaries(), account.versions(), sandbox.report.uploads) == before


async def test_events_of_a_blob_in_a_deeper_folder_and_of_one_that_is_gone_are_no_errors(
    worker: Worker, account: Account, sandbox: Sandbox
) -> None:
    account.drop("people/2026/november.csv", csv_of(workers(2)))
    await _deliver(worker, account, "people/2026/november.csv")
    await _deliver(worker, account, "people/was-deleted.csv")
    await worker.timer()
    assert account.summary("people")["drop"]["name"] == "2026/november.csv"
    assert account.summary("people")["outcomes"] == outcomes(created=2)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("people/photo.csv", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00"),
        ("people/empty.csv", b""),
        ("people/other.csv", b"Color,Size\r\nred,1\r\n"),
        ("people/book.xlsx", b"PK\x03\x04not a workbook"),
        ("nobody/today.csv", csv_of(workers(1))),
    ],
)
async def test_a_file_that_nothing_can_be_made_of_does_not_raise(
    worker: Worker, account: Account, sandbox: Sandbox, path: str, content: bytes
) -> None:
    account.drop(path, content)
    await _deliver(worker, account, path)
    summary = account.summary(path.partition("/")[0])
    assert (summary["state"], adds_up(summary), sandbox.report.uploads) == ("rejected", True, 0)
    assert summary["problem"]["message"]


@pytest.mark.parametrize("function", ["on_drop", "on_tick"])
async def test_storage_that_refuses_raises_and_the_next_event_succeeds(
    worker: Worker, account: Account, azurite: Azurite, function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.drop("people/today.csv", csv_of(workers(2)))
    refusal = Rule(on=Endpoint.STORAGE, do=Action.STATUS, status=403, method="PUT")
    with FaultProxy(azurite.blob_service, faults=Schedule([refusal])) as proxy:
        through = connection_string(proxy.url(azurite.blob_service), azurite.queue_service)
        monkeypatch.setenv("HR_STORAGE", through)

        async def deliver() -> None:
            if function == "on_drop":
                await _deliver(worker, account, "people/today.csv")
            else:
                await worker.timer()

        with pytest.raises(Failed, match=r"403.*give the connector's identity its role"):
            await deliver()
        proxy.faults = Schedule()
        await deliver()
        await worker.timer()
    assert account.summary("people")["outcomes"] == outcomes(created=2)


async def test_a_graph_that_is_down_raises_and_the_next_event_succeeds(
    worker: Worker, account: Account, sandbox: Sandbox
) -> None:
    down = Rule(on=Endpoint.UPLOAD, do=Action.STATUS, status=503, retry_after="0")
    sandbox.faults = Schedule([down])
    account.drop("people/today.csv", csv_of(workers(2)))
    with pytest.raises(Failed, match="Retryable"):
        await _deliver(worker, account, "people/today.csv")
    summary = account.summary("people")
    assert (summary["state"], summary["rows"], adds_up(summary)) == ("sending", rows(pending=2), True)
    sandbox.faults = Schedule()
    await _deliver(worker, account, "people/today.csv")
    await worker.timer()
    assert account.summary("people")["outcomes"] == outcomes(created=2)
    assert sorted(sandbox.report.people_received) == ids(workers(2))


async def test_settings_that_are_missing_raise_with_their_names(
    worker: Worker, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SETTLE_DEADLINE", "soon")
    with pytest.raises(Failed, match="SETTLE_DEADLINE"):
        await worker.timer()
