from __future__ import annotations

import re
import socket
from urllib.parse import urlsplit

import httpx
import orjson
import pytest

from connector.sandbox.clock import VirtualClock
from connector.sandbox.faults import Action, Endpoint, Rule, Schedule
from connector.sandbox.servers import Sandbox
from connector.sandbox.settings import SandboxSettings
from connector.vocabulary.errors import Fault, Unusable
from tests.kit.account import PATIENCE, until
from tests.kit.servers import MakeSandbox
from tests.sandbox.wire import SCIM, bulk, caller, person, token, upload


def _fired(schedule: Schedule, calls: int, on: Endpoint = Endpoint.UPLOAD) -> list[int]:
    """The numbers of the calls that a rule hit."""
    return [number for number in range(1, calls + 1) if schedule.decide(on)]


@pytest.mark.parametrize(
    ("selectors", "hit"),
    [
        ("call: 17", [17]),
        ("calls: 20-22", [20, 21, 22]),
        ("calls: [1, 3, 28-]", [1, 3, 28, 29, 30]),
        ("every: 10", [10, 20, 30]),
        ("times: 2", [1, 2]),
        ("every: 4\n  times: 3", [4, 8, 12]),
        ("probability: 0", []),
        ("probability: 1.0", list(range(1, 31))),
    ],
)
def test_a_rule_hits_the_calls_that_it_names(selectors: str, hit: list[int]) -> None:
    schedule = Schedule.parse(f"- on: upload\n  do: drop-after\n  {selectors}")
    assert [schedule.decide(Endpoint.TOKEN) for _ in range(5)] == [None] * 5
    assert _fired(schedule, 30) == hit


def test_the_first_rule_that_fires_decides_and_the_others_count_on() -> None:
    schedule = Schedule.parse("[{on: upload, do: hang, call: 2}, {on: upload, do: half, every: 2}]")
    hits = [schedule.decide(Endpoint.UPLOAD) for _ in range(4)]
    assert [rule and rule.do for rule in hits] == [None, Action.HANG, None, Action.HALF]


def test_a_probability_is_drawn_by_seed_and_call_alone() -> None:
    text = "[{on: upload, do: half, probability: 0.3}]"
    first = _fired(Schedule.parse(text, seed=1), 1000)
    again = Schedule.parse("[{on: upload, do: half, probability: 0.3}, {on: log, do: half, probability: 0.5}]", seed=1)
    mixed = []
    for number in range(1, 1001):
        again.decide(Endpoint.LOG)
        if again.decide(Endpoint.UPLOAD):
            mixed.append(number)
    assert first == mixed
    assert 240 < len(first) < 360
    assert first != _fired(Schedule.parse(text, seed=2), 1000)


def test_a_rule_can_be_bound_to_a_time_a_method_and_a_path() -> None:
    schedule = Schedule.parse("[{on: storage, do: half, method: PUT, path: '/runs.*json$', after: 1m, before: 120}]")
    hits = [
        schedule.decide(Endpoint.STORAGE, method=method, path=path, elapsed=elapsed) is not None
        for method, path, elapsed in [
            ("PUT", "/a/runs/x.json", 59),
            ("PUT", "/a/runs/x.json", 60),
            ("GET", "/a/runs/x.json", 61),
            ("PUT", "/a/inbox/x.json", 61),
            ("PUT", "/a/runs/x.json", 119.9),
            ("PUT", "/a/runs/x.json", 120),
        ]
    ]
    assert hits == [False, True, False, False, True, False]


def test_a_rule_can_be_bound_to_a_header_and_counts_the_calls_that_have_it() -> None:
    schedule = Schedule.parse("[{on: storage, do: half, header: '^x-ms-meta-state: sent$', call: 2}]")
    states = ["sent", "unsent", "sent", "sent"]
    hits = [schedule.decide(Endpoint.STORAGE, headers=[("X-MS-Meta-State", state)]) is not None for state in states]
    assert hits == [False, False, True, False]
    assert Schedule.parse("[{on: storage, do: half, header: ''}]").decide(Endpoint.STORAGE) is not None


