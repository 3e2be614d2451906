"""`python -m tests.fuzz --inputs 100000 --seconds 300`: exit 0 when nothing broke, else 1 and the input's number."""

from __future__ import annotations

import argparse
import signal
import sys
import time
import traceback
from collections import Counter
from random import Random
from types import FrameType

from tests.fuzz.targets import TARGETS

LONGEST = 20.0
"""Seconds for one input; a machine that does much else is slow."""


class Hung(Exception):
    """An input that takes far too long."""


def _hung(_signal: int, _frame: FrameType | None) -> None:
    raise Hung


def one(seed: int, number: int) -> str:
    """Run input `number` of a seed; the name of what it was for."""
    random = Random(f"{seed}/{number}")
    names = list(TARGETS)
    (name,) = random.choices(names, weights=[TARGETS[name][0] for name in names])
    TARGETS[name][1](random)
    return name


def fuzz(seed: int, first: int, inputs: int, seconds: float) -> int:
    """Run inputs until there are enough or time is up; the exit code."""
    signal.signal(signal.SIGALRM, _hung)
    done: Counter[str] = Counter()
    began = time.monotonic()
    for number in range(first, first + inputs):
        signal.setitimer(signal.ITIMER_REAL, LONGEST)
        try:
            done[one(seed, number)] += 1
        except (Exception, Hung):
            signal.setitimer(signal.ITIMER_REAL, 0)
            traceback.print_exc()
            print(f"again: python -m tests.fuzz --seed {seed} --first {number} --inputs 1", file=sys.stderr)
            return 1
        if time.monotonic() - began > seconds:
            break
    signal.setitimer(signal.ITIMER_REAL, 0)
    for name, count in sorted(done.items()):
        print(f"  {count:9,} {name}")
    took = time.monotonic() - began
    print(f"{done.total():,} of {inputs:,} inputs in {took:.0f} s (seed {seed}): nothing but what is meant")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000, help="another one each time")
    parser.add_argument("--first", type=int, default=0, help="the number of the first input")
    options = parser.parse_args()
    return fuzz(options.seed, options.first, options.inputs, options.seconds)


if __name__ == "__main__":
    sys.exit(main())
