"""Graph where it is ill: whatever it answers, a call ends within bounds, with a result or with an error of ours."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import tracemalloc
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
import tenacity
from hypothesis import given
from hypothesis import strategies as st

from connector.outside.bounded_http import MIB, BoundedHttp
from connector.outside.graph import Accepted, Graph, LogBounds, Throttled
from connector.outside.provisioning_log import parse_events
from connector.outside.resource_manager import ResourceManager
from connector.outside.retries import retrying
from connector.outside.tokens import TokenSource
from connector.sandbox.connection import flood
from connector.vocabulary.errors import ConnectorError, Exceeded, Retryable, Stopped
from connector.vocabulary.plausible import WIDEST_SKEW
from tests.kit.privacy import Collector
from tests.unit.outside.test_graph import BASE, NOON, PATH, Clock, Credential, Wire, once, page

JOB = PATH.removesuffix("/bulkUpload")
LOG = f"{BASE}/v1.0/auditLogs/provisioning"


async def read(graph: Graph, policy: Callable[[], tenacity.AsyncRetrying] = once) -> list[str]:
    return [event.person async for events in graph.events("j", NOON, policy) for event in events]


def entry(person: str, **changes: Any) -> dict[str, Any]:
    return {"id": person, "activityDateTime": "2026-11-24T12:00:00Z", "sourceIdentity": {"id": person}} | changes


# ---- size


@pytest.mark.parametrize("most", [100, 100 * 100])
async def test_a_body_is_read_up_to_its_bound_and_not_a_byte_further(most: int) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        size = int(request.url.params["size"])
        plain = b" " * size
        if request.url.params["packed"] == "no":
            return httpx.Response(200, content=plain)
        return httpx.Response(200, content=gzip.compress(plain), headers={"Content-Encoding": "gzip"})

    http = BoundedHttp("Graph", transport=httpx.MockTransport(answer))
    found = [
        (len(got.content), got.fault)
        for packed in ("no", "yes")
        for size in (most, most + 1)
        for got in [await http.send("GET", f"{BASE}/x?size={size}&packed={packed}", headers={}, most=most)]
    ]
    assert found == [(most, ""), (0, "is larger than 0 MiB")] * 2


def unread(content: bytes, **headers: str) -> httpx.Response:
    """Not even httpx has decoded it."""

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 65536):
            yield content[start : start + 65536]

    return httpx.Response(200, content=pieces(), headers=headers)


async def test_what_grows_a_thousandfold_is_never_in_memory() -> None:
    bomb = flood(160)
    assert len(bomb) < MIB
    wire = Wire([unread(bomb, **{"Content-Encoding": "gzip"})], log_bounds=LogBounds(page_bytes=2 * MIB))
    tracemalloc.start()
    try:
        with pytest.raises(Exceeded, match="Graph's answer is larger than 2 MiB"):
            await read(wire.graph)
        assert tracemalloc.get_traced_memory()[1] < 16 * MIB
    finally:
        tracemalloc.stop()


async def test_a_page_of_the_log_has_64_mib_and_anything_else_8() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=b'{"value": []}' + b" " * (9 * MIB))

    wire = Wire(answer)
    assert await read(wire.graph) == []
    with pytest.raises(Exceeded, match="Graph's answer is larger than 8 MiB"):
        await wire.graph.job(JOB)
    with pytest.raises(Exceeded, match="Graph's answer is larger than 64 MiB"):
        await read(Wire([unread(b" " * (64 * MIB + 1))]).graph)


async def test_a_page_of_few_bytes_and_millions_of_values_is_not_even_parsed() -> None:
    content = b'{"value": [' + b"{}," * 2_000_000 + b"{}]}"
    with pytest.raises(Exceeded, match="Graph's answer has more than 2000000 values"):
        await read(Wire([httpx.Response(200, content=content)]).graph)


@pytest.mark.parametrize("coding", ["br", "zstd", "deflate", "gzip, gzip", "\x7f", "x" * 100])
async def test_what_is_packed_in_a_way_that_nobody_asked_for_is_not_unpacked(coding: str) -> None:
    wire = Wire(lambda _: unread(b"{}", **{"Content-Encoding": coding}))
    with pytest.raises(Exceeded, match=r"^Graph's answer is encoded in a way that was not asked for$"):
        await wire.graph.job(JOB)
    assert wire.seen[0].headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{}", "is not the gzip that it claims to be"),
        (gzip.compress(b"{}")[:-1], "is cut off"),
        (gzip.compress(b"{}")[:9], "is cut off"),
        (gzip.compress(b"{}" * 50)[:-8] + b"12345678", "is not the gzip that it claims to be"),
        # Blocks with nothing in them, of which there is no end.
        (gzip.compress(b"")[:10] + b"\x00\x00\x00\xff\xff" * (2 * MIB), "is larger than 8 MiB"),
    ],
)
async def test_gzip_that_is_none_or_has_no_end_is_no_answer(content: bytes, said: str) -> None:
    wire = Wire(lambda _: unread(content, **{"Content-Encoding": "gzip"}))
    with pytest.raises(Exceeded, match=f"^Graph's answer {said}$"):
        await wire.graph.job(JOB)


async def test_what_is_packed_is_unpacked() -> None:
    packed = gzip.compress(json.dumps({"value": [entry("7001")]}).encode())
    for coding in ("gzip", "GZIP", "x-gzip"):
        assert await read(Wire([unread(packed, **{"Content-Encoding": coding})]).graph) == ["7001"]
    # What follows the end is of no document.
    assert await read(Wire([unread(packed + b"x" * 70000, **{"Content-Encoding": "gzip"})]).graph) == ["7001"]


# ---- what a head says counts, whatever becomes of the body


class Breaking(httpx.AsyncByteStream):
    """Half a body, and then the end of the connection."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b'{"value": ['
        raise httpx.ReadError("zyx")


