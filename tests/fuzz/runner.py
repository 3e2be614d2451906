"""Runs the inputs of a seed one after the other; in a module of its own so that other processes can import it."""

from __future__ import annotations

import logging
import signal
import sys
import time
import traceback
from collections import Counter
from random import Random
from types import FrameType

from tests.fuzz.targets import TARGETS, TICKS, Target

LONGEST = 20.0
"""Seconds for one input; a machine that does much else is slow."""


class Hung(Exception):
    """An input that takes far too long."""


def _hung(_signal: int, _frame: FrameType | None) -> None:
    raise Hung


def one(targets: dict[str, Target], seed: int, number: int) -> str:
    """Run input `number` of a seed; the name of what it was for."""
    random = Random(f"{seed}/{number}")
    names = list(targets)
    (name,) = random.choices(names, weights=[targets[name][0] for name in names])
    targets[name][1](random)
    return name


def fuzz(seed: int, first: int, inputs: int, seconds: float, ticks: bool) -> Counter[str] | None:
    """Run inputs until there are enough or time is up: how many of each kind were well; None where one was not."""
    signal.signal(signal.SIGALRM, _hung)
    # What is logged is judged, and not printed.
    logging.getLogger().addHandler(logging.NullHandler())
    done: Counter[str] = Counter()
    began = time.monotonic()
    for number in range(first, first + inputs):
        signal.setitimer(signal.ITIMER_REAL, LONGEST)
        try:
            done[one(TICKS if ticks else TARGETS, seed, number)] += 1
        except (Exception, Hung):
            signal.setitimer(signal.ITIMER_REAL, 0)
            traceback.print_exc()
            again = f"--seed {seed} --first {number} --inputs 1{' --ticks' if ticks else ''}"
            print(f"again: python -m tests.fuzz {again}", file=sys.stderr, flush=True)
            return None
        if time.monotonic() - began > seconds:
            break
    signal.setitimer(signal.ITIMER_REAL, 0)
    return done
