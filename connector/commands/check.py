"""Says everything that is wrong with a feed file, or with a feed file and a drop together.

Nothing is sent, and no value is shown: of a text only its shape, with letters and digits masked.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Final

from connector.commands.local_files import feed_of, landed_at
from connector.commands.printing import say
from connector.mapping import AsItStands, BoundMapping, LoadedFeed, Rejected
from connector.mapping.attribute_paths import Target
from connector.outside.keys import no_secrets
from connector.planning.decide import plaintext
from connector.planning.plan import last_rows, plan
from connector.readers import ScimTable, Table, open_drop
from connector.vocabulary.bulk_request import BulkRequest
from connector.vocabulary.column_names import NO_HEADER, shown
from connector.vocabulary.errors import DropUnusable, Fault, FeedUnusable, Unusable
from connector.vocabulary.run import Decision, PlannedRow
from connector.vocabulary.scim import CORE_USER, Type

UNUSABLE: Final = 2
SOME_REJECTED: Final = 3

SHAPES: Final = 3
SAMPLED: Final = 1_000
"""How many values of an attribute are looked at for its commonest shapes."""
FAULTS_SHOWN: Final = 10
PLACES: Final = 20
LONGEST_SHAPE: Final = 24


EXAMPLE = "check employees.yaml people.csv"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("feed", type=Path, metavar="FEED.yaml")
    parser.add_argument("file", type=Path, nargs="?", metavar="FILE")


def run(options: argparse.Namespace) -> int:
    return check(options.feed, options.file)


def check(feed_path: Path, file_path: Path | None) -> int:
    """The report to stdout.

    Gives 0 when all is well, 2 when the feed or the file cannot be used or columns are missing, 3 when rows are
    rejected.
    """
    try:
        feed = feed_of(feed_path)
        attributes, columns = _count(len(feed.mapping.rules), "attribute"), _count(len(feed.mapping.columns), "column")
        say(f"{feed_path}: no faults; {attributes} from {columns}")
        return _against(feed, file_path) if file_path else 0
    except FeedUnusable as error:
        for fault in error.faults:
            place = f"{fault.line}:{fault.position or 1}: " if fault.line else ""
            say(f"{error.name}:{place or ' '}{_told(fault)}")
    except Unusable as error:
        for fault in error.faults:
            say(f"{error.name}: {fault}")
    return UNUSABLE


def _against(feed: LoadedFeed, path: Path) -> int:
    name, landed = str(path), landed_at(path)
    source = plaintext(lambda: path.open("rb"), name=name, feed=feed, secrets=no_secrets())

    def table(stream: BinaryIO, wanted: Sequence[str]) -> Table | ScimTable:
        return open_drop(stream, name=name, options=feed.feed.file, wanted=wanted)

    with source() as first, source() as second, source() as third:
        rows = table(first, feed.mapping.columns)
        if isinstance(rows, ScimTable):
            seen = _Seen(targets=())
            _walk(rows, table(second, ()), AsItStands(), seen)
            say(f"{name}: a SCIM bulk request, which is uploaded as it stands; the mapping is not used")
            say(*_ending(seen, rows.notes))
            return SOME_REJECTED if seen.decisions[Decision.REJECTED] else 0
        columns = rows.columns
        nested = columns == feed.mapping.columns
        if nested:
            # As JSON and XML have it: whatever was asked for.
            with suppress(DropUnusable):
                columns = table(third, ()).columns
        unmapped = _unmapped(feed.mapping.columns, columns, nested=nested)
        try:
            bound = feed.mapping.bind(rows.columns, now=landed)
        except DropUnusable as error:
            for fault in error.faults:
                near = fault.advice.startswith("the nearest") or not unmapped
                say(f"{name}: {_told(fault if near else replace(fault, advice=''))}")
            say(*unmapped)
            return UNUSABLE
        seen = _Seen(targets=feed.mapping.targets)
        again = table(second, feed.mapping.columns)
        _walk(rows, again, bound, seen)
    say(f"{name}: {_count(seen.decisions.total(), 'row')}")
    if not feed.feed.files.is_drop(path.name):
        say("note: a file of this name is no drop of this feed (files in the feed file)")
    say(*_attributes(feed, seen))
    say(*unmapped, *_ending(seen, again.notes))
    return SOME_REJECTED if seen.decisions[Decision.REJECTED] else 0


@dataclass(slots=True, kw_only=True)
class _Seen:
    """What a file's rows came to. `filled`, `shapes` and `booleans` have an entry for each of `targets`."""

    targets: tuple[Target, ...]
    filled: list[int] = field(init=False)
    shapes: list[Counter[str]] = field(init=False)
    booleans: list[Counter[bool]] = field(init=False)
    decisions: Counter[Decision] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    faults: Counter[Fault] = field(default_factory=Counter)
    rows: dict[Fault, list[int]] = field(default_factory=dict)
    warned: Counter[Fault] = field(default_factory=Counter)
    requests: int = 0

    def __post_init__(self) -> None:
        self.filled = [0] * len(self.targets)
        self.shapes = [Counter() for _ in self.targets]
        self.booleans = [Counter() for _ in self.targets]

    def decided(self, row: PlannedRow) -> None:
        self.decisions[row.decision] += 1
        for fault in row.faults:
            self.faults[fault] += 1
            if self.faults[fault] <= SHAPES:
                self.rows.setdefault(fault, []).append(row.row)

    def sent(self, user: dict[str, Any]) -> None:
        for place, target in enumerate(self.targets):
            value = target.find(user)
            if value is None:
                continue
            self.filled[place] += 1
            if value.__class__ is bool:
                self.booleans[place][value] += 1
            elif self.filled[place] <= SAMPLED:
                for text in value if isinstance(value, list) else (value,):
                    self.shapes[place][shape(str(text))] += 1


