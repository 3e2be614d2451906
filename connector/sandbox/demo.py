"""Runs the registered functions, as their triggers declare, against local storage and a local Entra.

Only settings differ from Azure: the connection string, the Graph base URL, the identity endpoint.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobClient, BlobServiceClient
from rich.console import Console

from connector.mapping import LoadedFeed, load_feed
from connector.outside.settings import DEFAULTS, Settings
from connector.reporting.summary_file import parse_summary
from connector.reporting.sums import headline, row_parts
from connector.sandbox.faults import Action, Endpoint, Rule, Schedule
from connector.sandbox.host import NAME, BlobFunction, TimerFunction, registered
from connector.sandbox.sample import SAMPLE_DROP_NAME, SAMPLE_FEED, SAMPLE_FEED_NAME, sample
from connector.sandbox.screen import WIDTH, Screen, failures_of, last_screen, rejects_of
from connector.sandbox.servers import PROJECT, Azurite, Sandbox
from connector.sandbox.settings import SandboxSettings
from connector.vocabulary.errors import ConnectorError, Fault, Unusable
from connector.vocabulary.run import ProblemCode, State
from connector.vocabulary.summary import Summary

CLIENT_ID: Final = "5d0e3f1c-0d0f-4d58-9d1b-3c6a2f0b7e11"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast the local Entra is, which uploads it answers late, and the seconds between two ticks."""

    entra: SandboxSettings
    uploads: tuple[Rule, ...] = ()
    tick: float = 1.5


WATCHABLE: Final = Pace(
    entra=SandboxSettings(latency=0.05, cycle_delay=5.0, person_time=0.004, log_delay=1.0, log_jitter=5.0),
    uploads=tuple(
        Rule(on=Endpoint.UPLOAD, do=Action.DELAY, every=every, seconds=seconds)
        for every, seconds in ((5, 2.0), (3, 1.4), (2, 0.7))
    ),
)
"""Slow enough to be watched and fast enough to wait for: in a tenant, a cycle begins every 40 minutes."""

STALLED: Final = 90.0
"""Seconds without any progress after which the demo gives up."""

HOPELESS: Final = frozenset({ProblemCode.STOPPED, ProblemCode.QUOTA, ProblemCode.FEED})
"""Codes of a run's problem that no further tick mends while the demo lasts."""

STEPS: Final = ("Storage", "Entra", "Drop", "Plan", "Send", "Cycle", "Outcomes")


EXAMPLE: Final = "demo people.csv --feed employees.yaml"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, nargs="?", metavar="FILE", help="a drop of your own")
    parser.add_argument("--feed", type=Path, metavar="FEED.yaml", help="its feed file")
    parser.add_argument("--out", type=Path, default=Path(".demo"), metavar="DIR", help="where the reports go (.demo)")


def run(options: argparse.Namespace) -> int:
    return demo(options.file, options.feed, options.out)


