"""What happens in one schedule, as data: drops that land and everything that goes wrong, drawn from a seed.

A schedule is a list of independent happenings: any of them may be left out, which is how a failing one is shrunk.
Times are virtual seconds since the schedule began.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath

from connector.sandbox.faults import Action, Endpoint, Rule
from connector.sandbox.settings import QUOTA, SEND_LIMIT
from connector.vocabulary.limits import Limit

MINUTE = 60.0
TICK = 5 * MINUTE
HOSTS = ("a", "b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Land:
    """A drop lands. Its event comes after each of `delays` on `host`: never where there is none, twice where two."""

    at: float
    feed: str
    name: str
    content: bytes = field(repr=False)
    version: str = ""
    host: str = "a"
    delays: tuple[float, ...] = (1.0,)
    poison: str = ""
    """What whoever reads it comes to, a key of `POISONS`; "" is a drop like others."""
    reads: int = 1
    """... at each so many-th time that it is read."""


POISONS = {"dies": "attempts", "memory": "attempts", "unforeseen": "drop", "unusable": "drop"}
"""What kills its process, takes all of its memory, raises what nobody foresaw, or cannot be read: to the code with
which its run has to be rejected in the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntraFault:
    """Rules of the sandbox that belong together (`revoke` and the `grant` that mends it)."""

    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageFault:
    rule: Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """SIGKILL of the host at its `calls`-th call from `at` on: before it goes out, or once it has taken effect."""

    at: float
    host: str
    calls: int
    after: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeOut:
    """The function host cancels what runs on the host, and ends it ten seconds later."""

    at: float
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtraTick:
    """A tick on a host, whatever else is running: a second instance."""

    at: float
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Steal:
    """Somebody breaks the uplink's lease (or that of a run being planned), and holds it for `held` seconds."""

    at: float
    calls: int
    of: str
    held: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tamper:
    """Somebody deletes or changes up to `count` blobs; `what` is a key of `world.TAMPERINGS`."""

    at: float
    calls: int
    what: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Skew:
    """The host's wall clock is `seconds` ahead."""

    host: str
    seconds: float


Happening = Land | EntraFault | StorageFault | Kill | TimeOut | ExtraTick | Steal | Tamper | Skew


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """`happenings` in any order; the rest is how the tenant is that they happen to."""

    seed: int
    happenings: tuple[Happening, ...]
    feeds: dict[str, str]
    """Feed to the text of its feed file; `{endpoint}` in it becomes the endpoint of the feed's job."""
    send_limit: Limit = SEND_LIMIT
    quota: Limit = QUOTA
    jitter: float = 0.0
    retry_after: str = "seconds"
    minutes: float = 45.0
    """When everything that can go wrong is mended."""
    ticks: int = 100
    pause: float = TICK
    """So many ticks later, so many seconds apart, every run must be final."""
    time_limit: str = "4m"


FEED = """\
endpoint: {endpoint}
content: delta
file: {format: csv}
mapping:
  externalId: "[Id]"
  userName: "[Mail]"
  name.givenName: "[First]"
  name.familyName: "[Last]"
  title: "[Title]"
  active: Switch([Active], , "yes", "True", "no", "False")
  urn:ietf:params:scim:schemas:extension:contoso:1.0:User:JobCode: "[Code]"
"""
MARK = "Privat"
"""Is in every person's value of a drawn drop but in the externalId: no log record may have it."""