def test_a_header_is_looked_at_in_real_requests(make_sandbox: MakeSandbox) -> None:
    rule = Rule(on=Endpoint.UPLOAD, do=Action.STATUS, status=503, header="^x-round: 2$")
    sandbox = make_sandbox(faults=Schedule([rule]))
    with caller(sandbox) as client:
        content = orjson.dumps(bulk(person("1")))
        answers = [client.post(sandbox.endpoint, content=content, headers=SCIM | {"X-Round": n}) for n in "123"]
    assert [answer.status_code for answer in answers] == [202, 503, 202]


def test_down_lasts_for_its_seconds() -> None:
    schedule = Schedule.parse("[{on: upload, do: down, call: 3, seconds: 30}]")
    hits = [schedule.decide(Endpoint.UPLOAD, elapsed=elapsed) is not None for elapsed in (0, 1, 2, 10, 31.9, 32, 33)]
    assert hits == [False, False, True, True, True, False, False]
    assert schedule.decide(Endpoint.LOG, elapsed=10) is None


def test_a_complete_rule_is_read_as_it_is_written() -> None:
    text = """
    - {on: upload, do: status, calls: 2-3, status: 503, retry_after: 7, code: Busy, after: 1, before: 2h, seconds: 5m}
    - {on: log, do: flood, size: 9, date: soon, body: nobody}
    """
    assert Schedule.parse(text).rules == [
        Rule(
            on=Endpoint.UPLOAD,
            do=Action.STATUS,
            calls=((2, 3),),
            status=503,
            retry_after="7",
            code="Busy",
            after=1.0,
            before=7200.0,
            seconds=300.0,
        ),
        Rule(on=Endpoint.LOG, do=Action.FLOOD, size=9, date="soon", body="nobody"),
    ]


def test_an_empty_script_has_no_rules() -> None:
    assert Schedule.parse("").rules == []


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("{", [Fault(message="not YAML", line=1)]),
        ("a: 1", [Fault(message="wants a list of rules")]),
        (
            "[1, {}, {on: x, do: half}, {on: log, do: x}, {on: log, do: half, cals: 1}, {on: log, do: half, call: 0}]",
            [
                Fault(message="rule 1: wants a mapping"),
                Fault(message="rule 2: on is missing"),
                Fault(message="rule 3: on 'x' is not a valid Endpoint"),
                Fault(message="rule 4: do 'x' is not a valid Action"),
                Fault(message="rule 5: unknown key cals"),
                Fault(message="rule 6: calls wants call numbers from 1, such as 17, 20-25 or 30-"),
            ],
        ),
        (
            "[{on: log, do: half, every: 0}, {on: log, do: half, probability: 2}, {on: log, do: half, seconds: soon},"
            " {on: log, do: status, status: 99}, {on: storage, do: pause}]",
            [
                Fault(message="rule 1: every wants a whole number from 1"),
                Fault(message="rule 2: probability wants a number between 0 and 1"),
                Fault(message="rule 3: seconds wants a number and a unit of ms, s, m, h or d, such as 24h"),
                Fault(message="rule 4: status wants an HTTP status between 200 and 599"),
                Fault(message="rule 5: pause does not apply to storage"),
            ],
        ),
    ],
)
def test_every_fault_of_a_script_is_reported_at_once(text: str, faults: list[Fault]) -> None:
    with pytest.raises(Unusable) as unusable:
        Schedule.parse(text, name="faults.yaml")
    assert (unusable.value.name, list(unusable.value.faults)) == ("faults.yaml", faults)


def _raw_upload(sandbox: Sandbox) -> bytes:
    """All bytes of the answer to one upload on a socket of its own; raises what the socket raises."""
    body = orjson.dumps(bulk(person("1")))
    parts = urlsplit(sandbox.endpoint)
    head = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {token(sandbox)}\r\n"
        f"Content-Type: application/scim+json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    assert parts.hostname and parts.port
    with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE) as connection:
        connection.sendall(head + body)
        answer = b""
        while part := connection.recv(4096):
            answer += part
        return answer


