"""One policy for calls that may go through later: capped exponential backoff with jitter, and what the server asks for.

tenacity, because its waits and sleeps can be given: stamina and httpx's own retries sleep by the machine's clock.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import tenacity

from connector.vocabulary.clock import Clock
from connector.vocabulary.errors import Exceeded, Retryable

BACKOFF_CAP = 20.0
# Retry-After says when to ask again; a longer wait than this is the next tick's.
LONGEST_WAIT = 60.0


def retrying(
    clock: Clock,
    source: random.Random,
    *,
    attempts: int,
    free: Callable[[BaseException | None], bool] = lambda _: False,
) -> tenacity.AsyncRetrying:
    """Tries again on Retryable, `attempts` times in all. A failure that is `free` neither counts nor waits.

    Not on Exceeded, nor where the other side asks for a longer wait than a minute: that is for the next tick.
    """
    failures = 0

    def failed(state: tenacity.RetryCallState) -> bool:
        nonlocal failures
        if free(_error(state)):
            return False
        failures += 1
        return failures >= attempts or _wait_of(_error(state)) > LONGEST_WAIT

    def wait(state: tenacity.RetryCallState) -> float:
        error = _error(state)
        if free(error):
            return 0.0
        if isinstance(error, Retryable) and error.wait is not None:
            return max(error.wait, 0.1)
        backoff: float = min(BACKOFF_CAP, 0.25 * 2**failures)
        return backoff * (0.5 + source.random() / 2)

    return tenacity.AsyncRetrying(
        sleep=clock.sleep,
        wait=wait,
        stop=failed,
        retry=tenacity.retry_if_exception(
            lambda error: isinstance(error, Retryable) and not isinstance(error, Exceeded)
        ),
        reraise=True,
    )


def _wait_of(error: BaseException | None) -> float:
    return error.wait or 0.0 if isinstance(error, Retryable) else 0.0


def _error(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