def demo(
    file: Path | None,
    feed: Path | None,
    out: Path,
    *,
    pace: Pace = WATCHABLE,
    functions: Path = PROJECT,
    storage: Callable[[], AbstractContextManager[Azurite]] = Azurite,
) -> int:
    """Takes a drop from the inbox to its settled summary, which is copied to `out`, and shows it happen.

    `file` is a drop of one's own and `feed` its feed file; without them a sample is made. `functions` is the folder
    with `function_app.py`, `storage` starts an account without the connector's containers.
    Gives 0 when the run settled, 1 when it did not, 130 when it was interrupted. Raises Unusable.
    """
    if (file is None) != (feed is None):
        missing = Fault(message="a file of your own and its feed file go together", advice="demo FILE --feed FEED.yaml")
        raise Unusable("demo", [missing])
    console = _console()
    try:
        out.mkdir(parents=True, exist_ok=True)
        exhibit = _sample(out) if file is None or feed is None else _own(file, feed)
        with ExitStack() as stack:
            stack.enter_context(_logging_to(out / "demo.log"))
            return _show(stack, console, exhibit, out, pace=pace, functions=functions, storage=storage)
    except KeyboardInterrupt:
        console.print("\nInterrupted: storage and the local Entra are stopped, nothing is left running.")
        return 130
    except OSError as error:
        raise Unusable(str(error.filename or "demo"), [Fault(message=error.strerror or "failed")]) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """What is shown: a drop and its feed file, checked. `beside` are the files that the feed refers to, by name."""

    drop: Path
    feed: Path
    loaded: LoadedFeed = field(repr=False)
    beside: Mapping[str, bytes] = field(repr=False)
    own: bool

    @property
    def name(self) -> str:
        """The feed's."""
        return self.loaded.feed.name

    def entra(self, pace: SandboxSettings) -> SandboxSettings:
        """A tenant that has the feed's job, and of one's own feed takes any custom attribute and any domain."""
        endpoint = self.loaded.feed.endpoint
        settings = replace(pace, client_id=CLIENT_ID, jobs=((endpoint.service_principal, endpoint.job_id),))
        if not self.own:
            return settings
        # 100,000 people must not make anybody wait for minutes. 100 bytes are a short row.
        most = 10.0 / max(1, self.drop.stat().st_size // 100)
        return replace(settings, custom_attributes=None, verified_domains=None, person_time=min(pace.person_time, most))


def _sample(out: Path) -> Exhibit:
    """Written to `out`, so that people can look at it and try their own changes."""
    drop, feed = out / SAMPLE_DROP_NAME, out / f"{SAMPLE_FEED_NAME}.yaml"
    drop.write_bytes(sample().content)
    feed.write_text(SAMPLE_FEED, encoding="utf-8")
    return _exhibit(drop, feed, own=False)


def _own(drop: Path, feed: Path) -> Exhibit:
    with drop.open("rb"):
        return _exhibit(drop, feed, own=True)


def _exhibit(drop: Path, feed: Path, *, own: bool) -> Exhibit:
    beside: dict[str, bytes] = {}

    def read(name: str) -> bytes:
        return beside.setdefault(name, (feed.parent / name).read_bytes())

    loaded = load_feed(feed.read_bytes(), name=str(feed), files=read)
    files = loaded.feed.files
    if not files.is_drop(drop.name):
        raise Unusable(str(feed), [Fault(message=f"by its `files` rules {drop.name} is no drop", column="files")])
    return Exhibit(drop=drop, feed=feed, loaded=loaded, beside=beside, own=own)


def _show(
    stack: ExitStack,
    console: Console,
    exhibit: Exhibit,
    out: Path,
    *,
    pace: Pace,
    functions: Path,
    storage: Callable[[], AbstractContextManager[Azurite]],
) -> int:
    # Bindings are read when function_app.py is imported, so what they refer to must be there by then.
    places = {"HR_STORAGE": "UseDevelopmentStorage=true", "GRAPH_BASE_URL": DEFAULTS["GRAPH_BASE_URL"]}
    stack.enter_context(_environment(places))
    names = Settings.of()
    blob_name = f"{exhibit.name}/{exhibit.drop.name}"
    app = registered(functions)
    on_blob = app.for_blob(names.inbox, blob_name)
    if on_blob.connection != "HR_STORAGE":
        raise Unusable(NAME, [Fault(message=f"{on_blob.name}: its connection is {on_blob.connection}, not HR_STORAGE")])

    title = f"{exhibit.drop.name} to Microsoft Entra ID: real functions, local storage, local Entra"
    with Screen(console, title, STEPS) as screen:
        try:
            screen.show("Storage", "starting Azurite")
            azurite = stack.enter_context(storage())
            screen.finish("Storage", f"Azurite at {azurite.blob_service}")
            screen.show("Entra", "starting the sandbox")
            sandbox = stack.enter_context(Sandbox(exhibit.entra(pace.entra), faults=Schedule(pace.uploads)))
            limit = sandbox.settings.send_limit
            screen.finish("Entra", f"sandbox at {sandbox.base_url}, at most {limit.calls} calls in {limit.seconds:g} s")
            stack.enter_context(_environment(_settings_for(azurite, sandbox)))
            # As the host finds the account of the trigger: by the setting that the binding names.
            service = stack.enter_context(BlobServiceClient.from_connection_string(os.environ[on_blob.connection]))
            stage = Stage(screen=screen, service=service, sandbox=sandbox, names=names, feed=exhibit.name, out=out)
            stage.upload(exhibit, blob_name)
            blob = stack.enter_context(service.get_blob_client(names.inbox, blob_name))
            summary, reason = asyncio.run(stage.play(on_blob, blob, app.timer, tick=pace.tick))
        except ConnectorError as error:
            screen.fail(screen.unfinished(), type(error).__name__)
            raise
        if reason and not screen.failed:
            screen.fail(screen.unfinished(), reason)
    return stage.curtain(summary, reason, exhibit)


def _settings_for(azurite: Azurite, sandbox: Sandbox) -> dict[str, str]:
    return {
        **azurite.environment(),
        **sandbox.identity_environment(),
        "AZURE_CLIENT_ID": CLIENT_ID,
        # A log that stays silent would otherwise be waited for through the night.
        "SETTLE_DEADLINE": "60s",
    }


@dataclass(slots=True, kw_only=True)
class Stage:
    """The running servers, and what has been seen happening on them so far."""

    screen: Screen
    service: BlobServiceClient
    sandbox: Sandbox
    names: Settings
    feed: str
    out: Path
    summary: Summary | None = None
    staged: float | None = None
    ticks: int = 0
    moved: float = field(default_factory=time.monotonic)

    def upload(self, exhibit: Exhibit, blob_name: str) -> None:
        """What a deployment (the containers, the feed file) and the HR system (the drop) would put there."""
        self.screen.show("Drop", "uploading")
        for container in (self.names.inbox, self.names.config, self.names.runs, self.names.summaries):
            self.service.create_container(container)
        config = self.service.get_container_client(self.names.config)
        config.upload_blob(f"feeds/{exhibit.name}.yaml", exhibit.feed.read_bytes())
        for name, content in exhibit.beside.items():
            config.upload_blob(f"feeds/{name}", content)
        inbox = self.service.get_container_client(self.names.inbox)
        with exhibit.drop.open("rb") as content_stream:
            inbox.upload_blob(blob_name, content_stream)
        if marker := exhibit.loaded.feed.files.marker_of(blob_name):
            inbox.upload_blob(marker, b"")
        size = exhibit.drop.stat().st_size
        self.screen.finish("Drop", f"{self.names.inbox}/{blob_name}, {max(1, size // 1000):,} kB")

    async def play(
        self, on_blob: BlobFunction, blob: BlobClient, timers: tuple[TimerFunction, ...], *, tick: float
    ) -> tuple[Summary | None, str]:
        """Fires the triggers until the run is settled. Gives its summary, and why there is no better one."""
        last_error = ""
        self.screen.show("Plan", f"{on_blob.name}: its trigger '{on_blob.path}' takes the drop")
        try:
            await self._watching(on_blob.fire(blob))
        except ConnectorError as error:
            # The host would deliver the event again, and ticks bring home what it left.
            last_error = str(error)
        while True:
            if reason := self._hopeless():
                return self.summary, reason
            if self.summary is not None and self.summary.state.final:
                return self.summary, ""
            if time.monotonic() - self.moved > STALLED:
                return self.summary, f"nothing moved for {STALLED:.0f} s. {last_error}".rstrip()
            for timer in timers:
                self.ticks += 1
                try:
                    await self._watching(timer.fire())
                    last_error = ""
                except ConnectorError as error:
                    last_error = str(error)
            if self.summary is None or not self.summary.state.final:
                await self._watching(asyncio.sleep(tick))

    async def _watching(self, happening: Coroutine[object, object, None]) -> None:
        """Looks at what there is to see until it is over, and once more then."""
        task = asyncio.ensure_future(happening)
        try:
            while not (await asyncio.wait({task}, timeout=0.15))[0]:
                await self._look()
        except BaseException:
            # Whoever is interrupted in the middle may end what is under way.
            task.cancel()
            with suppress(asyncio.CancelledError, ConnectorError):
                await task
            raise
        await self._look()
        await task

    async def _look(self) -> None:
        found = await asyncio.to_thread(self._latest)
        if found is not None and found != self.summary:
            self.summary, self.moved = found, time.monotonic()
        summary = self.summary
        if summary is None or summary.times.planned is None:
            return
        rows = summary.rows
        if summary.state in {State.HELD, State.REJECTED}:
            self.screen.fail("Plan", headline(summary))
            return
        parts = [f"{part.count:,} {part.label}" for part in row_parts(summary) if part.label not in {"pending", "sent"}]
        self.screen.finish(
            "Plan", f"{rows.total:,} rows = {' + '.join([*parts, f'{rows.pending + rows.sent:,} to send'])}"
        )
        if not summary.requests.total:
            return
        self._look_at_sending(summary)
        self._look_at_outcomes(summary)

    def _look_at_sending(self, summary: Summary) -> None:
        # Entra's side knows each request as it arrives; the summary is written when the uplink is through.
        accepted = [seen for seen in self.sandbox.report.of(Endpoint.UPLOAD) if seen.status == 202]
        people, total = sum(seen.operations for seen in accepted), summary.requests.total
        if accepted and self.staged is None:
            self.staged = time.monotonic()
        text = f"{len(accepted)}/{total} bulk requests, {people:,} people"
        if summary.requests.left or summary.state is State.SENDING:
            self.screen.show("Send", text, done=min(len(accepted), total), of=total)
            return
        self.screen.show("Send", text, done=total, of=total)
        self.screen.finish("Send", f"{total}/{total} bulk requests, {summary.rows.sent:,} people")

    def _look_at_outcomes(self, summary: Summary) -> None:
        rows, waiting = summary.rows, summary.outcomes.waiting
        settled = summary.state is State.SETTLED
        if self.staged is None:
            return
        first = self.staged + self.sandbox.settings.cycle_delay - time.monotonic()
        heard = rows.sent - waiting
        if not heard:
            self.screen.show("Cycle", f"starts in {first:.0f} s" if first > 0 else "Entra works through the people")
        else:
            self.screen.finish("Cycle", "Entra worked through the people; its log fills up")
        if summary.requests.left or not rows.sent:
            return
        text = f"{heard:,}/{rows.sent:,} people, tick {self.ticks}"
        if self.ticks:
            self.screen.show("Outcomes", text, done=heard, of=rows.sent)
        if settled:
            self.screen.finish("Outcomes", text)

    def _latest(self) -> Summary | None:
        """The summary as it is in storage, where people read it."""
        try:
            stream = self.service.get_blob_client(self.names.summaries, f"{self.feed}/latest.json").download_blob()
            return parse_summary(stream.readall())
        except ResourceNotFoundError:
            return None

    def _hopeless(self) -> str:
        summary = self.summary
        if summary is None:
            return ""
        if summary.state in {State.HELD, State.REJECTED}:
            return headline(summary)
        if summary.problem is not None and summary.problem.code in HOPELESS:
            return summary.problem.message
        return ""

    def curtain(self, summary: Summary | None, reason: str, exhibit: Exhibit) -> int:
        """Copies the summary's files to `out` and shows the last screen. Gives the exit code."""
        if summary is None:
            self.screen.console.print(f"The run did not come to a summary: {reason}", style="red", soft_wrap=True)
            return 1
        folder = self._copy()
        report = folder / f"{summary.run}.html"
        with (folder / f"{summary.run}.rejects.csv").open(encoding="utf-8", newline="") as lines:
            rejects = list(rejects_of(csv.DictReader(lines)))
        samples = f"   (the sample's are in {self.out})"
        document = json.loads((folder / f"{summary.run}.json").read_bytes())
        last_screen(
            self.screen.console,
            summary,
            failures=list(failures_of(document)),
            rejects=rejects,
            took=self.screen.elapsed,
            report=report,
            more={
                "Beside it": ".json, .outcomes.csv and .rejects.csv",
                "Log": str((self.out / "demo.log").resolve()),
                "Your own": f"make demo FILE=people.csv FEED=employees.yaml{'' if exhibit.own else samples}",
            },
        )
        return 0 if summary.state is State.SETTLED else 1

    def _copy(self) -> Path:
        """All files of the summaries container; gives the feed's folder."""
        container = self.service.get_container_client(self.names.summaries)
        for blob in container.list_blobs():
            path = self.out / blob.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(container.download_blob(blob.name).readall())
        return (self.out / self.feed).resolve()


def _console() -> Console:
    # Whatever the terminal's encoding lacks becomes a question mark, and no traceback.
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    plain = not sys.stdout.isatty()
    return Console(highlight=False, width=WIDTH if plain else None)


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Settings as the function app would have them. The storage account is this one and no other."""
    # A proxy that the machine is told to use knows nothing of our loopback.
    direct = ",".join(filter(None, [os.environ.get("NO_PROXY") or os.environ.get("no_proxy", ""), "127.0.0.1"]))
    wanted = {**changes, "NO_PROXY": direct, "no_proxy": direct}
    touched = {name for name in os.environ if name.startswith("HR_STORAGE")} | wanted.keys()
    before = {name: os.environ.pop(name) for name in touched if name in os.environ}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name in touched:
            os.environ.pop(name, None)
        os.environ.update(before)


@contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    """Log records go to a file: they would garble the screen."""
    root, ours = logging.getLogger(), logging.getLogger("connector")
    kept = [handler for handler in root.handlers if _writes_to_terminal(handler)]
    levels = root.level, ours.level
    handler = logging.FileHandler(path, mode="w", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    for other in kept:
        root.removeHandler(other)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    ours.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()
        for other in kept:
            root.addHandler(other)
        root.setLevel(levels[0])
        ours.setLevel(levels[1])


def _writes_to_terminal(handler: logging.Handler) -> bool:
    return isinstance(handler, logging.StreamHandler) and handler.stream in (sys.stderr, sys.stdout, sys.__stderr__)
