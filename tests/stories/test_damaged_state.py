"""State that is damaged, missing or of another version is its run's own trouble, and what is advised works."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from connector.sandbox.faults import Action, Endpoint, Rule, Schedule
from tests.kit.account import adds_up, outcomes
from tests.kit.house import PGP, House
from tests.kit.people import csv_of, feed_file, ids, workers


def _flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0x55]) + data[middle + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "flipped": _flipped,
    "empty": lambda data: b"",
    "deleted": lambda data: None,
}


STATE = {
    "run.json": "run",
    "plan.jsonl.gz": "plan",
    "requests.json": "requests",
    "receipts.jsonl": "receipts",
    "events.jsonl.gz": "events",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_state_that_is_damaged_is_a_runs_own_trouble(house: Callable[..., House], damage: str) -> None:
    # Of half of the people the log speaks at once, of the others in an hour.
    stage = house(log_late=3600.0, log_late_share=0.5)
    for number, feed in enumerate(STATE.values()):
        stage.account.feed(feed)
        stage.account.drop(f"{feed}/today.csv", csv_of(workers(60, first=100 * (number + 5))))
    stage.tick()
    stage.tick()
    for blob, feed in STATE.items():
        client = stage.blob(feed, f"/{blob}")
        data = DAMAGES[damage](client.download_blob().readall())
        client.delete_blob()
        if data is not None:
            kind = "AppendBlob" if blob == "receipts.jsonl" else "BlockBlob"
            client.upload_blob(data, blob_type=kind)
    everybody = stage.healthy()
    for _ in range(2):
        errors = stage.tick()
        assert [type(error).__name__ for error in errors] in ([], ["StateUnusable"])
    assert len(stage.account.outcomes("people")) == len(everybody)
    for feed in STATE.values():
        summary = stage.account.summary(feed)
        assert (adds_up(summary), summary["rows"]["pending"] >= 0) == (True, True), feed


def test_receipts_that_storage_refuses_for_good_stop_their_run_and_nothing_is_sent_twice(
    house: Callable[..., House],
) -> None:
    # The run has sent a part when its receipts are replaced.
    stage = house(Rule(on=Endpoint.UPLOAD, do=Action.STATUS, status=403, calls=((2, None),)))
    stage.account.environment["SEND_LIMIT"] = "1/5ms"
    stage.account.feed("hurt")
    hurt = workers(300, first=500)
    stage.account.drop("hurt/today.csv", csv_of(hurt))
    stage.tick()
    everybody = stage.healthy()
    assert stage.state("hurt") == ("sending", "stopped")
    receipts = stage.blob("hurt", "receipts.jsonl")
    data = receipts.download_blob().readall()
    receipts.delete_blob()
    # As a restore by copying leaves it: nothing can be appended to a block blob.
    receipts.upload_blob(data, blob_type="BlockBlob")
    stage.entra.faults = Schedule([])
    stage.tick()
    assert stage.state("hurt") == ("sending", "damaged")
    for _ in range(4):
        stage.tick()
    assert stage.account.outcomes("people") == dict.fromkeys(everybody, "created")
    assert stage.account.outcomes("hurt") == dict.fromkeys(ids(hurt), "created")
    assert (stage.state("hurt"), stage.entra.report.duplicate_bodies) == (("settled", ""), 0)


@pytest.mark.parametrize("state", ["planning", "sending", "settling"])
def test_a_run_that_is_deleted_for_its_damage_as_advised_is_begun_anew_and_stops_nothing(
    house: Callable[..., House], state: str
) -> None:
    fault = Rule(on=Endpoint.UPLOAD, do=Action.REVOKE, calls=((1, 1),))
    stage = house(*([fault] if state == "sending" else []), log_delay=3600.0 if state == "settling" else 0.0)
    stage.account.drop("people/today.csv", csv_of(workers(3)))
    if state == "planning":
        stage.account.feed("people", feed_file() + PGP)
        stage.tick(_out_of_memory)
        stage.account.feed("people")
    else:
        stage.tick()
    assert stage.state("people")[0] == state
    stage.entra.faults = Schedule([Rule(on=Endpoint.UPLOAD, do=Action.GRANT)])
    blob = stage.blob("people", "run.json")
    blob.upload_blob(b"", metadata={"state": state}, overwrite=True)
    stage.tick()
    problem = stage.account.summary("people")["problem"]
    assert (problem["code"], problem["message"].split()[0]) == ("damaged", f"runs/{blob.blob_name}")

    runs = stage.account.service.get_container_client(stage.account.containers["RUNS_CONTAINER"])
    for name in stage.names():
        if name.startswith(blob.blob_name.removesuffix("run.json")):
            runs.delete_blob(name)
    for _ in range(3):
        stage.tick()
    assert stage.state("people") == ("settling" if state == "settling" else "settled", "")
    assert stage.account.summary("people")["rows"]["sent"] == 3


def _out_of_memory() -> None:
    raise MemoryError


def test_a_run_that_has_forgotten_some_of_its_requests_says_whom_nobody_has_sent(house: Callable[..., House]) -> None:
    stage = house(Rule(on=Endpoint.UPLOAD, do=Action.REVOKE, calls=((1, 1),)))
    stage.account.drop("people/today.csv", csv_of(workers(120)))
    stage.tick()
    stage.entra.faults = Schedule([Rule(on=Endpoint.UPLOAD, do=Action.GRANT)])
    blob = stage.blob("people", "run.json")
    state = json.loads(blob.download_blob().readall())
    # A flipped bit that leaves a number.
    blob.upload_blob(json.dumps(state | {"requests": 2}), metadata={"state": "sending"}, overwrite=True)
    for _ in range(4):
        stage.tick()
    [note] = stage.account.summary("people")["notes"]
    assert (stage.state("people"), "20 people of its plan are in no request" in note) == (("settled", ""), True)


def test_a_run_that_is_deleted_when_a_later_one_was_sent_is_not_sent_over_it(house: Callable[..., House]) -> None:
    stage = house(log_delay=3600.0)
    stage.account.drop("people/first.csv", csv_of(workers(3)))
    stage.tick()
    stage.account.drop_a_second_later("people/second.csv", csv_of(workers(3)))
    stage.tick()
    first, second = sorted(name for name in stage.names() if name.startswith("people/") and name.endswith("run.json"))
    runs = stage.account.service.get_container_client(stage.account.containers["RUNS_CONTAINER"])
    runs.delete_blob(first)
    stage.tick()
    stage.tick()
    assert [name for name in stage.open_runs() if name.endswith(first.split("/")[1])] == []
    assert sorted(name for name in stage.names() if name.endswith("run.json")) == [second]
    summary = json.loads(stage.account.summaries()[first.replace("/run.json", ".json")])
    assert (summary["problem"]["code"], "is missing" in summary["problem"]["message"]) == ("damaged", True)


def test_a_settled_run_that_is_damaged_keeps_no_later_one_from_settling(house: Callable[..., House]) -> None:
    stage = house()
    stage.account.drop("people/first.csv", csv_of(workers(3)))
    stage.tick()
    stage.tick()
    stage.account.drop_a_second_later("people/second.csv", csv_of(workers(4)))
    stage.tick()
    first = min(name for name in stage.account.runs() if name.endswith("run.json"))
    runs = stage.account.service.get_container_client(stage.account.containers["RUNS_CONTAINER"])
    runs.upload_blob(first, b"", metadata={"state": "settled"}, overwrite=True)
    assert stage.tick() == []
    assert stage.state("people") == ("settled", "")


def test_a_ledger_of_a_newer_version_is_left_alone_and_its_blob_is_named(house: Callable[..., House]) -> None:
    stage = house()
    everybody = stage.healthy()
    runs = stage.account.service.get_container_client(stage.account.containers["RUNS_CONTAINER"])
    runs.create_container()
    newer = b'{"schema": 2, "calls": []}'
    runs.upload_blob("uplink.json", newer)
    [error] = stage.tick()
    assert str(error).startswith("runs/uplink.json: was written by a newer version of the connector (schema 2)")
    assert (runs.download_blob("uplink.json").readall(), stage.state("people")[0]) == (newer, "sending")
    runs.delete_blob("uplink.json")
    stage.tick()
    stage.tick()
    assert stage.account.outcomes("people") == dict.fromkeys(everybody, "created")


def test_a_summary_that_is_damaged_is_made_anew_and_one_of_a_newer_version_is_left_alone(
    house: Callable[..., House],
) -> None:
    stage = house(log_delay=3600.0)
    stage.healthy()
    stage.tick()
    stage.tick()
    run = stage.account.summary("people")["run"]
    good = stage.account.summaries()
    summaries = stage.account.service.get_container_client(stage.account.containers["SUMMARIES_CONTAINER"])
    for name in (f"people/{run}.json", "people/latest.json"):
        summaries.upload_blob(name, b"{", overwrite=True)
    assert stage.tick() == []
    assert stage.account.summaries() == good

    newer = good["people/latest.json"].replace(b'"schema": 1', b'"schema": 2')
    for name in (f"people/{run}.json", "people/latest.json"):
        summaries.upload_blob(name, newer, overwrite=True)
    assert stage.tick() == []
    after = stage.account.summaries()
    assert (after[f"people/{run}.json"], after["people/latest.json"]) == (newer, newer)


def test_a_receipt_that_was_kept_apart_just_before_a_crash_still_counts(house: Callable[..., House]) -> None:
    stage = house(Rule(on=Endpoint.UPLOAD, do=Action.REVOKE, calls=((2, 2),)))
    stage.account.environment["SEND_LIMIT"] = "1/20ms"
    stage.account.drop("people/today.csv", csv_of(workers(100)))
    stage.tick()
    assert stage.state("people") == ("sending", "stopped")
    appended = stage.blob("people", "receipts.jsonl")
    [line] = appended.download_blob().readall().splitlines()
    appended.delete_blob()
    runs = stage.account.service.get_container_client(stage.account.containers["RUNS_CONTAINER"])
    runs.upload_blob(appended.blob_name.replace("receipts.jsonl", "receipts/000001-0a1b2c3d.json"), line)
    stage.entra.faults = Schedule([Rule(on=Endpoint.UPLOAD, do=Action.GRANT)])
    stage.account.bring_home("people")
    summary = stage.account.summary("people")
    assert (summary["outcomes"], summary["notes"]) == (outcomes(created=100), [])
    assert stage.entra.report.duplicate_bodies == 0