class _Watching:
    """A mapping that remembers the user, or why there is none, of the row that the plan decides on."""

    def __init__(self, mapping: BoundMapping | AsItStands) -> None:
        self.external_id = mapping.external_id
        self._map = mapping.map_with_warnings
        self.mapped: Any = None

    def map_with_warnings(self, cells: Any, /) -> tuple[Any, tuple[Fault, ...]]:
        self.mapped, warnings = self._map(cells)
        return self.mapped, warnings


def _walk(first: Table | ScimTable, again: Table | ScimTable, mapping: BoundMapping | AsItStands, seen: _Seen) -> None:
    """Decide every row as a run would."""
    watching = _Watching(mapping)
    leading = first.leading(mapping.reach) if isinstance(mapping, BoundMapping) and isinstance(first, Table) else first
    for item in plan(again, watching, last_rows(leading, watching), seen.warned):
        if isinstance(item, BulkRequest):
            seen.requests += 1
            continue
        seen.decided(item)
        if item.decision is Decision.SEND:
            seen.sent(watching.mapped)
        elif isinstance(rejected := watching.mapped, Rejected) and rejected.faults is item.faults:
            # Of a row that could not be read, nothing was mapped.
            seen.rejected.update(dict.fromkeys(rejected.attributes, 1))


_MASKED: Final = re.compile(r"[^\W\d_]|\d|[^\x20-\x7e]")


def shape(text: str) -> str:
    """The text with every capital letter as A, any other letter as a, every digit as 9, and cut when long.

    Punctuation and spaces stay; other characters, such as controls, become `?`.
    """

    def masked(found: re.Match[str]) -> str:
        char = found[0]
        if char.isalpha():
            return "A" if char.isupper() else "a"
        return "9" if char.isdigit() else "?"

    cut = _MASKED.sub(masked, text[: LONGEST_SHAPE + 1])
    return cut if len(cut) <= LONGEST_SHAPE else cut[:LONGEST_SHAPE] + "…"


def _unmapped(mapped: Sequence[str], present: Sequence[str], *, nested: bool) -> list[str]:
    """Where the header is missing, the names in its place are a person's: they are not told."""
    names = shown(present, mapped, nested=nested)
    if not nested and not any(names):
        return [f"the names of its {_count(len(present), 'column')} do not look like names ({NO_HEADER})"]
    unread = [place for place, name in enumerate(present) if name and name not in mapped]
    listed = [names[place] for place in unread if names[place]]
    hidden = [str(place + 1) for place in unread if not names[place]]
    if hidden:
        numbers = "" if nested else f" ({', '.join(hidden[:PLACES])}{', …' if len(hidden) > PLACES else ''})"
        listed.append(f"{_count(len(hidden), 'other')}{numbers} whose names do not look like names")
    return [f"columns that nothing reads: {', '.join(listed)}"] if listed else []


def _attributes(feed: LoadedFeed, seen: _Seen) -> Iterator[str]:
    """A table: how many of the people who can be sent have a value, and for how many rows it was the fault."""
    labels = [_label(target) for target in seen.targets]
    width = max(map(len, (*labels, "attribute")))
    sent = seen.decisions[Decision.SEND]
    yield ""
    yield f"{'attribute':{width}} {'filled':>9} {'empty':>9} {'rejected':>9}  shapes"
    for place, (target, label) in enumerate(zip(seen.targets, labels, strict=True)):
        filled = seen.filled[place]
        counts = f"{filled:9,} {sent - filled:9,} {seen.rejected[str(target)]:9,}"
        if target.leaf.type is Type.BOOLEAN:
            words = [f"{str(value).lower()} {count:,}" for value, count in seen.booleans[place].most_common()]
        else:
            words = [text for text, _ in seen.shapes[place].most_common(SHAPES)]
        yield f"{label:{width}} {counts}  {' | '.join(words)}".rstrip()
    if seen.rejected["where"]:
        yield f"{'where':{width}} {'':9} {'':9} {seen.rejected['where']:9,}"
    yield ""


def _label(target: Target) -> str:
    if target.urn == CORE_USER:
        return str(target)
    return "…:" + str(target).removeprefix(target.urn.rpartition(":")[0] + ":")


def _ending(seen: _Seen, notes: Sequence[str]) -> Iterator[str]:
    yield from (f"note: {note}" for note in notes)
    for fault, count in seen.warned.most_common(FAULTS_SHOWN):
        yield f"odd in {_count(count, 'row')}: {fault}"
    for fault, count in seen.faults.most_common(FAULTS_SHOWN):
        numbers = ", ".join(map(str, seen.rows[fault])) + (", …" if count > SHAPES else "")
        yield f"rejected, {_count(count, 'row')} ({numbers}): {fault}"
    if (more := len(seen.faults) - FAULTS_SHOWN) > 0:
        yield f"and {_count(more, 'other fault')}"
    parts = [f"{seen.decisions[decision]:,} {_WORDS[decision]}" for decision in _WORDS if seen.decisions[decision]]
    yield f"{', '.join(parts) or 'no rows'}; {_count(seen.requests, 'bulk request')}"


_WORDS: Final = {
    Decision.SEND: "to send",
    Decision.REJECTED: "rejected",
    Decision.DUPLICATE: "replaced by a later row",
    Decision.FILTERED: "filtered",
}


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _told(fault: Fault) -> str:
    return f"{fault.message} ({fault.advice})" if fault.advice else fault.message
