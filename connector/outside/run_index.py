"""Which runs are open, in one listing that does not grow with what has ended: `runs/_open/<feed>/<run>` and its like.

What stands here are hints, written beside each change of `run.json`; where a process died between the two, `run.json`
counts, and whoever reads it mends the hint. Once a day a listing of all runs finds what has no hint at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from azure.core import MatchConditions
from azure.storage.blob import ContainerClient

from connector.outside.blobs import Missing, list_blobs, plain_etag, read_blob, storage_errors, write_blob
from connector.vocabulary.errors import Conflict
from connector.vocabulary.order import RunKey
from connector.vocabulary.run import Run, State

PREFIX = "_"
"""No feed's name begins with it."""
_OPEN = "_open/"
_ENDED = "_ended/"
_NEWEST = "_newest/"
_GOOD = "_feeds/"
_REPAIRED = f"{_OPEN}_repaired"


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that has ended, at about this time, and whose drop still lay in the inbox."""

    state: State | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Newest:
    """Of a feed: the run whose drop landed last, and the last one that was planned and not rejected; "" is none."""

    landed: str = ""
    planned: str = ""


@dataclass(frozen=True, slots=True)
class Index:
    """`open`: the runs that are not final, by their states; None where that is not known.

    `ended`: the final ones whose drops may still lie in the inbox. `good` has the ETag of each feed file that was last
    known to be usable. `repaired`: when all runs were last listed.
    """

    open: dict[RunKey, State | None] = field(default_factory=dict)
    ended: dict[RunKey, Ended] = field(default_factory=dict)
    newest: dict[str, Newest] = field(default_factory=dict)
    good: dict[str, str] = field(default_factory=dict)
    repaired: datetime | None = None

    def states(self) -> dict[RunKey, State]:
        """Of every run that the index knows, where its state is known."""
        known = {key: ended.state for key, ended in self.ended.items()} | self.open
        return {key: state for key, state in known.items() if state}

    def is_overtaken(self, key: RunKey) -> bool:
        """Whether a later drop of the run's feed was planned: what was rejected then stays so."""
        feed, run_id = key
        if self.newest.get(feed, Newest()).planned > run_id:
            return True
        later = (state for (other, run), state in self.states().items() if other == feed and run > run_id)
        return any(state is not State.REJECTED for state in later)


class RunIndex:
    """Reads and writes the hints. Methods raise what those of the store do."""

    def __init__(self, runs: ContainerClient) -> None:
        self._runs = runs

    def read(self) -> Index:
        index = Index()
        repaired: datetime | None = None
        for blob in list_blobs(self._runs, PREFIX):
            words = blob.metadata or {}
            kind, _, rest = blob.name.partition("/")
            feed, _, run_id = rest.partition("/")
            if blob.name == _REPAIRED:
                repaired = blob.last_modified
            elif f"{kind}/" == _OPEN and run_id:
                index.open[feed, run_id] = state_of(words)
            elif f"{kind}/" == _ENDED and run_id:
                index.ended[feed, run_id] = Ended(state_of(words), blob.last_modified)
            elif f"{kind}/" == _NEWEST:
                index.newest[feed] = Newest(words.get("landed", ""), words.get("planned", ""))
            elif f"{kind}/" == _GOOD:
                index.good[feed] = words.get("etag", "")
        return Index(index.open, index.ended, index.newest, index.good, repaired)

    def note(self, run: Run) -> None:
        """Says where a run stands: to be called after each change of its state, and before it is made or reopened."""
        if not run.state.final:
            self._write(f"{_OPEN}{run.feed}/{run.id}", {"state": run.state.value})
            return
        self._write(f"{_ENDED}{run.feed}/{run.id}", {"state": run.state.value})
        self.close((run.feed, run.id))

    def note_lost(self, key: RunKey, state: State | None) -> None:
        """A run that only a listing of all knows, by what its metadata says."""
        self._write(f"{_OPEN}{key[0]}/{key[1]}", {"state": state.value} if state else {})

    def close(self, key: RunKey) -> None:
        """The run is not open any more, or never was. Fine when that was known."""
        self._delete(f"{_OPEN}{key[0]}/{key[1]}")

    def give_up(self, key: RunKey, *, for_good: bool) -> None:
        """Its `run.json` is gone. Its drop is planned anew, if it is still there; `for_good`: not even then."""
        if for_good:
            self._write(f"{_ENDED}{key[0]}/{key[1]}", {"state": State.SETTLED.value})
        self.close(key)

    def forget(self, key: RunKey) -> None:
        """The drop of a final run lies in the inbox no more."""
        self._delete(f"{_ENDED}{key[0]}/{key[1]}")

    def landed(self, feed: str, run_id: str, *, planned: bool) -> None:
        """Remembers the newest run of a feed; `planned`: and that it was not rejected."""

        def newer(known: Newest) -> Newest:
            return Newest(max(known.landed, run_id), max(known.planned, run_id) if planned else known.planned)

        self._change_newest(feed, newer)

    def remember(self, feed: str, newest: Newest) -> None:
        """What a listing of all runs found; never older than what is known."""
        self._change_newest(
            feed, lambda known: Newest(max(known.landed, newest.landed), max(known.planned, newest.planned))
        )

    def _change_newest(self, feed: str, change: Callable[[Newest], Newest]) -> None:
        path = f"{_NEWEST}{feed}"
        blob = self._runs.get_blob_client(path)
        for _ in range(5):
            try:
                with storage_errors(f"{self._runs.container_name}/{path}"):
                    properties = blob.get_blob_properties()
            except Missing:
                known = Newest()
                condition: dict[str, Any] = {"match_condition": MatchConditions.IfMissing}
            else:
                words = properties.metadata or {}
                known = Newest(words.get("landed", ""), words.get("planned", ""))
                condition = {
                    "etag": plain_etag(properties.etag),
                    "match_condition": MatchConditions.IfNotModified,
                }
            changed = change(known)
            if changed == known:
                return
            with suppress(Conflict):
                self._write(path, {"landed": changed.landed, "planned": changed.planned}, **condition)
                return

    def good_feed_file(self, feed: str) -> bytes | None:
        """The text of the feed's file when it was last usable."""
        found = read_blob(self._runs, f"{_GOOD}{feed}")
        return None if found is None else found[0]

    def keep_feed_file(self, feed: str, text: bytes, etag: str) -> None:
        self._write(f"{_GOOD}{feed}", {"etag": etag}, text)

    def mark_repaired(self) -> None:
        self._write(_REPAIRED, {})

    def _write(self, path: str, words: Mapping[str, str], data: bytes = b"", **condition: Any) -> None:
        missing = condition.get("match_condition") is MatchConditions.IfMissing
        write_blob(
            self._runs,
            path,
            data,
            "text/plain",
            overwrite=not missing,
            # Metadata, so that one listing shows all of it.
            metadata={name: value for name, value in words.items() if value},
            **condition,
        )

    def _delete(self, path: str) -> None:
        with suppress(Missing), storage_errors(f"{self._runs.container_name}/{path}"):
            self._runs.delete_blob(path)


def state_of(words: Mapping[str, str]) -> State | None:
    """What a blob's metadata says of a run's state."""
    try:
        return State(words["state"])
    except (KeyError, ValueError):
        return None