BAD_BODIES: list[Callable[[], Mapping[str, Any]]] = [
    lambda: {"stream": Breaking()},
    lambda: {"content": b" " * (9 * MIB)},
    lambda: {"content": b"[" * 3_000_000},
    lambda: {"content": b"\xff"},
    lambda: {"stream": Breaking(), "headers": {"Content-Encoding": "br"}},
]


@pytest.mark.parametrize("body", BAD_BODIES)
async def test_a_request_that_was_accepted_stays_accepted_whatever_its_answer_carries(
    body: Callable[[], Mapping[str, Any]],
) -> None:
    assert await Wire([httpx.Response(202, **body())]).graph.upload(PATH, b"{}") == Accepted(at=NOON, request_id="")


@pytest.mark.parametrize("body", BAD_BODIES)
async def test_a_429_says_how_long_to_wait_whatever_its_answer_carries(body: Callable[[], Mapping[str, Any]]) -> None:
    parts = dict(body())
    parts["headers"] = {**parts.get("headers", {}), "Retry-After": "7"}
    with pytest.raises(Throttled) as throttled:
        await Wire([httpx.Response(429, **parts)]).graph.upload(PATH, b"{}")
    assert (str(throttled.value), throttled.value.wait) == ("Graph answered 429", 7.0)


@pytest.mark.parametrize("location", ["http://[", "https://x\x00y/", "//", "\x7f", "http:///x"])
async def test_a_redirect_to_what_is_no_address_is_a_redirect(location: str) -> None:
    with pytest.raises(Stopped, match="Graph answered 302, a redirect, which was not followed"):
        await Wire([httpx.Response(302, headers={"Location": location})]).graph.upload(PATH, b"{}")


async def test_no_status_below_200_is_a_refusal_of_what_was_sent() -> None:
    with pytest.raises(Retryable, match=r"^Graph answered 199$"):
        await Wire([httpx.Response(199)]).graph.upload(PATH, b"{}")


async def test_nothing_is_kept_from_one_answer_to_the_next() -> None:
    cookie = {"Set-Cookie": "affinity=here; Path=/; Domain=microsoft.com"}
    wire = Wire([httpx.Response(202, headers=cookie), httpx.Response(202, headers=cookie), page()])
    for _ in range(2):
        await wire.graph.upload(PATH, b"{}")
    await read(wire.graph)
    assert [request.headers.get("cookie") for request in wire.seen] == [None, None, None]