def drawn_drop(source: random.Random, feed: str, version: str, *, most: int) -> bytes:
    """A CSV of up to `most` people, some of them twice, some unusable, some whom Entra will refuse or fail."""
    count = source.choice([1, 3, 12, 51, 60, most])
    first = source.choice([0, 0, count // 2, 40])
    people = list(range(first, first + count))
    people += source.sample(people, k=min(len(people), source.choice([0, 0, 1, 4])))
    lines = ["Id,First,Last,Mail,Title,Active,Code"]
    for person in people:
        domain = "nowhere.test" if person % 17 == 5 else "example.com"
        active = source.choices(["yes", "no", "perhaps"], [90, 8, 2])[0]
        code = "refuse" if person % 97 == 11 else ""
        name = f"{MARK}{person}"
        lines.append(f"{feed}{person:05d},{name},{name}son,{name}.{feed}@{domain},{version},{active},{code}")
    return ("\n".join(lines) + "\n").encode()


def drawn(seed: int, *, feeds: dict[str, str] | None = None, drops: Sequence[tuple[str, str, bytes]] = ()) -> Schedule:
    """The schedule of a seed; with `feeds` (name to text) and `drops` (feed, name, content) around those.

    Given drops land in the order given, one every few minutes.
    """
    source = random.Random(seed)
    limit = source.choice([SEND_LIMIT, SEND_LIMIT, Limit(8, 1.0), Limit(4, 5.0)])
    quota = source.choice([QUOTA, QUOTA, Limit(100, 3600.0), Limit(60, 1800.0)])
    happenings: list[Happening] = []
    names = sorted(feeds) if feeds else [f"feed{n}" for n in range(source.choice([1, 1, 2, 3]))]
    texts = feeds or dict.fromkeys(names, FEED)
    if drops:
        at = 0.0
        for feed, name, content in drops:
            happenings.append(_land(source, at, feed, PurePath(name).name, content, ""))
            at += source.uniform(1, 5 * MINUTE)
    else:
        for number in range(source.choice([1, 2, 2, 3, 4, 6])):
            feed = source.choice(names)
            name = source.choice([f"{number}.csv", f"{number}.csv", "latest.csv"])
            content = drawn_drop(source, feed, f"v{number}", most=source.choice([110, 110, 110, 220, 850]))
            # Blob times are whole seconds: two drops of one second have no order.
            at = float(source.randrange(0, int(30 * MINUTE), 2) + number % 2)
            happenings.append(_land(source, at, feed, name, content, f"v{number}"))
        happenings += _poisons(random.Random(f"{seed}/poison"), names)
    begin = max((h.at for h in happenings if isinstance(h, Land)), default=0.0)
    minutes = max(45.0, begin / MINUTE + 15.0)
    faults = source.choices(_FAULTS, _WEIGHTS, k=source.choice([0, 1, 2, 3, 4, 6, 9]))
    happenings += [draw(source, minutes * MINUTE) for draw in faults]
    return Schedule(
        seed=seed,
        happenings=tuple(happenings),
        feeds=texts,
        send_limit=limit,
        quota=quota,
        # The window takes the fastest of its first round trips for the path's own: a few say little about much jitter.
        jitter=source.choice([0.0, 0.0, 0.1, 0.3]) if limit == SEND_LIMIT else source.choice([0.0, 0.002]),
        retry_after=source.choice(["seconds", "date", "none"]),
        minutes=minutes,
    )


def _land(source: random.Random, at: float, feed: str, name: str, content: bytes, version: str) -> Land:
    delays = source.choice([(), (), (0.5,), (2.0,), (90.0,), (1.0, 3.0), (1.0, 400.0)])
    return Land(at=at, feed=feed, name=name, content=content, version=version, host=source.choice(HOSTS), delays=delays)


def _poisons(source: random.Random, feeds: Sequence[str]) -> list[Happening]:
    lands: list[Happening] = []
    for number in range(source.choice([0, 0, 0, 1, 1, 2])):
        feed, poison = source.choice(feeds), source.choice(sorted(POISONS))
        content = drawn_drop(source, feed, "poison", most=110)
        if poison == "unusable":
            # gzip by its first bytes, and by nothing else.
            content = b"\x1f\x8b\x08" + content
        at = float(source.randrange(int(30 * MINUTE)))
        land = _land(source, at, feed, f"poison{number}.csv", content, "poison")
        # A drop is read twice: the second time its bodies are in the spool.
        lands.append(replace(land, poison=poison, reads=source.choice([1, 1, 2])))
    return lands


def _when(source: random.Random, end: float) -> float:
    # Most of what happens, happens within seconds of a tick: there a fault has something to hit.
    tick = source.randrange(0, int(end / TICK)) * TICK
    return tick + source.choice([0.0, 0.0, source.uniform(0, 5), source.uniform(0, 60), source.uniform(0, TICK)])


_STATUSES = (408, 429, 500, 502, 503, 504)
_RETRY_AFTER = ("", "", "0", "3", "date+4", "date-50", "90", "99999999", "-5", "soon", "nan", "1e400")
_SHORT = (
    Action.DROP_BEFORE,
    Action.DROP_AFTER,
    Action.HALF,
    Action.STATUS,
    Action.STATUS_AFTER,
    Action.DELAY,
    Action.HANG,
)


def _calls(source: random.Random) -> tuple[tuple[int, int | None], ...]:
    first = source.choice([1, 1, 2, 3, 5, 8, 17])
    return ((first, first + source.choice([0, 0, 1, 3, 10])),)


def _upload_fault(source: random.Random, end: float) -> Happening:
    do = source.choice([*_SHORT, Action.STATUS, Action.HANG_AFTER, Action.NO_LOCATION, Action.ODD_LOCATION])
    rule = Rule(
        on=Endpoint.UPLOAD,
        do=do,
        calls=_calls(source),
        after=_when(source, end),
        status=source.choice(_STATUSES),
        retry_after=source.choice(_RETRY_AFTER),
        seconds=source.choice([0.5, 5.0, 70.0, 600.0]),
        location=source.choice(["https://evil.example/steal", "//evil.example", "nonsense", ""]),
    )
    return EntraFault(rules=(rule,))


def _log_fault(source: random.Random, end: float) -> Happening:
    rule = Rule(
        on=source.choice([Endpoint.LOG, Endpoint.LOG, Endpoint.JOB]),
        do=source.choice([*_SHORT, Action.ODD_LOCATION, Action.ODD_ENTRIES]),
        calls=_calls(source),
        after=_when(source, end),
        status=source.choice(_STATUSES),
        retry_after=source.choice(_RETRY_AFTER),
        seconds=source.choice([0.5, 5.0, 70.0, 600.0]),
        location=source.choice(["https://evil.example/steal", "//evil.example/x", "nonsense", ""]),
    )
    return EntraFault(rules=(rule,))


def _token_fault(source: random.Random, end: float) -> Happening:
    rule = Rule(
        on=Endpoint.TOKEN,
        do=source.choice([Action.EXPIRED_TOKEN, Action.DOWN, Action.STATUS, Action.DELAY, Action.HANG]),
        calls=((1, source.choice([1, 2, None])),),
        after=(at := _when(source, end)),
        before=at + source.choice([30.0, 400.0, 900.0]),
        status=source.choice([400, 429, 500, 503]),
        seconds=source.choice([5.0, 40.0, 400.0]),
    )
    return EntraFault(rules=(rule,))


def _outage(source: random.Random, end: float) -> Happening:
    at = _when(source, end)
    until = at + source.choice([20.0, 120.0, 700.0])
    do = source.choice([Action.STATUS, Action.DOWN, Action.HANG])
    on = source.choice([Endpoint.UPLOAD, Endpoint.UPLOAD, Endpoint.LOG])
    rule = Rule(on=on, do=do, after=at, before=until, status=source.choice(_STATUSES), seconds=until - at)
    return EntraFault(rules=(rule,))


def _administrator(source: random.Random, end: float) -> Happening:
    do, mended = source.choice(
        [
            (Action.REVOKE, Action.GRANT),
            (Action.DELETE_JOB, None),
            (Action.PAUSE, Action.RESUME),
            (Action.QUARANTINE, Action.RESUME),
        ]
    )
    at, number = _when(source, end), source.choice([1, 1, 3, 9])
    on = source.choice([Endpoint.UPLOAD, Endpoint.UPLOAD, Endpoint.LOG, Endpoint.JOB])
    rules = [Rule(on=on, do=do, calls=((number, number),), after=at, times=1)]
    if mended is not None and source.random() < 0.7:
        later = at + source.choice([10.0, 400.0, 900.0])
        rules += [Rule(on=e, do=mended, after=later, times=1) for e in (Endpoint.UPLOAD, Endpoint.LOG, Endpoint.JOB)]
    return EntraFault(rules=tuple(rules))


_STORED = (
    "",
    "",
    "/spool/",
    "receipts",
    "run.json",
    "uplink.json",
    "summaries",
    "inbox",
    "plan.jsonl",
    "requests.json",
)


def _storage_fault(source: random.Random, end: float) -> Happening:
    at = _when(source, end)
    rule = Rule(
        on=Endpoint.STORAGE,
        do=source.choice([*_SHORT, Action.STATUS, Action.HANG_AFTER]),
        calls=_calls(source),
        after=at,
        method=source.choice(["", "", "PUT", "GET", "DELETE"]),
        path=source.choice(_STORED),
        status=source.choice([503, 503, 500]),
        seconds=source.choice([0.5, 5.0, 70.0]),
    )
    return StorageFault(rule=rule)


def _storage_outage(source: random.Random, end: float) -> Happening:
    at = _when(source, end)
    until = at + source.choice([4.0, 30.0, 200.0, 700.0])
    rule = Rule(
        on=Endpoint.STORAGE,
        do=source.choice([Action.STATUS, Action.STATUS, Action.DROP_BEFORE, Action.DROP_AFTER]),
        after=at,
        before=until,
        probability=source.choice([0.1, 0.5, 1.0, 1.0]),
        method=source.choice(["", "", "PUT"]),
        path=source.choice(_STORED),
        status=503,
    )
    return StorageFault(rule=rule)


def _kill(source: random.Random, end: float) -> Happening:
    calls = source.choice([source.randrange(1, 12), source.randrange(1, 60), source.randrange(1, 250)])
    return Kill(at=_when(source, end), host=source.choice("aab"), calls=calls, after=source.random() < 0.5)


def _time_out(source: random.Random, end: float) -> Happening:
    return TimeOut(at=_when(source, end), host=source.choice("aab"))


def _extra_tick(source: random.Random, end: float) -> Happening:
    return ExtraTick(at=_when(source, end), host=source.choice("bba"))


def _steal(source: random.Random, end: float) -> Happening:
    return Steal(
        at=_when(source, end),
        calls=source.randrange(1, 60),
        of=source.choice(["uplink", "uplink", "run"]),
        held=source.choice([0.0, 15.0, 60.0]),
    )


def _tamper(source: random.Random, end: float) -> Happening:
    what = source.choice(["spool deleted", "spool changed", "drop deleted", "index deleted", "events deleted"])
    return Tamper(at=_when(source, end), calls=source.randrange(1, 60), what=what, count=source.choice([1, 2, 9]))


def _skew(source: random.Random, end: float) -> Happening:
    return Skew(host=source.choice(HOSTS), seconds=source.choice([-108_000.0, -600.0, 600.0, 108_000.0]))


_Draw = Callable[[random.Random, float], Happening]
_FAULTS: tuple[_Draw, ...] = (
    _upload_fault,
    _log_fault,
    _token_fault,
    _outage,
    _administrator,
    _storage_fault,
    _storage_outage,
    _kill,
    _time_out,
    _extra_tick,
    _steal,
    _tamper,
    _skew,
)
_WEIGHTS = (6, 2, 2, 2, 2, 4, 3, 8, 1, 4, 2, 2, 1)
