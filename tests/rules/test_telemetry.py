"""What is said of the connector's work: only by registered names, joined into one trace a run, and of nobody."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import subprocess
import sys
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueClient
from opentelemetry import trace
from opentelemetry.instrumentation.logging.handler import LoggingHandler
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from bench import cold_start
from connector.outside import telemetry
from connector.outside.blobs import SILENT
from connector.outside.poison_queue import QUEUE
from connector.outside.settings import Settings
from connector.outside.store import RunEntry
from connector.outside.telemetry.exporting import OpenTelemetry, run_context
from connector.outside.telemetry.invocation import InvocationFailed, invocation, safe_detail
from connector.outside.telemetry.names import EVENTS, LOGGER, METRICS, SPANS
from connector.outside.telemetry.spans import exporting_to, plain_code
from connector.sandbox.faults import Action, Endpoint, Rule
from connector.sandbox.servers import PROJECT, Azurite, Sandbox
from connector.sending.ledger import Ledger
from connector.vocabulary.errors import Conflict, DropUnusable, Fault, Refused, Retryable, Stopped, StorageDown
from connector.vocabulary.limits import Limit
from connector.vocabulary.order import landing
from connector.vocabulary.run import Decision, State
from connector.vocabulary.summary import Outcomes
from connector.watching.feed_status import FeedFacts, FeedFile, Quota, feed_facts
from connector.wiring import connected, managed_identity
from tests.chaos.schedule import FEED, EntraFault, ExtraTick, Happening, Land, Schedule, Skew, StorageFault, Tamper
from tests.chaos.world import World
from tests.kit.account import PATIENCE, Account
from tests.kit.people import MARK, csv_of, feed_file, worker, workers
from tests.kit.privacy import Collector, leaks
from tests.kit.registered import unregistered

# ---- names


class Recorder:
    """An exporter that keeps names alone: of spans and metrics, with the attributes that they had."""

    def __init__(self) -> None:
        self.spans: dict[str, set[str]] = {}
        self.metrics: set[tuple[str, frozenset[str]]] = set()

    def begin(self, name: str, feed: str, run: str, attributes: Mapping[str, Any]) -> RecordedSpan:
        span = RecordedSpan(self.spans.setdefault(name, set()))
        span.set(**attributes, **({"feed": feed, "run": run} if run else {}))
        return span

    def measure(self, name: str, value: float, attributes: Mapping[str, Any]) -> None:
        self.metrics.add((name, frozenset(attributes)))

    def flush(self) -> None:
        """Nothing is buffered."""


@dataclass(slots=True)
class RecordedSpan:
    attributes: set[str]

    def set(self, **attributes: Any) -> None:
        self.attributes.update(attributes)

    def current(self) -> AbstractContextManager[None]:
        return nullcontext()

    def end(self, error: BaseException | None = None) -> None:
        """It has no length."""


@pytest.fixture(scope="module")
def adventure() -> tuple[Recorder, list[logging.LogRecord]]:
    """All that is said while much of what can happen to drops does."""
    # One of them has a domain that is not the tenant's.
    people = "".join(f"p{n},Ann,Other,a{n}@{'example.com' if n else 'nowhere.test'},v0,yes,\n" for n in range(200))
    content = f"Id,First,Last,Mail,Title,Active,Code\n{people}".encode()
    wants_markers = FEED + 'files: {ready: "{name}.done", ignore: ["*.txt"]}\n'

    def land(at: float, feed: str, name: str, *delays: float) -> Land:
        return Land(at=at, feed=feed, name=name, content=content, delays=delays)

    def entra(on: Endpoint, do: Action, at: float, **options: Any) -> EntraFault:
        return EntraFault(rules=(Rule(on=on, do=do, after=at, **options),))

    def storage(at: float, before: float, path: str) -> StorageFault:
        rule = Rule(on=Endpoint.STORAGE, do=Action.STATUS, status=403, after=at, before=before, path=path)
        return StorageFault(rule=rule)

    happenings: list[Happening] = [
        land(0.0, "feed0", "sent.csv"),
        entra(Endpoint.UPLOAD, Action.STATUS, 0.0, status=429, times=1),
        Skew(host="b", seconds=30 * 3600.0),
        ExtraTick(at=5.0, host="b"),
        Tamper(at=1450.0, calls=1, what="ledger damaged", count=1),
        entra(Endpoint.LOG, Action.ODD_ENTRIES, 710.0, times=1),
        entra(Endpoint.UPLOAD, Action.STATUS, 30.0, status=503, before=400.0),
        entra(Endpoint.LOG, Action.STATUS, 500.0, status=503, before=700.0),
        entra(Endpoint.LOG, Action.REVOKE, 800.0, times=1),
        entra(Endpoint.LOG, Action.GRANT, 1100.0, times=1),
        # What vanishes, cannot be read, or is no drop.
        land(1500.0, "feed0", "lost.csv"),
        Tamper(at=1500.0, calls=50, what="spool deleted", count=1),
        Tamper(at=1500.0, calls=50, what="drop deleted", count=9),
        land(2100.0, "feed0", "gone.csv", 60.0),
        Tamper(at=2130.0, calls=1, what="drop deleted", count=9),
        land(2400.0, "feed0", "unreadable.csv"),
        storage(2400.0, 2500.0, "plan.jsonl"),
        storage(2700.0, 2800.0, "^config$"),
        land(3000.0, "feed0", "damaged.csv"),
        Tamper(at=3000.0, calls=30, what="state damaged", count=9),
        land(3000.0, "feed1", "waits.csv"),
        land(3000.0, "feed1", "notes.txt"),
        land(3000.0, "", "stray.csv"),
    ]
    schedule = Schedule(
        seed=1,
        happenings=tuple(happenings),
        feeds={"feed0": FEED, "feed1": wants_markers},
        send_limit=Limit(1, 10.0),
        minutes=55.0,
        # A marker is missed after a day.
        ticks=3,
        pause=13 * 3600.0,
    )
    world, recorder = World(schedule), Recorder()
    with exporting_to(recorder):
        world.run()
    return recorder, world.seen.records


def test_every_event_can_happen(adventure: tuple[Recorder, list[logging.LogRecord]]) -> None:
    # Said of a whole invocation, by an app that examines itself, and once a process.
    elsewhere = {"invocation ended", "examined", "examination failed", "job status not readable"}
    # What takes an island's whole trouble: tests/stories/test_islands.py and test_damaged_state.py.
    elsewhere |= {"planning unfinished", "sweep out of time", "settling out of time", "receipt kept apart"}
    said = {str(record.msg) for record in adventure[1]}
    assert set(EVENTS) - said - elsewhere == set()
    assert unregistered(adventure[1]) == []


def test_every_metric_is_measured_with_exactly_its_attributes(
    adventure: tuple[Recorder, list[logging.LogRecord]],
) -> None:
    assert adventure[0].metrics == {(name, metric.attributes) for name, metric in METRICS.items()}


def test_every_span_is_begun_and_has_exactly_its_attributes(
    adventure: tuple[Recorder, list[logging.LogRecord]],
) -> None:
    assert adventure[0].spans == SPANS


@pytest.mark.parametrize(
    ("log", "found"),
    [
        (lambda log: log.info("run sent", extra={"feed": 1, "run": 2, "requests": 3}), []),
        (lambda log: log.info("run sent"), ["logs 'run sent' with []"]),
        (lambda log: log.info("run gone"), ["logs 'run gone' with []"]),
        (lambda log: log.info("drop is gone: %s", "x"), ["logs 'drop is gone: %s' with []"]),
        (lambda log: log.info("drop is gone", exc_info=ValueError()), ["logs 'drop is gone' with []"]),
        (lambda log: log.info("drop is gone", extra={"blob": 1}), ["logs 'drop is gone' with ['blob']"]),
    ],
)
def test_what_is_not_registered_is_found_in_any_record(
    log: Callable[[logging.Logger], None], found: list[str], collected: Collector
) -> None:
    # A logger that is nobody's: its records go no further than to who collects them.
    log(logging.Logger("connector.x"))
    assert [line[line.index("logs ") :] for line in unregistered(collected.take())] == found


def test_no_field_hides_what_a_log_record_has_already() -> None:
    taken = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
    assert {name: sorted(taken & fields) for name, fields in EVENTS.items() if taken & fields} == {}


def test_names_are_flat_and_fit_for_a_query() -> None:
    fields = {name for names in [*EVENTS.values(), *SPANS.values()] for name in names}
    fields |= {name for metric in METRICS.values() for name in metric.attributes}
    assert [name for name in fields if not re.fullmatch(r"[a-z]+(_[a-z]+)*", name)] == []
    assert [name for name in METRICS if not re.fullmatch(r"connector(\.[a-z]+)+", name)] == []
    assert [name for name in EVENTS if not re.fullmatch(r"[a-z]+( [a-z]+)*", name)] == []


def test_no_field_is_one_that_could_hold_a_person() -> None:
    """A run's people are counted. externalId is for the files that HR and ops read, and not for telemetry."""
    fields = {name for names in [*EVENTS.values(), *SPANS.values()] for name in names}
    suspicious = {"name", "drop", "blob", "path", "url", "body", "value", "message", "reason", "external_id", "user"}
    assert fields & suspicious == set()