# ---- pages


async def test_a_page_that_is_too_much_is_asked_for_once_and_a_broken_one_again() -> None:
    def often() -> tenacity.AsyncRetrying:
        return retrying(Instant(), random.Random(0), attempts=5)

    class Instant(Clock):
        async def sleep(self, seconds: float) -> None:
            """No time passes."""

    too_much = Wire(lambda _: httpx.Response(200, content=b" " * 11), log_bounds=LogBounds(page_bytes=10))
    broken = Wire(lambda _: httpx.Response(200, stream=Breaking()))
    for wire, error in ((too_much, Exceeded), (broken, Retryable)):
        with pytest.raises(error):
            await read(wire.graph, often)
    assert (len(too_much.seen), len(broken.seen)) == (1, 5)


@pytest.mark.parametrize(("asked", "waits"), [("60", [60.0] * 4), ("61", []), ("604800", [])])
async def test_who_is_to_wait_longer_than_a_minute_comes_back_with_the_next_tick(
    asked: str, waits: list[float]
) -> None:
    class Noting(Clock):
        async def sleep(self, seconds: float) -> None:
            slept.append(seconds)

    slept: list[float] = []
    wire = Wire(lambda _: httpx.Response(429, headers={"Retry-After": asked}))
    with pytest.raises(Throttled):
        await read(wire.graph, lambda: retrying(Noting(), random.Random(0), attempts=5))
    assert (slept, len(wire.seen)) == (waits, len(waits) + 1)


@pytest.mark.parametrize("length", [1, 2, 5])
async def test_a_circle_of_pages_is_walked_once(length: int) -> None:
    wire = Wire(lambda _: page(f"{LOG}?$skiptoken={len(wire.seen) % length}"))
    with pytest.raises(Exceeded, match="the provisioning log's pages lead in a circle"):
        await read(wire.graph)
    assert len(wire.seen) == length + 1


async def test_a_fragment_makes_no_other_page() -> None:
    wire = Wire(lambda _: page(f"{LOG}?$skiptoken=1#{len(wire.seen)}"))
    with pytest.raises(Exceeded, match="circle"):
        await read(wire.graph)
    assert len(wire.seen) == 2


async def test_the_bytes_of_all_pages_together_have_a_bound() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        content = json.dumps({"value": [], "@odata.nextLink": f"{LOG}?$skiptoken={len(wire.seen)}"}).encode()
        return httpx.Response(200, content=content + b" " * MIB)

    wire = Wire(answer, log_bounds=LogBounds(bytes=3 * MIB))
    with pytest.raises(Exceeded, match="the provisioning log is larger than 3 MiB"):
        await read(wire.graph)
    assert len(wire.seen) == 3


async def test_a_poll_ends_with_its_time_however_quick_each_page_is() -> None:
    class Passing(Clock):
        passed = 0.0

        def monotonic(self) -> float:
            return self.passed

    clock = Passing()

    def answer(_: httpx.Request) -> httpx.Response:
        clock.passed += 50.0
        return page(f"{LOG}?$skiptoken={len(wire.seen)}")

    wire = Wire(answer, clock=clock)
    with pytest.raises(Exceeded, match="the provisioning log did not end within 10 minutes"):
        await read(wire.graph)
    assert len(wire.seen) == 12


HALF = [
    ({}, "has no list of entries (value)"),
    ([], "has no list of entries (value)"),
    (7, "has no list of entries (value)"),
    ({"value": None}, "has no list of entries (value)"),
    ({"value": {}}, "has no list of entries (value)"),
    ({"value": "7001"}, "has no list of entries (value)"),
    ({"value": [entry("7001")], "error": {"code": "Half", "message": "x"}}, "has an error in it Half"),
    ({"value": [entry("7001")], "error": "x"}, "has an error in it"),
    ({"value": [entry("7001")], "error": False}, "has an error in it"),
    ({"value": [entry("7001")], "@odata.nextLink": 7}, "has an @odata.nextLink that is no address"),
    ({"value": [entry("7001")], "@odata.nextLink": ["x"]}, "has an @odata.nextLink that is no address"),
    ({"value": [entry("7001")], "@odata.nextLink": "/" + "x" * 20000}, "has an @odata.nextLink that is no address"),
]


