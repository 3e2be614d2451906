"""Which plannings of this process may go on side by side: one that has killed a process before goes alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Any number side by side, or one alone. Nobody waits: what has no turn now is for the next tick."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way = 0
        self._alone = False

    @contextmanager
    def turn(self, *, alone: bool) -> Iterator[bool]:
        """Gives whether it is granted: not beside one that is alone, and alone not beside any."""
        with self._lock:
            granted = not self._alone and not (alone and self._under_way)
            self._under_way += granted
            self._alone = self._alone or (granted and alone)
        try:
            yield granted
        finally:
            with self._lock:
                self._under_way -= granted
                self._alone = self._alone and not (granted and alone)


TURNS = Turns()
"""Of this process: its functions share one memory."""
