"""Lets one schedule happen to the real connector, in virtual time, and hands what became of it to the checks."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from connector.outside.graph import Graph
from connector.outside.settings import Settings
from connector.outside.store import Store
from connector.outside.tokens import TokenSource
from connector.pipeline import Pipeline
from connector.sandbox.clock import VirtualClock
from connector.sandbox.faults import Endpoint, Rule
from connector.sandbox.faults import Schedule as Script
from connector.sandbox.servers import Sandbox, connection_string
from connector.sandbox.settings import JOB, SERVICE_PRINCIPAL, SandboxSettings
from connector.vocabulary.errors import ConnectorError
from connector.vocabulary.run import State
from tests.chaos.blob_account import ACCOUNT_URL, BlobAccount
from tests.chaos.host import Host, Killed, VirtualRetry
from tests.chaos.schedule import (
    MARK,
    MINUTE,
    TICK,
    EntraFault,
    ExtraTick,
    Kill,
    Land,
    Schedule,
    Skew,
    Steal,
    StorageFault,
    Tamper,
    TimeOut,
)

# Tokens are renewed by the machine's own clock: a schedule in its future sees them expire by Entra's word alone.
START = datetime(2030, 1, 7, 8, tzinfo=UTC)
FUNCTION_TIMEOUT = 30 * MINUTE
SECOND_JOB = JOB.replace("1a03de52", "2b14ef63")


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """A version of a blob of the inbox."""

    land: Land
    etag: str
    run: str


@dataclass(slots=True, kw_only=True)
class Seen:
    """What the checks look at beside the account and the sandbox."""

    landed: list[Landed] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    """ETags of drops that were deleted or replaced."""
    crashes: int = 0
    thefts: int = 0
    storage_disturbed: set[tuple[int, str]] = field(default_factory=set)
    """(Which tick's time, host) for each time that storage failed a call."""
    calls: Counter[str] = field(default_factory=Counter)
    reads: Counter[str] = field(default_factory=Counter)
    """How often each poison was read."""
    errors: list[str] = field(default_factory=list)
    """What an invocation raised that it must not raise."""
    records: list[logging.LogRecord] = field(default_factory=list)
    ticks: int = 0
    quiet: bool = False


@dataclass(slots=True)
class _Trigger:
    what: Kill | Steal | Tamper
    left: int


class World:
    """One schedule. `clock`, `account`, `sandbox` and `seen` are there to be looked at when `run` has returned.

    `settings` are the connector's where it is not to know how the tenant is; `account` is another storage account.
    """

    def __init__(
        self,
        schedule: Schedule,
        *,
        settings: Mapping[str, str] | None = None,
        account: type[BlobAccount] = BlobAccount,
    ) -> None:
        self.schedule = schedule
        self.clock = VirtualClock(START)
        self.account = account(self.clock.now)
        script = Script([rule for h in schedule.happenings if isinstance(h, EntraFault) for rule in h.rules])
        self.sandbox = Sandbox(
            SandboxSettings(
                jobs=((SERVICE_PRINCIPAL, JOB), (SERVICE_PRINCIPAL, SECOND_JOB)),
                send_limit=schedule.send_limit,
                quota=schedule.quota,
                retry_after=schedule.retry_after,
                network_delay=0.05,
                network_jitter=schedule.jitter,
                latency=0.1,
                cycle_delay=120.0,
                log_delay=240.0,
                log_jitter=60.0,
                log_late=600.0,
                log_late_share=0.05,
                log_duplicate_share=0.05,
                # A value that is no integer is refused by the schema, person by person.
                custom_attributes={"urn:ietf:params:scim:schemas:extension:contoso:1.0:User": {"JobCode": "Integer"}},
                seed=schedule.seed,
            ),
            clock=self.clock,
            faults=script,
        )
        self._jobs = dict(self.sandbox.entra.jobs)
        self.storage_script = Script(
            [h.rule for h in schedule.happenings if isinstance(h, StorageFault)], schedule.seed
        )
        self.seen = Seen()
        self.settings = Settings.of(
            {
                "HR_STORAGE": connection_string(ACCOUNT_URL, ACCOUNT_URL),
                "GRAPH_BASE_URL": self.sandbox.base_url,
                "SEND_LIMIT": f"{schedule.send_limit.calls}/{schedule.send_limit.seconds:g}s",
                "SEND_QUOTA": f"{schedule.quota.calls}/{schedule.quota.seconds:g}s",
                "SEND_TIME_LIMIT": schedule.time_limit,
                "SETTLE_DEADLINE": "90m",
                **(settings or {}),
            }
        )
        self._skews = {h.host: h.seconds for h in schedule.happenings if isinstance(h, Skew)}
        self._hosts: dict[str, Host] = {}
        self._stores: dict[Host, Store] = {}
        self._latencies = random.Random(f"{schedule.seed}/latency")
        self._jitter = random.Random(f"{schedule.seed}/jitter")
        self._triggers: list[_Trigger] = []
        self._poisons = {
            f"GET inbox/{h.feed}/{h.name}": h for h in schedule.happenings if isinstance(h, Land) and h.poison
        }
        self._doomed: set[Host] = set()
        self._watching: set[asyncio.Task[Any]] = set()

    def run(self) -> Seen:
        """Everything, from the first tick to the last."""
        from tests.chaos.lockstep import Lockstep

        handler = _Collector(self.seen.records)
        logger = logging.getLogger("connector")
        level = logger.level
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
        lockstep = Lockstep()

        async def main() -> None:
            loop = asyncio.get_running_loop()
            loop.set_default_executor(lockstep)
            # A dead instance's tasks end in Killed, and nobody is there to see it.
            loop.set_exception_handler(lambda _, __: None)
            await self._happen()

        try:
            with asyncio.Runner() as runner:
                runner.run(main())
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)
        return self.seen

    async def _happen(self) -> None:
        schedule = self.schedule
        for container in ("inbox", "config", "runs", "summaries"):
            self.account.handle("PUT", f"{ACCOUNT_URL}/{container}?restype=container", {}, b"")
        for number, (feed, text) in enumerate(sorted(schedule.feeds.items())):
            endpoint = self.sandbox.endpoint_of(SERVICE_PRINCIPAL, (JOB, SECOND_JOB)[number % 2])
            self.account.put("config", f"feeds/{feed}.yaml", text.replace("{endpoint}", endpoint).encode())
        tasks = []
        for happening in schedule.happenings:
            match happening:
                case Land():
                    tasks.append(self._later(happening.at, self._land, happening))
                case Kill() | Steal() | Tamper():
                    tasks.append(self._later(happening.at, self._arm, happening))
                case TimeOut():
                    tasks.append(self._later(happening.at, self._time_out, happening))
                case ExtraTick():
                    tasks.append(self._later(happening.at, self._extra_tick, happening))
        end = schedule.minutes * MINUTE
        tick: asyncio.Task[None] | None = None
        while self.clock.monotonic() < end:
            # The timer trigger waits for its last invocation.
            if tick is None or tick.done():
                tick = self._invoke("a", lambda p: p.on_tick())
            await self.clock.sleep(TICK)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._mend()
        for _ in range(self.schedule.ticks):
            tick = self._invoke("a", lambda p: p.on_tick())
            await asyncio.wait({tick})
            self.seen.ticks += 1
            if self._all_final():
                break
            await self.clock.sleep(self.schedule.pause)
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)

    def _later(self, at: float, act: Callable[[Any], Any], happening: object) -> asyncio.Task[None]:
        async def wait() -> None:
            await self.clock.sleep(at)
            result = act(happening)
            if isinstance(result, Coroutine):
                await result

        return asyncio.get_running_loop().create_task(wait())

    def _mend(self) -> None:
        """All faults end; what was stopped is started again."""
        self.seen.quiet = True
        self._triggers.clear()
        self.storage_script = Script()
        self.sandbox.faults = Script()
        entra = self.sandbox.entra
        entra.roles = self.sandbox.settings.roles
        entra.jobs.update({key: job for key, job in self._jobs.items() if key not in entra.jobs})
        for job in entra.jobs.values():
            entra.resume(job, self.clock.now())

    def _all_final(self) -> bool:
        states = self.states()
        if any(not State(state).final for state in states.values()):
            return False
        return all(
            (landed.land.feed, landed.run) in states or landed.etag in self.seen.gone for landed in self.seen.landed
        )

    def states(self) -> dict[tuple[str, str], str]:
        """Every run's state by (feed, run); a damaged run has none."""
        return {
            (path.split("/")[0], path.split("/")[1]): state
            for path in self.account.paths("runs")
            if path.endswith("/run.json") and (state := self.account.metadata("runs", path).get("state"))
        }

    # what happens

    async def _land(self, land: Land) -> None:
        from connector.vocabulary.run import Drop

        path = f"{land.feed}/{land.name}"
        if self.account.read("inbox", path) is not None:
            self.seen.gone.add(self.account.etag("inbox", path))
        self.account.put("inbox", path, land.content)
        etag = self.account.etag("inbox", path)
        landed = self.clock.now().replace(microsecond=0)
        drop = Drop(feed=land.feed, name=land.name, etag=etag, bytes=len(land.content), landed=landed)
        self.seen.landed.append(Landed(land=land, etag=etag, run=drop.run_id))
        waited = 0.0
        for delay in land.delays:
            await self.clock.sleep(delay - waited)
            waited = delay
            self._invoke(land.host, lambda p: p.on_drop(path))

    def _arm(self, what: Kill | Steal | Tamper) -> None:
        self._triggers.append(_Trigger(what, what.calls))

    async def _time_out(self, what: TimeOut) -> None:
        host = self._hosts.get(what.host)
        if host is not None and not host.dead:
            host.cancel()
            await self.clock.sleep(10.0)
            if not host.dead:
                self._kill(host)

    def _extra_tick(self, what: ExtraTick) -> None:
        self._invoke(what.host, lambda p: p.on_tick())

    def _kill(self, host: Host) -> None:
        self.seen.crashes += 1
        host.kill()

    def before_call(self, host: Host, what: str) -> None:
        self.seen.calls[what.partition("/")[0]] += 1
        if what in self._poisons:
            self._poison(host, what)
        for trigger in list(self._triggers):
            if isinstance(trigger.what, Kill) and trigger.what.host != host.name:
                continue
            trigger.left -= 1
            if trigger.left > 0:
                continue
            match trigger.what:
                case Kill(after=True):
                    self._doomed.add(host)
                case Kill():
                    self._kill(host)
                case Steal() as steal:
                    if not self._steal(steal):
                        continue
                case Tamper() as tamper:
                    if not self._tamper(tamper):
                        continue
            self._triggers.remove(trigger)

    def _poison(self, host: Host, what: str) -> None:
        self.seen.reads[what] += 1
        land = self._poisons[what]
        if self.seen.reads[what] % land.reads:
            return
        match land.poison:
            case "dies":
                self._kill(host)
            case "memory":
                raise MemoryError
            case "unforeseen":
                raise ZeroDivisionError(f"{MARK} is nobody's business")

    def after_call(self, host: Host, what: str) -> None:
        if host in self._doomed:
            self._doomed.discard(host)
            self._kill(host)

    def _steal(self, steal: Steal) -> bool:
        paths = ["uplink.json"] if steal.of == "uplink" else self.account.paths("runs")
        for path in paths:
            leased = path.endswith(("run.json", "uplink.json"))
            if leased and self.account.break_lease("runs", path, stolen_for=steal.held):
                self.seen.thefts += 1
                return True
        return False

    def _tamper(self, tamper: Tamper) -> bool:
        """True once there was something to meddle with."""
        account, source = self.account, random.Random(f"{self.schedule.seed}/{tamper}")
        container, matches = TAMPERINGS[tamper.what]
        paths = [path for path in account.paths(container) if matches(path)]
        for path in source.sample(paths, k=min(tamper.count, len(paths))):
            if container == "inbox":
                self.seen.gone.add(account.etag(container, path))
            if tamper.what == "state damaged":
                account.put(container, path, b"{}")
            elif tamper.what == "ledger damaged":
                account.put(container, path, b'{"calls": {"99999999": -7}, "quota_until": "9999-12-31T23:59:59Z"}')
            elif tamper.what == "spool changed":
                account.put(container, path, (account.read(container, path) or b"").replace(b"a", b"b"))
            else:
                account.remove(container, path)
        return bool(paths)

    def storage_fault(self, method: str, path: str) -> Rule | None:
        elapsed = self.clock.monotonic()
        rule = self.storage_script.decide(Endpoint.STORAGE, method=method, path=path, elapsed=elapsed)
        if rule is not None:
            self.seen.storage_disturbed.add((int(elapsed // TICK), ""))
        return rule

    def latency(self) -> float:
        return self._latencies.uniform(0.001, 0.02)

    # the function app

    def _invoke(self, name: str, work: Callable[[Pipeline], Coroutine[Any, Any, Any]]) -> asyncio.Task[None]:
        host = self._hosts.get(name)
        if host is None or host.dead:
            host = self._hosts[name] = Host(self, name, skew=self._skews.get(name, 0.0))
        task = host.invoke(self._invocation(host, work))
        watch = asyncio.get_running_loop().create_task(self._watch(host, task))
        self._watching.add(watch)
        watch.add_done_callback(self._watching.discard)
        return task

    async def _invocation(self, host: Host, work: Callable[[Pipeline], Coroutine[Any, Any, Any]]) -> None:
        tokens = TokenSource(lambda: host.credential(""), f"{self.settings.graph}/.default")
        graph = Graph(self.settings.graph, tokens, host.clock, transport=host.graph_transport())
        try:
            jitter = random.Random(self._jitter.random())
            pipeline = Pipeline(
                self._store(host),
                graph,
                host.clock,
                self.settings,
                spoolers=1,
                random_source=jitter,
                turns=host.turns,
            )
            await work(pipeline)
        except (ConnectorError, Killed, asyncio.CancelledError):
            pass
        except BaseException as error:
            self.seen.errors.append(f"{type(error).__name__}: {error} ({_where(error)})")
        finally:
            await graph.close()

    def _store(self, host: Host) -> Store:
        if host not in self._stores:
            self._stores[host] = Store.connect(
                self.settings, transport=host.storage_transport(), retry_policy=VirtualRetry(host)
            )
        return self._stores[host]

    async def _watch(self, host: Host, task: asyncio.Task[None]) -> None:
        timer = asyncio.get_running_loop().create_task(self.clock.sleep(FUNCTION_TIMEOUT))
        try:
            await asyncio.wait({task, timer}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done() and not host.dead:
                self.seen.errors.append("an invocation ran into the function's time limit")
                self._kill(host)
        finally:
            timer.cancel()


TAMPERINGS: dict[str, tuple[str, Callable[[str], bool]]] = {
    "spool deleted": ("runs", lambda path: "/spool/" in path),
    "spool changed": ("runs", lambda path: "/spool/" in path),
    "index deleted": ("runs", lambda path: path.endswith("/requests.json")),
    "events deleted": ("runs", lambda path: path.endswith("/events.jsonl.gz")),
    "state damaged": ("runs", lambda path: path.endswith("/run.json")),
    "ledger damaged": ("runs", lambda path: path == "uplink.json"),
    "drop deleted": ("inbox", lambda path: True),
}
"""What is tampered with: the container, and which of its blobs."""


class _Collector(logging.Handler):
    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__()
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append(record)


def _where(error: BaseException) -> str:
    trace = error.__traceback__
    places = []
    while trace is not None:
        places.append(f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}")
        trace = trace.tb_next
    return " > ".join(places[-6:])