@pytest.mark.parametrize(("document", "said"), HALF)
async def test_a_page_that_does_not_say_that_it_is_whole_is_not_the_log(document: Any, said: str) -> None:
    wire = Wire([httpx.Response(200, json=document)])
    with pytest.raises(Retryable) as raised:
        await read(wire.graph)
    assert str(raised.value) == f"a page of the provisioning log {said}"


async def test_a_page_may_say_that_it_has_no_error() -> None:
    assert await read(Wire([httpx.Response(200, json={"value": [entry("7001")], "error": None})]).graph) == ["7001"]


# ---- entries


@pytest.mark.parametrize(
    "odd",
    [
        '{"id": "\\ud800", "x": "\\udfff\\ud800"}',
        '{"durationInMilliseconds": 1e400}',
        '{"durationInMilliseconds": NaN, "x": -Infinity}',
        f'{{"durationInMilliseconds": {"9" * 5000}}}',
        '{"sourceIdentity": {"id": "\udcff"}}',
    ],
)
async def test_one_value_that_is_no_json_costs_its_own_entry(odd: str) -> None:
    content = f'{{"value": [{json.dumps(entry("7001"))}, {odd}, {json.dumps(entry("7002"))}]}}'
    wire = Wire([httpx.Response(200, content=content.encode("utf-8", "surrogateescape"))])
    assert await read(wire.graph) == ["7001", "7002"]


@pytest.mark.parametrize("content", [b"[" * 1_000_000, b'{"value": ' + b"[" * 5000 + b"]" * 5000 + b"}", b"\xff", b""])
async def test_what_is_nested_without_end_or_no_text_is_no_page(content: bytes) -> None:
    with pytest.raises(Retryable, match="Graph answered with something that is not JSON"):
        await read(Wire([httpx.Response(200, content=content)]).graph)


async def test_entries_that_cannot_be_are_counted_once_and_cost_nobody_else_an_outcome(collected: Collector) -> None:
    deep: Any = "x"
    for _ in range(500):
        deep = [deep]
    odd = [
        entry("7001", activityDateTime=at)
        for at in ("9999-12-31T23:59:59-14:00", "2026-11-24T12:15:01Z", "soon", "٢٠٢٦-11-24T12:00:00Z", -1, deep, None)
    ]
    odd += [entry("7001", id=value) for value in ("", None, deep, "x" * 257)]
    pages = [
        httpx.Response(200, json={"value": [*odd, entry("7002"), "x"], "@odata.nextLink": f"{LOG}?2"}),
        # About nobody: the job's own, and neither counted nor an event.
        httpx.Response(200, json={"value": [7, entry("7003"), entry("", sourceIdentity=None), entry("7003", id=deep)]}),
    ]
    assert await read(Wire(pages).graph) == ["7002", "7003"]
    said = [record for record in collected.take() if record.name.startswith("connector.outside")]
    assert [(record.msg, vars(record)["entries"]) for record in said] == [("log entries passed over", 14)]


def test_texts_are_cut_and_anything_else_is_none() -> None:
    deep: Any = "x"
    for _ in range(900):
        deep = {"x": [deep]}
    info = {"status": "failure", "errorInformation": {"errorCode": deep, "reason": "r" * 10**6, "recommendedAction": 7}}
    (event,), absurd = parse_events(
        [entry("7001", provisioningStatusInfo=info, provisioningAction=deep, changeId="\ud800")], NOON
    )
    assert (absurd, event.code, event.reason, event.advice, event.action, event.change) == (
        0,
        "",
        "r" * 4096,
        "7",
        "",
        "?",
    )


# ---- clocks