@pytest.mark.parametrize(
    ("action", "accepted"),
    [(Action.DROP_BEFORE, 0), (Action.DROP_AFTER, 1), (Action.DOWN, 0), (Action.HANG, 0), (Action.HANG_AFTER, 1)],
)
def test_the_connection_is_really_reset_before_or_after_the_request_took_effect(
    make_sandbox: MakeSandbox, action: Action, accepted: int
) -> None:
    sandbox = make_sandbox(faults=Schedule([Rule(on=Endpoint.UPLOAD, do=action, seconds=0.01, times=1)]))
    with pytest.raises(ConnectionResetError):
        _raw_upload(sandbox)
    (seen,) = sandbox.report.of(Endpoint.UPLOAD)
    assert (sandbox.report.accepted, seen.status, seen.fault) == (accepted, 0, str(action))
    with caller(sandbox) as client:
        if action is not Action.DOWN:
            assert upload(client, sandbox, person("2")).status_code == 202


def test_half_an_answer_without_a_body_is_half_a_status_line(make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(faults=Schedule([Rule(on=Endpoint.UPLOAD, do=Action.HALF)]))
    assert (_raw_upload(sandbox), sandbox.report.accepted) == (b"HTTP/1.1 2", 1)


def test_half_a_page_of_the_log_is_no_complete_body(make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(faults=Schedule([Rule(on=Endpoint.LOG, do=Action.HALF, times=1)]))
    with caller(sandbox) as client:
        upload(client, sandbox, *(person(str(number)) for number in range(20)))
        with pytest.raises(
            httpx.RemoteProtocolError, match="peer closed connection without sending complete message body"
        ):
            client.get("/v1.0/auditLogs/provisioning")
        assert len(client.get("/v1.0/auditLogs/provisioning").json()["value"]) == 20


def test_a_caller_who_gives_up_on_a_hang_leaves_nothing_behind(make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(faults=Schedule([Rule(on=Endpoint.UPLOAD, do=Action.HANG, seconds=3600, times=1)]))
    with caller(sandbox) as client:
        with pytest.raises(httpx.ReadTimeout):
            client.post(sandbox.endpoint, content=orjson.dumps(bulk(person("1"))), headers=SCIM, timeout=0.05)
        assert upload(client, sandbox, person("2")).status_code == 202
        assert sandbox.busy
    assert sandbox.report.people_received == {"2"}
    until(lambda: not sandbox.busy, "the end of the hang")


@pytest.mark.parametrize(
    ("retry_after", "sent"),
    [
        ("", None),
        ("7", "7"),
        ("-5", "-5"),
        ("99999999999", "99999999999"),
        ("soon", "soon"),
        ("date+90", "Mon, 05 Jan 2026 08:01:30 GMT"),
        ("date-60", "Mon, 05 Jan 2026 07:59:00 GMT"),
        ("Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2015 07:28:00 GMT"),
    ],
)
def test_a_scripted_status_comes_with_any_retry_after(
    make_sandbox: MakeSandbox, retry_after: str, sent: str | None
) -> None:
    rule = Rule(on=Endpoint.UPLOAD, do=Action.STATUS, status=503, retry_after=retry_after)
    sandbox = make_sandbox(clock=VirtualClock(), faults=Schedule([rule]))
    with caller(sandbox) as client:
        answer = upload(client, sandbox, person("1"))
    assert (answer.status_code, answer.headers.get("retry-after")) == (503, sent)
    error = answer.json()["error"]
    assert (error["code"], error["message"]) == ("ServiceUnavailable", "Service Unavailable (by script)")
    assert sandbox.report.accepted == 0


def test_a_status_can_hide_that_the_request_took_effect(make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(faults=Schedule([Rule(on=Endpoint.UPLOAD, do=Action.STATUS_AFTER, status=504)]))
    with caller(sandbox) as client:
        assert upload(client, sandbox, person("1")).status_code == 504
    assert sandbox.report.accepted == 1


@pytest.mark.parametrize(
    ("rule", "location"),
    [
        (Rule(on=Endpoint.UPLOAD, do=Action.NO_LOCATION), None),
        (Rule(on=Endpoint.UPLOAD, do=Action.ODD_LOCATION, location="http://evil.test/x"), "http://evil.test/x"),
    ],
)
def test_the_location_can_be_missing_or_odd(make_sandbox: MakeSandbox, rule: Rule, location: str | None) -> None:
    sandbox = make_sandbox(faults=Schedule([rule]))
    with caller(sandbox) as client:
        answer = upload(client, sandbox, person("1"))
    assert (answer.status_code, answer.headers.get("location")) == (202, location)


def test_the_next_link_can_be_odd(make_sandbox: MakeSandbox) -> None:
    rule = Rule(on=Endpoint.LOG, do=Action.ODD_LOCATION, location="http://evil.test/x")
    sandbox = make_sandbox(faults=Schedule([rule]))
    with caller(sandbox) as client:
        assert client.get("/v1.0/auditLogs/provisioning").json()["@odata.nextLink"] == "http://evil.test/x"


@pytest.mark.parametrize(
    ("date", "sent"),
    [
        ("date+108000", "Tue, 06 Jan 2026 14:00:00 GMT"),
        ("date-60", "Mon, 05 Jan 2026 07:59:00 GMT"),
        ("Fri, 31 Dec 9999 23:59:59 -1200", "Fri, 31 Dec 9999 23:59:59 -1200"),
    ],
)
def test_the_date_header_can_be_odd(make_sandbox: MakeSandbox, date: str, sent: str) -> None:
    rule = Rule(on=Endpoint.UPLOAD, do=Action.ODD_DATE, date=date)
    sandbox = make_sandbox(clock=VirtualClock(), faults=Schedule([rule]))
    with caller(sandbox) as client:
        answer = upload(client, sandbox, person("1"))
    assert (answer.status_code, answer.headers.get_list("date")) == (202, [sent])


def test_a_scripted_status_can_have_any_body(make_sandbox: MakeSandbox) -> None:
    rule = Rule(on=Endpoint.LOG, do=Action.STATUS, status=200, body='{"error": {}}')
    sandbox = make_sandbox(faults=Schedule([rule]))
    with caller(sandbox) as client:
        answer = client.get("/v1.0/auditLogs/provisioning")
    assert (answer.status_code, answer.json()) == (200, {"error": {}})


def test_a_page_can_have_entries_that_nobody_can_read_beside_its_own(make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(faults=Schedule([Rule(on=Endpoint.LOG, do=Action.ODD_ENTRIES, times=1)]))
    with caller(sandbox) as client:
        upload(client, sandbox, person("1"))
        odd, whole = (client.get("/v1.0/auditLogs/provisioning").json()["value"] for _ in range(2))
    assert (len(whole), odd[-1:], len(odd) > 10) == (1, whole, True)


def test_an_answer_can_come_a_byte_at_a_time(make_sandbox: MakeSandbox) -> None:
    clock = VirtualClock()
    sandbox = make_sandbox(clock=clock, faults=Schedule([Rule(on=Endpoint.JOB, do=Action.DRIP, seconds=2.0)]))
    with caller(sandbox) as client, clock.busy():
        answer = client.get(sandbox.endpoint.removesuffix("/bulkUpload"))
    assert answer.json()["status"]["code"] == "Active"
    assert clock.monotonic() == 2.0 * len(answer.content)


def test_an_answer_can_become_a_thousand_times_larger_than_it_came(make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(faults=Schedule([Rule(on=Endpoint.LOG, do=Action.FLOOD, size=3)]))
    with caller(sandbox) as client:
        answer = client.get("/v1.0/auditLogs/provisioning", headers={"accept-encoding": "identity"})
    assert (len(answer.content), answer.headers["content-encoding"]) == (3 * 2**20, "gzip")
    assert int(answer.headers["content-length"]) < 4096


def test_an_expired_token_claims_to_be_good(make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(faults=Schedule([Rule(on=Endpoint.TOKEN, do=Action.EXPIRED_TOKEN, times=1)]))
    statuses = []
    for _ in range(2):
        with caller(sandbox) as client:
            statuses.append(upload(client, sandbox, person("1")).status_code)
    assert statuses == [401, 202]


def test_the_token_endpoint_can_be_down(make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(faults=Schedule([Rule(on=Endpoint.TOKEN, do=Action.STATUS, status=500, times=1)]))
    with pytest.raises(httpx.HTTPStatusError, match=re.escape("500 Internal Server Error")):
        token(sandbox)
    assert token(sandbox)


def _statuses(sandbox: Sandbox) -> list[int]:
    with caller(sandbox) as client:
        return [upload(client, sandbox, person(str(number))).status_code for number in range(5)]


@pytest.mark.parametrize(
    ("start", "end", "statuses"),
    [
        (Action.REVOKE, Action.GRANT, [202, 403, 403, 202, 202]),
        (Action.DELETE_JOB, Action.RESUME, [202, 404, 404, 404, 404]),
    ],
)
def test_permission_and_job_can_go_from_one_call_on(
    make_sandbox: MakeSandbox, start: Action, end: Action, statuses: list[int]
) -> None:
    rules = [Rule(on=Endpoint.UPLOAD, do=start, calls=((2, 2),)), Rule(on=Endpoint.UPLOAD, do=end, calls=((4, 4),))]
    assert _statuses(make_sandbox(faults=Schedule(rules))) == statuses


@pytest.mark.parametrize(("action", "code"), [(Action.PAUSE, "Paused"), (Action.QUARANTINE, "Quarantine")])
def test_the_job_can_stop_and_go_on_from_one_call_on(make_sandbox: MakeSandbox, action: Action, code: str) -> None:
    rules = [Rule(on=Endpoint.UPLOAD, do=action, calls=((2, 2),)), Rule(on=Endpoint.JOB, do=Action.RESUME, every=2)]
    sandbox = make_sandbox(faults=Schedule(rules))
    job = sandbox.endpoint.removesuffix("/bulkUpload")
    assert _statuses(sandbox) == [202] * 5
    seen: list[tuple[str, int]] = []
    with caller(sandbox) as client:
        for _ in range(2):
            status = client.get(job).json()["status"]["code"]
            seen.append((status, len(client.get("/v1.0/auditLogs/provisioning").json()["value"])))
    assert seen == [(code, 1), ("Active", 5)]


@pytest.mark.parametrize(
    ("action", "error", "accepted", "elapsed"),
    [
        (Action.DROP_BEFORE, httpx.ReadError, 0, 0.0),
        (Action.DROP_AFTER, httpx.ReadError, 1, 0.0),
        (Action.DOWN, httpx.ReadError, 0, 0.0),
        (Action.HALF, httpx.RemoteProtocolError, 1, 0.0),
        (Action.HANG, httpx.ReadTimeout, 0, 30.0),
        (Action.HANG_AFTER, httpx.ReadTimeout, 1, 30.0),
        (Action.DELAY, None, 1, 20.0),
    ],
)
async def test_without_sockets_a_fault_is_the_exception_that_httpx_raises_for_it(
    action: Action, error: type[Exception] | None, accepted: int, elapsed: float
) -> None:
    clock = VirtualClock()
    seconds = 20.0 if action is Action.DELAY else 3600.0
    sandbox = Sandbox(
        SandboxSettings.immediate(), clock=clock,
        faults=Schedule([Rule(on=Endpoint.UPLOAD, do=action, seconds=seconds)]),
    )  # fmt: skip
    async with httpx.AsyncClient(transport=sandbox.transport(), timeout=30) as client:
        answer = await client.get(
            sandbox.identity_endpoint,
            params={"api-version": "2019-08-01", "resource": sandbox.base_url},
            headers={"x-identity-header": sandbox.settings.identity_header},
        )
        headers = SCIM | {"authorization": f"Bearer {answer.json()['access_token']}"}
        content = orjson.dumps(bulk(person("1")))
        if error is None:
            assert (await client.post(sandbox.endpoint, content=content, headers=headers)).status_code == 202
        else:
            with pytest.raises(error):
                await client.post(sandbox.endpoint, content=content, headers=headers)
    assert (sandbox.report.accepted, clock.monotonic()) == (accepted, elapsed)