def test_the_documentation_has_every_name_with_its_fields_and_units() -> None:
    text = (PROJECT / "docs" / "telemetry.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| `")
    ]
    words = {cells[0].strip("`"): cells[1:] for cells in rows}
    for name, fields in EVENTS.items():
        assert set(re.findall(r"`(\w+)`", words[name][0])) == _short(fields), name
    for name, fields in SPANS.items():
        assert set(re.findall(r"`(\w+)`", words[f"{name} (span)"][0])) == _short(fields), name
    for name, metric in METRICS.items():
        kind, unit, attributes, about = words[name]
        assert (kind, unit.strip("`"), about) == (metric.kind, metric.unit, metric.about), name
        assert set(re.findall(r"`(\w+)`", attributes)) == metric.attributes, name


def _short(fields: frozenset[str]) -> set[str]:
    """`rows_…` and `outcome_…` stand for all of their kind in the documentation's tables."""
    return {re.sub("^(rows|outcome)_.*", r"\1_", name) for name in fields}


# ---- off


def test_without_a_connection_string_nothing_of_opentelemetry_is_imported() -> None:
    code = (
        "import sys, asyncio\n"
        "import function_app, connector.wiring\n"
        "from connector.outside.telemetry import measure, span\n"
        "from connector.outside.telemetry.invocation import invocation\n"
        "async def main():\n"
        "    async with invocation('on_tick', ''):\n"
        "        with span('plan', feed='a', run='b') as one: one.set(requests=1)\n"
        "        measure('connector.quota.left', 1)\n"
        "asyncio.run(main())\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry', 'azure.monitor'))])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        env={"HR_STORAGE": "UseDevelopmentStorage=true"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_importing_the_functions_imports_nothing_that_only_their_work_needs() -> None:
    rooms = "outside.store outside.graph outside.telemetry readers mapping planning sending settling pipeline wiring"
    heavy = tuple(f"connector.{room}" for room in rooms.split())
    others = ("httpx", "pydantic", "yaml", "jinja2", "regex", "opentelemetry", "azure.storage.queue")
    code = f"import sys, function_app; print([name for name in {(*heavy, *others)!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        env={"HR_STORAGE": "UseDevelopmentStorage=true"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert done.stdout.strip() == "[]"


# ---- on


@dataclass(slots=True)
class Heard:
    """All that was exported, in memory."""

    tracers: TracerProvider
    spans_kept: InMemorySpanExporter
    reader: InMemoryMetricReader
    logs_kept: InMemoryLogRecordExporter
    points: list[tuple[str, dict[str, Any], Any]] = field(default_factory=list)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.spans_kept.get_finished_spans()

    def metrics(self) -> dict[tuple[str, tuple[tuple[str, Any], ...]], float]:
        """Sums and last values of our own metrics, by name and attributes."""
        data = self.reader.get_metrics_data()
        found: dict[tuple[str, tuple[tuple[str, Any], ...]], float] = {}
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.data.data_points:
                        key = (metric.name, tuple(sorted((point.attributes or {}).items())))
                        found[key] = point.sum if hasattr(point, "sum") else point.value
        return found

    def events(self) -> list[tuple[str, dict[str, Any]]]:
        return [
            (str(kept.log_record.body), dict(kept.log_record.attributes or {}))
            for kept in self.logs_kept.get_finished_logs()
        ]

    def event(self, name: str) -> list[dict[str, Any]]:
        return [fields for found, fields in self.events() if found == name]

    def text(self) -> str:
        """Everything, as it could be written anywhere."""
        return "\n".join(
            [span.to_json() for span in self.spans]
            + [kept.to_json() for kept in self.logs_kept.get_finished_logs()]
            + [json.dumps([list(key), value], default=str) for key, value in self.metrics().items()]
        )


@contextmanager
def listening() -> Iterator[Heard]:
    """Telemetry is on, and goes to memory."""
    spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
    logs = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]  # the SDK has left its __init__ untyped
    tracers, loggers = TracerProvider(), LoggerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    loggers.add_log_record_processor(SimpleLogRecordProcessor(logs))
    meters = MeterProvider([reader])
    handler = LoggingHandler(logger_provider=loggers)
    ours = logging.getLogger(LOGGER)
    level = ours.level
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)
    exporter = OpenTelemetry(tracers, meters, loggers)
    try:
        with exporting_to(exporter):
            yield Heard(tracers, spans, reader, logs)
    finally:
        exporter.close()
        ours.removeHandler(handler)
        ours.setLevel(level)
        for provider in (tracers, meters, loggers):
            provider.shutdown()


