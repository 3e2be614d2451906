"""Is this blob a drop yet? A file that is still arriving is none: half of it is everybody to whoever plans it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from connector.vocabulary.inbox import InboxBlob, readable
from connector.vocabulary.run import Drop, Obstacle


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """`completed` is the path whose event has come ("": none has), which storage sends when it was closed.

    `hierarchical` says whether the account that holds this drop has a hierarchical namespace. There a file grows while
    it is written (over SFTP, or by appending and flushing), and looks like one that was written as a whole. It is asked
    only of what has changed within `still_for`.
    """

    still_for: timedelta
    hierarchical: Callable[[Drop], bool]
    completed: str = ""

    def obstacle(self, blob: InboxBlob, now: datetime, marker: str | None = None) -> Obstacle | None:
        """Why this is no drop now; None when it is one. `now` counts where storage did not say what time it was.

        The event of its marker says as much as its own.
        """
        if blob.folder:
            return Obstacle.FOLDER
        if not readable(blob.drop.path):
            return Obstacle.NAME
        if blob.copy == "pending":
            return Obstacle.COPYING
        if blob.copy in {"aborted", "failed"}:
            return Obstacle.COPY_FAILED
        if blob.rehydrating:
            return Obstacle.REHYDRATING
        if blob.archived:
            return Obstacle.ARCHIVED
        if (blob.seen or now) - blob.drop.landed < self.still_for and self._may_grow(blob, marker):
            return Obstacle.ARRIVING
        return None

    def _may_grow(self, blob: InboxBlob, marker: str | None) -> bool:
        if blob.grows:
            return True
        # An empty file is what opening one over SFTP leaves, and has an event as well.
        closing = {blob.drop.path, *([f"{blob.drop.feed}/{marker}"] if marker else [])}
        closed = self.completed in closing and blob.drop.bytes > 0
        return not closed and self.hierarchical(blob.drop)
