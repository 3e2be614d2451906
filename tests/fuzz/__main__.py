"""`python -m tests.fuzz --inputs 100000 --seconds 300`: exit 0 when nothing broke, else 1 and the input's number.

With `--ticks` an input is all that a few ticks meet: `python -m tests.fuzz --ticks --inputs 10000`.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import time
from collections import Counter
from multiprocessing import get_context

from tests.fuzz.runner import fuzz


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--ticks", action="store_true", help="whole ticks, with a healthy feed beside the poison")
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000, help="another one each time")
    parser.add_argument("--first", type=int, default=0, help="the number of the first input")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at once (one a core)")
    options = parser.parse_args()
    seed, inputs, jobs = options.seed, options.inputs, min(options.jobs, options.inputs)
    began = time.monotonic()
    ends = [options.first + inputs * job // jobs for job in range(jobs + 1)]
    parts = [(seed, first, end - first, options.seconds, options.ticks) for first, end in itertools.pairwise(ends)]
    if jobs == 1:
        counts = [fuzz(*parts[0])]
    else:
        with get_context("spawn").Pool(jobs) as pool:
            counts = pool.starmap(fuzz, parts)
    done: Counter[str] = Counter()
    for count in counts:
        if count is None:
            return 1
        done += count
    for name, number in sorted(done.items()):
        print(f"  {number:9,} {name}")
    took = time.monotonic() - began
    print(f"{done.total():,} of {inputs:,} inputs in {took:.0f} s (seed {seed}): nothing but what is meant")
    return 0


if __name__ == "__main__":
    sys.exit(main())