@pytest.fixture
def heard() -> Iterator[Heard]:
    with listening() as found:
        yield found


@pytest.fixture
def account(azurite: Azurite, containers: dict[str, str], sandbox: Sandbox) -> Iterator[Account]:
    with BlobServiceClient.from_connection_string(azurite.connection_string, logger=SILENT) as service:
        made = Account(service=service, containers=containers)
        made.environment = {**azurite.environment(), **sandbox.identity_environment(), **containers}
        made.prepare()
        yield made


@pytest.fixture
def identity(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the credential takes from the environment is the one thing that cannot be passed in."""
    for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER"):
        monkeypatch.setenv(name, account.environment[name])


# Whom Entra fails, and who is therefore most likely to be told of, has an externalId that can be told from a span's.
PEOPLE = [*workers(120), worker(1), worker(121, State="?"), worker(122, Number=f"{MARK}122", Login=f"{MARK}1")]
# HR names files, and a name may be a person's.
DROP = "people/Zyx~given Zyx~family leaves.csv"


def home(account: Account, tracers: Any = None) -> str:
    """Brings the drop home in several ticks, each an invocation with a span of the host's; the run's id."""
    account.feed("people", feed_file() + "expect: every 24h\n")
    account.drop(DROP, csv_of(PEOPLE))
    settings = Settings.of(account.environment)

    async def tick() -> None:
        async with invocation("on_tick", ""), connected(settings, credential=managed_identity) as pipeline:
            await pipeline.on_tick()

    for _ in range(20):
        with trace.use_span(tracers.start_span("on_tick"), end_on_exit=True):
            asyncio.run(tick())
        if account.summary("people")["state"] == "settled":
            return str(account.summary("people")["run"])
    raise AssertionError(account.summary("people"))


@pytest.fixture
def run(account: Account, identity: None, heard: Heard) -> str:
    return home(account, heard.tracers.get_tracer("host"))


def test_nobody_is_in_what_is_exported(run: str, account: Account, heard: Heard) -> None:
    text = heard.text()
    assert run in text
    assert leaks(text) == []
    assert [word for word in ("leaves", "Works", "Entra", "sourceIdentity") if word in text] == []
    # The sample's people were there to be told of.
    assert leaks(b"".join(account.summaries().values()).decode("utf-8", "replace")) != []


def test_a_run_is_one_trace_whoever_worked_on_it(run: str, heard: Heard) -> None:
    expected = run_context("people", run)
    mine = [span for span in heard.spans if span.context and span.context.trace_id == expected.trace_id]
    names = Counter(span.name for span in mine)
    assert names["plan"] == names["read"] == names["spool"] == names["send"] == 1
    assert names["settle"] >= 1
    roots = {span.name for span in mine if span.parent and span.parent.span_id == expected.span_id}
    assert roots == {"plan", "send", "settle"}
    invocations = {span.context.span_id for span in heard.spans if span.name == "on_tick" and span.context}
    linked = {link.context.span_id for span in mine if span.name in roots for link in span.links}
    assert linked and linked <= invocations
    strays = [span.name for span in heard.spans if span.name in SPANS and span not in mine]
    assert set(strays) <= {"poll"}


def test_spans_have_the_counts_of_what_was_done(run: str, heard: Heard) -> None:
    spans: dict[str, dict[str, Any]] = {
        span.name: dict(span.attributes or {}) for span in heard.spans if span.name in SPANS
    }
    assert {name: set(attributes) for name, attributes in spans.items()} == dict(SPANS)
    assert {name: spans["plan"][name] for name in ("feed", "run", "state", "requests", "rows_send")} == {
        "feed": "people",
        "run": run,
        "state": "sending",
        "requests": 3,
        "rows_send": 121,
    }
    assert (spans["read"]["rows"], spans["spool"]["requests"]) == (123, 3)
    assert (spans["send"]["requests"], spans["send"]["left"]) == (3, 0)
    assert (spans["settle"]["state"], spans["settle"]["events"] >= 121) == ("settled", True)


def test_each_call_to_graph_can_be_found_by_microsofts_support(run: str, sandbox: Sandbox, heard: Heard) -> None:
    uploads = {
        (seen.client_request_id, seen.request_id)
        for seen in sandbox.report.requests
        if seen.endpoint is Endpoint.UPLOAD
    }
    send = next(span for span in heard.spans if span.name == "send")
    calls = [
        span for span in heard.spans if span.parent and send.context and span.parent.span_id == send.context.span_id
    ]
    posts = [dict(span.attributes or {}) for span in calls if span.name == "POST"]
    assert {(call["client-request-id"], call["request-id"]) for call in posts} == uploads
    assert len(uploads) == 3
    everything = [dict(span.attributes or {}) for span in heard.spans]
    assert [url for call in everything if "?" in (url := str(call.get("http.url", "")))] == []


def test_metrics_add_up_to_the_summary(run: str, account: Account, heard: Heard) -> None:
    summary = account.summary("people")
    found = heard.metrics()

    def by(name: str, attribute: str) -> dict[str, float]:
        return {
            str(dict(attributes)[attribute]): value
            for (metric, attributes), value in found.items()
            if metric == name and value
        }

    assert by("connector.rows", "decision") == {"send": 121, "rejected": 1, "duplicate": 1}
    expected = {name: count for name, count in summary["outcomes"].items() if count}
    assert by("connector.outcomes", "outcome") == expected
    uploads = {
        dict(a)["status"]: v for (n, a), v in found.items() if n == "connector.requests" and ("call", "upload") in a
    }
    assert uploads == {"202": 3}
    assert found["connector.quota.left", ()] == 2000 - 3
    assert 0 < found["connector.window.use", ()] <= 1
    feed = (("feed", "people"),)
    assert {name: found[name, feed] for name in ("connector.spool.depth", "connector.runs.open")} == {
        "connector.spool.depth": 0,
        "connector.runs.open": 0,
    }
    assert found["connector.run.duration", feed] >= 0
    names = {name for name, _ in found if name.startswith("connector.")}
    assert names == set(METRICS) - {"connector.throttled"}


def test_every_event_that_was_exported_is_registered(run: str, heard: Heard) -> None:
    events = heard.events()
    assert [(name, sorted(fields)) for name, fields in events if EVENTS.get(name) != frozenset(fields)] == []
    assert {"run planned", "request sent", "run sent", "run settled", "feed status", "connector status"} <= {
        name for name, _ in events
    }
    assert {fields["result"] for fields in heard.event("invocation ended")} == {"completed"}


def test_log_records_of_a_run_are_in_its_trace(run: str, heard: Heard) -> None:
    expected = run_context("people", run).trace_id
    sent = [
        kept.log_record.trace_id
        for kept in heard.logs_kept.get_finished_logs()
        if kept.log_record.body in {"request sent", "run settled"}
    ]
    assert set(sent) == {expected}


def test_a_tick_states_what_is_open_due_and_left(
    account: Account, identity: None, azurite: Azurite, heard: Heard
) -> None:
    account.feed("people", feed_file() + "expect: every 24h\n")
    account.feed("quiet", feed_file() + "expect: every 2d\n")
    account.feed("broken", "mapping: 1\n")
    account.drop("people/today.csv", csv_of(workers(3)))
    account.bring_home("people")
    latest = {fields["feed"]: fields for fields in heard.event("feed status")}
    assert set(latest) == {"people", "quiet", "broken"}
    assert latest["people"]["last_drop_hours"] < 1
    assert {**latest["people"], "last_drop_hours": 0} == {
        "feed": "people",
        "open_runs": 0,
        "oldest_open_hours": None,
        "last_drop_hours": 0,
        "expected_hours": 24.0,
        "overdue_hours": 0.0,
        "spooled": 0,
        "job": "Active",
    }
    assert latest["quiet"]["expected_hours"] == 48.0
    assert {name: latest["broken"][name] for name in ("job", "expected_hours", "last_drop_hours")} == {
        "job": "unknown",
        "expected_hours": None,
        "last_drop_hours": None,
    }
    status = heard.event("connector status")[-1]
    assert {name: status[name] for name in ("open_runs", "quota_limit", "quota_left", "quota_used_percent")} == {
        "open_runs": 0,
        "quota_limit": 2000,
        "quota_left": 1999,
        "quota_used_percent": 0.1,
    }
    assert isinstance(status["poison_messages"], int)


def test_poison_messages_are_counted(azurite: Azurite, containers: dict[str, str]) -> None:
    from connector.outside.poison_queue import poison_count

    settings = Settings.of({**azurite.environment(), **containers})
    with QueueClient.from_connection_string(azurite.connection_string, QUEUE) as queue:
        if poison_count(settings, None)() == 0:
            queue.create_queue()
        before = poison_count(settings, None)()
        message = queue.send_message("one")
        assert (before, poison_count(settings, None)()) == (0, 1)
        queue.delete_message(message)
    assert poison_count(Settings.of({"HR_STORAGE__blobServiceUri": "https://a.invalid"}), None)() is None


# ---- facts

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def run_id(hours: float) -> str:
    return f"{NOW - timedelta(hours=hours):%Y%m%dT%H%M%SZ}-0123456789ab"


def test_a_feed_is_overdue_from_its_last_drop_or_else_from_its_feed_file() -> None:
    entries = [
        RunEntry("late", run_id(60), State.SETTLED),
        RunEntry("late", run_id(30), State.SETTLING, [1, 2]),
        RunEntry("late", run_id(40), State.HELD, [3]),
        RunEntry("gone", run_id(5), State.REJECTED),
    ]
    every = timedelta(hours=24)
    files = {
        "late": FeedFile(written=NOW - timedelta(days=90), every=every, job="/jobs/1"),
        "never": FeedFile(written=NOW - timedelta(hours=25), every=every, job="/jobs/2"),
        "whenever": FeedFile(written=NOW - timedelta(days=9), job="/jobs/3"),
    }
    nothing: dict[str, Any] = {"open_runs": 0, "oldest_open_hours": None, "spooled": 0}
    assert feed_facts(entries, files, NOW) == [
        FeedFacts(feed="gone", last_drop_hours=5.0, expected_hours=None, overdue_hours=None, **nothing),
        FeedFacts(
            feed="late",
            open_runs=2,
            oldest_open_hours=40.0,
            last_drop_hours=30.0,
            expected_hours=24.0,
            overdue_hours=6.0,
            spooled=3,
        ),
        FeedFacts(feed="never", last_drop_hours=None, expected_hours=24.0, overdue_hours=1.0, **nothing),
        FeedFacts(feed="whenever", last_drop_hours=None, expected_hours=None, overdue_hours=None, **nothing),
    ]


def test_a_run_id_says_when_its_drop_landed() -> None:
    assert landing(run_id(3)) == NOW - timedelta(hours=3)
    assert landing("something-else") is None


def test_quota_counts_calls_and_believes_graph() -> None:
    limit = Limit(2000, 86400.0)
    minute = int(NOW.timestamp() // 60)
    used = Ledger(calls={minute - 5: 1500, minute - 3000: 400})
    assert (Quota.of(used, limit, NOW), Quota.of(used, limit, NOW).used_percent) == (Quota(limit=2000, left=500), 75.0)
    told = Ledger(quota_until=NOW + timedelta(minutes=1))
    assert Quota.of(told, limit, NOW).used_percent == 100.0
    assert Quota.of(told, limit, NOW + timedelta(minutes=2)).used_percent == 0.0


# ---- failures


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (StorageDown("inbox/people/Zyx~: leaves.csv: the account answered 503 Busy"), "the account answered 503 Busy"),
        (Retryable("Graph answered 504"), "Graph answered 504"),
        (Stopped("Graph answered 403 Forbidden", advice="grant it"), "Graph answered 403 Forbidden"),
        (Refused("InvalidValue", "zyx~1 is taken"), ""),
        (Conflict("inbox/people/zyx~.csv: changed by another instance"), ""),
        (DropUnusable("people/zyx~.csv", [Fault(message="no column 'Zyx~given'")]), ""),
        (KeyError("Zyx~given"), ""),
    ],
)  # fmt: skip
def test_of_a_failure_the_host_learns_its_class_and_our_own_words(error: Exception, told: str, heard: Heard) -> None:
    async def fail() -> None:
        async with invocation("on_drop", ""):
            raise error

    with pytest.raises(InvocationFailed) as caught:
        asyncio.run(fail())
    assert str(caught.value) == f"on_drop: {type(error).__name__} {told}".rstrip()
    assert (caught.value.__cause__, caught.value.__suppress_context__) == (None, True)
    [ended] = heard.event("invocation ended")
    assert {**ended, "seconds": 0} == {
        "function": "on_drop",
        "result": "failed",
        "error": type(error).__name__,
        "detail": told,
        "seconds": 0,
    }
    assert safe_detail(error) == told
    assert leaks(heard.text()) == []


def test_where_telemetry_is_off_an_error_passes_as_it_is() -> None:
    async def fail() -> None:
        async with invocation("on_drop", ""):
            raise Retryable("inbox/a: not now")

    with pytest.raises(Retryable, match="inbox/a: not now"):
        asyncio.run(fail())


def test_a_span_that_fails_tells_the_class_of_the_error_alone(heard: Heard) -> None:
    with pytest.raises(ValueError, match="Zyx~given"), telemetry.span("plan", feed="people", run="r"):
        raise ValueError("Zyx~given")
    [span] = heard.spans
    assert (span.status.status_code, span.status.description, list(span.events)) == (
        trace.StatusCode.ERROR,
        "ValueError",
        [],
    )


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("DuplicateTargetEntries", "DuplicateTargetEntries"),
        ("AzureActiveDirectory.Forbidden_2", "AzureActiveDirectory.Forbidden_2"),
        ("", "none"),
        ("Ada Lovelace is there already", "other"),
        ("ada@contoso.com", "other"),
        ("x" * 81, "other"),
    ],
)
def test_what_does_not_look_like_a_code_is_not_told(code: str, told: str) -> None:
    assert plain_code(code) == told


def test_all_decisions_and_outcomes_are_told_even_where_there_are_none() -> None:
    assert telemetry.row_counts({Decision.SEND: 2})["rows_send"] == 2
    assert sum(telemetry.row_counts(None).values()) == 0
    assert telemetry.outcome_counts(Outcomes(created=3))["outcome_created"] == 3


# ---- the real distribution, to a server that stands in for Application Insights


class _Ingestion(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    taken: list[dict[str, Any]]

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            body = zlib.decompress(body, zlib.MAX_WBITS | 16)
        items = json.loads(body)
        self.taken.extend(items)
        answer = json.dumps({"itemsReceived": len(items), "itemsAccepted": len(items), "errors": []}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


@contextmanager
def ingestion() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A connection string, and all envelopes that were sent there."""
    taken: list[dict[str, Any]] = []
    handler = type("Handler", (_Ingestion,), {"taken": taken})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/"
        yield f"InstrumentationKey=00000000-0000-0000-0000-000000000001;IngestionEndpoint={url}", taken
        server.shutdown()
        thread.join()


FIRE = """
import asyncio, sys
from pathlib import Path
from connector.sandbox.host import registered
if sys.argv[1] == "worker":
    from azure.monitor.opentelemetry import configure_azure_monitor
    # Live metrics ask a server of Microsoft's; a test asks nobody. The exporter's performance counters divide by zero,
    # and log it, when they are asked twice within one tick of the processor's clock.
    configure_azure_monitor(enable_live_metrics=False, enable_performance_counters=False)
[timer] = registered(Path(".")).timer
for _ in range(3):
    asyncio.run(timer.fire())
"""


@pytest.mark.parametrize("configured_by", ["us", "worker"])
def test_application_insights_gets_registered_names_and_nobody(
    account: Account, tmp_path: Path, configured_by: str
) -> None:
    account.feed("people")
    account.drop(DROP, csv_of(PEOPLE))
    with ingestion() as (connection_string, taken):
        done = subprocess.run(
            [sys.executable, "-c", FIRE, configured_by],
            cwd=PROJECT,
            env={
                "TMPDIR": str(tmp_path),
                "APPLICATIONINSIGHTS_CONNECTION_STRING": connection_string,
                # Microsoft's own statistics of its SDK would leave this machine.
                "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
                "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
                **account.environment,
            },
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert (done.returncode, leaks(done.stderr), "Traceback" in done.stderr) == (0, [], False), done.stderr
    run = account.summary("people")["run"]
    kinds = Counter(item["data"]["baseType"] for item in taken)
    assert {"MessageData", "RemoteDependencyData", "MetricData"} <= set(kinds)
    messages = [
        item["data"]["baseData"]
        for item in taken
        # Until our first invocation the worker's configuration takes everybody's records.
        if item["data"]["baseType"] == "MessageData"
        and (configured_by == "us" or item["data"]["baseData"]["properties"]["logger_name"] != "root")
    ]
    assert {message["message"] for message in messages} - set(EVENTS) == set()
    # `logger_name` is the exporter's own; a None is no property.
    wrong = [
        message
        for message in messages
        if not set(message["properties"]) - {"logger_name"} <= EVENTS[message["message"]]
    ]
    assert wrong == []
    planned = next(message["properties"] for message in messages if message["message"] == "run planned")
    assert {name: planned[name] for name in ("feed", "run", "requests")} == {
        "feed": "people",
        "run": run,
        "requests": "3",
    }
    spans = [item for item in taken if item["data"]["baseType"] == "RemoteDependencyData"]
    trace_id = f"{run_context('people', run).trace_id:032x}"
    mine = {item["data"]["baseData"]["name"] for item in spans if item["tags"]["ai.operation.id"] == trace_id}
    assert {"plan", "read", "spool", "send", "settle"} <= mine
    uploads = [
        item["data"]["baseData"]
        for item in spans
        if item["data"]["baseData"]["name"].startswith("POST ") and item["tags"]["ai.operation.id"] == trace_id
    ]
    assert len(uploads) == 3, [(item["time"], item["data"]["baseData"]["name"]) for item in spans]
    assert [upload for upload in uploads if not {"request-id", "client-request-id"} <= set(upload["properties"])] == []
    metrics = {
        metric["name"]
        for item in taken
        if item["data"]["baseType"] == "MetricData"
        for metric in item["data"]["baseData"]["metrics"]
    }
    assert {"connector.rows", "connector.quota.left", "connector.outcomes"} <= metrics
    text = json.dumps(taken)
    assert leaks(text) == []
    assert [word for word in ("leaves", account.containers["INBOX_CONTAINER"], "AccountKey") if word in text] == []


def test_the_bench_says_what_it_measures() -> None:
    taken = {cold_start.BASE: 0.2, cold_start.BINDING: 0.4, cold_start.APP: 0.5, cold_start.HANDLERS: 1.0}
    lines = cold_start.run(rounds=1, measured=lambda statement: taken.get(statement, 1.5))
    assert [re.sub(" {2,}", " ", line).strip() for line in lines] == [
        "azure.functions and the storage SDK, as its binding 400 ms (median of 1)",
        "function_app.py / that 1.25 (goal: at most 1.25)",
        "azure.functions and azure.storage.blob alone 200 ms",
        "the binding of azurefunctions, as it is / that 2.00",
        "function_app.py / that 2.50",
        "and all that the first invocation imports 5.00",
        "and OpenTelemetry, where it is switched on 7.50",
    ]


def test_the_bench_measures_all_imports_that_it_names() -> None:
    # The last statement holds the others.
    for part in (cold_start.APP, cold_start.HANDLERS):
        assert part in cold_start.TELEMETRY
    assert cold_start.BASE in cold_start.BINDING
    assert cold_start.seconds(f"{cold_start.BINDING}; {cold_start.TELEMETRY}") > 0.0