@pytest.mark.parametrize(
    "date",
    [
        "Fri, 31 Dec 9999 23:59:59 -0100",
        "Tue, 24 Nov 99999999999999999999 12:00:00 GMT",
        "Tue, 24 Nov 2026 12:00:00 +99999999999999",
        "Tue, 24 Nov 2026 12:00:00",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        format_datetime(NOON + WIDEST_SKEW + timedelta(seconds=1), usegmt=True),
        "1e400",
        "-1",
        "٢",
        "x" * 10_000,
        "",
    ],
)
async def test_a_date_that_cannot_be_is_none(date: str) -> None:
    wire = Wire(lambda _: httpx.Response(202, headers={b"Date": date.encode()}))
    assert await wire.graph.upload(PATH, b"{}") == Accepted(at=NOON, request_id="")
    clocks = wire.graph.clocks()
    assert (wire.graph.ahead, clocks.ahead, clocks.now, wire.graph.now()) == (None, timedelta(), NOON, NOON)


@pytest.mark.parametrize("hours", [-30, 30])
async def test_when_to_ask_again_is_told_by_the_clock_of_who_says_it(hours: int) -> None:
    date = NOON + timedelta(hours=hours)
    headers = {
        "Date": format_datetime(date, usegmt=True),
        "Retry-After": format_datetime(date + timedelta(seconds=90), usegmt=True),
    }
    wire = Wire([httpx.Response(429, headers=headers)])
    with pytest.raises(Throttled) as throttled:
        await wire.graph.upload(PATH, b"{}")
    clocks = wire.graph.clocks()
    assert (throttled.value.wait, clocks.ahead, clocks.now) == (90.0, timedelta(hours=hours), date)


# ---- time, on real connections


@asynccontextmanager
async def server(answer: Callable[[asyncio.StreamWriter], Any]) -> AsyncIterator[str]:
    """Answers each connection's first request by `answer`, and closes it."""
    serving: set[asyncio.Task[Any] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            await answer(writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as running, asyncio.timeout(60):
        yield f"http://127.0.0.1:{running.sockets[0].getsockname()[1]}"
        # Its clients have gone, and each connection ends for that.
        await asyncio.gather(*(task for task in serving if task is not None))


@asynccontextmanager
async def real(base: str, seconds: float) -> AsyncIterator[Graph]:
    bounds = LogBounds(page_seconds=seconds)
    graph = Graph(base, TokenSource(lambda: Credential([]), "scope"), Clock(), call_seconds=seconds, log_bounds=bounds)
    try:
        yield graph
    finally:
        await graph.close()


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"", "Graph did not answer within 0.2 seconds"),
        (b"HTTP/1.1 200 OK\r\n", "Graph did not answer within 0.2 seconds"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\n", "Graph's answer took longer than 0.2 seconds"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "Graph's answer took longer than 0.2 seconds"),
    ],
)
async def test_a_server_that_drips_is_left_after_a_calls_time(head: bytes, said: str) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        more = b"1\r\n \r\n" if b"chunked" in head else b" " if head.endswith(b"\r\n\r\n") else b"x: y\r\n"
        while True:
            writer.write(more)
            await writer.drain()
            await asyncio.sleep(0.01)

    async with server(drip) as base, real(base, 0.2) as graph:
        for call in (graph.job(JOB), read(graph)):
            with pytest.raises(Exceeded, match=said):
                await call
        # That Graph was slow is no reason to send nothing more.
        with pytest.raises(Retryable) as later:
            await graph.upload(PATH, b"{}")
        assert (type(later.value), str(later.value)) == (
            Retryable,
            said if "not" in said else "Graph answered 200 to a bulk request, where 202 means accepted",
        )


