"""Which plannings of this process may go on side by side: one that has killed a process before goes alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Any number side by side, or one alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._side_by_side = 0
        self._alone = False

    @contextmanager
    def side_by_side(self) -> Iterator[None]:
        """Waits while one goes alone."""
        with self._changed:
            self._changed.wait_for(lambda: not self._alone)
            self._side_by_side += 1
        try:
            yield
        finally:
            with self._changed:
                self._side_by_side -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Gives whether nothing else is under way: it does not wait, and with False nothing may be planned."""
        with self._changed:
            granted = not self._alone and not self._side_by_side
            self._alone = self._alone or granted
        try:
            yield granted
        finally:
            if granted:
                with self._changed:
                    self._alone = False
                    self._changed.notify_all()


TURNS = Turns()
"""Of this process: its functions share one memory."""
