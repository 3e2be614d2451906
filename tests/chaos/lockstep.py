"""An executor whose threads run one at a time and give way at every call to the outside: threads without a race.

The connector does its storage calls in threads (`asyncio.to_thread`). Under this executor the event loop waits while
a thread computes; at a call the thread is parked, the call becomes a task of the event loop, where it takes virtual
time, and the thread goes on with the answer. So instances and workers interleave at every call, and the same schedule
interleaves them the same way.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
Call = Callable[[], Awaitable[Any]]


def _taken() -> threading.Lock:
    # A turn is given once and taken once, for which a lock is enough; a Semaphore makes a new one at each turn.
    lock = threading.Lock()
    lock.acquire()
    return lock


class _Worker:
    """A thread that waits for its turn."""

    def __init__(self, turn_over: threading.Lock) -> None:
        self.go = _taken()
        self.job: Callable[[], Any] | None = None
        self.call: Call | None = None
        self.result: Any = None
        self.error: BaseException | None = None
        self._turn_over = turn_over
        threading.Thread(target=self._main, name="lockstep", daemon=True).start()

    def _main(self) -> None:
        _current.worker = self
        while True:
            self.go.acquire()
            job, self.job = self.job, None
            if job is None:
                return
            self.result, self.error = None, None
            try:
                self.result = job()
            except BaseException as error:
                self.error = error
            self._turn_over.release()

    def park(self, call: Call) -> Any:
        self.call = call
        self._turn_over.release()
        self.go.acquire()
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return self.result


class _Current(threading.local):
    worker: _Worker | None = None


_current = _Current()


class Lockstep(ThreadPoolExecutor):
    """To be an event loop's default executor. `stop` ends its threads."""

    def __init__(self) -> None:
        super().__init__(max_workers=1)
        self._idle: list[_Worker] = []
        self._turn_over = _taken()
        self._calls: set[asyncio.Task[None]] = set()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Runs `fn` until its first call, or to its end, before it returns."""
        future: Future[T] = Future()
        worker = self._idle.pop() if self._idle else _Worker(self._turn_over)
        worker.job = lambda: fn(*args, **kwargs)
        self._turn(worker, future)
        return future

    def _turn(self, worker: _Worker, future: Future[Any]) -> None:
        worker.go.release()
        self._turn_over.acquire()
        call, worker.call = worker.call, None
        if call is not None:
            task = asyncio.get_running_loop().create_task(self._serve(worker, call, future))
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)
            return
        self._idle.append(worker)
        if worker.error is not None:
            future.set_exception(worker.error)
        else:
            future.set_result(worker.result)

    async def _serve(self, worker: _Worker, call: Call, future: Future[Any]) -> None:
        try:
            worker.result = await call()
        except BaseException as error:
            worker.error = error
        self._turn(worker, future)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Ends the idle threads; one that is still parked is left to the end of the process."""
        for worker in self._idle:
            worker.go.release()
        self._idle.clear()
        super().shutdown(wait=False)


def in_lockstep() -> bool:
    """Whether this thread is one of a Lockstep's."""
    return _current.worker is not None


def outside(call: Call) -> Any:
    """From such a thread: the result of a call that the event loop makes meanwhile."""
    worker = _current.worker
    assert worker is not None
    return worker.park(call)