def arbitrary(source: random.Random) -> bytes:
    """An answer with some of its bytes changed, cut or doubled, or none at all."""
    body = source.choice([b'{"value": []}', b'{"status": {"code": "Active"}}', gzip.compress(b"{}"), b"", b"[" * 2000])
    lines = [
        source.choice([b"HTTP/1.1 200 OK", b"HTTP/1.1 202 Accepted", b"HTTP/1.1 429 No", b"HTTP/1.1 302 X", b"SSH-2.0"])
    ]
    lines += source.sample(
        [
            b"content-length: %d" % source.choice([len(body), 0, 10**30, len(body) + 1]),
            b"content-encoding: " + source.choice([b"gzip", b"br", b"\xff"]),
            b"transfer-encoding: chunked",
            b"date: " + source.randbytes(9).hex().encode(),
            b"retry-after: 1e400",
            b"location: http://[",
            b"set-cookie: a=b; expires=Fri, 99 Foo 9999; max-age=1e99",
        ],
        k=source.randrange(5),
    )
    whole = bytearray(b"\r\n".join(lines) + b"\r\n\r\n" + body)
    for _ in range(source.choice([0, 0, 1, 3, 20])):
        position = source.randrange(len(whole) + 1)
        whole[position : position + source.randrange(3)] = source.randbytes(source.randrange(3))
    return bytes(whole[: source.choice([len(whole), source.randrange(len(whole) + 1)])])


async def test_whatever_bytes_come_a_call_ends_with_a_result_or_an_error_of_ours() -> None:
    source = random.Random(5)

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(arbitrary(source))

    async with server(answer) as base, real(base, 5.0) as graph:
        for number in range(240):
            with suppress(ConnectorError):
                match number % 3:
                    case 0:
                        await graph.upload(PATH, b"{}")
                    case 1:
                        await graph.job(JOB)
                    case _:
                        await read(graph)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=9,
)
entries = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ["id", "activityDateTime", "sourceIdentity", "provisioningStatusInfo", "provisioningSteps", "changeId"],
        anything,
    )
    | {"activityDateTime": st.datetimes().map(str) | st.sampled_from(["9999-12-31T23:59:59-12:00", "0001-01-01T00Z"])},
)
documents = st.fixed_dictionaries(
    {},
    optional={
        "value": st.lists(entries | anything, max_size=4) | anything,
        "error": anything,
        "status": anything,
        "@odata.nextLink": anything | st.sampled_from([LOG, f"{LOG}?1", "https://elsewhere.example/"]),
    },
)
heads = st.dictionaries(
    st.sampled_from(["Date", "Retry-After", "Location", "Set-Cookie", "request-id", "X"]),
    st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=30),
)


@given(
    status=st.sampled_from([101, 200, 200, 200, 202, 204, 302, 400, 401, 403, 404, 429, 500, 599, 999]),
    headers=heads,
    body=st.binary(max_size=30) | documents.map(lambda document: json.dumps(document).encode("utf-8", "surrogatepass")),
)
def test_whatever_a_document_says_a_call_ends_with_a_result_or_an_error_of_ours(
    status: int, headers: Mapping[str, str], body: bytes
) -> None:
    async def all_calls() -> None:
        raw = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
        wire = Wire(lambda _: httpx.Response(status, content=body, headers=raw), log_bounds=LogBounds(pages=5))
        for call in (wire.graph.upload(PATH, b"{}"), wire.graph.job(JOB), read(wire.graph)):
            with suppress(ConnectorError):
                await call
        assert len(wire.seen) <= 7
        assert wire.graph.clocks().earliest <= wire.graph.clocks().latest

    asyncio.run(all_calls())


# ---- the doctor's


async def test_resource_managers_answers_have_the_same_bounds() -> None:
    def manager(response: httpx.Response) -> ResourceManager:
        tokens = TokenSource(lambda: Credential([]), "scope")
        return ResourceManager("https://management.azure.com", tokens, httpx.MockTransport(lambda _: response))

    for response, said in (
        (unread(flood(9), **{"Content-Encoding": "gzip"}), "Azure Resource Manager's answer is larger than 8 MiB"),
        (
            httpx.Response(200, content=b"[" * 5000),
            "Azure Resource Manager answered 200 with something that is not JSON",
        ),
    ):
        with pytest.raises(Retryable) as raised:
            await manager(response).resource("/x", api_version="1")
        assert str(raised.value) == said
