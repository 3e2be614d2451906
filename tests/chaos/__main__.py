"""`python -m tests.chaos --seeds 0:1000 [--feed FEED.yaml --drops DIR] [--only 0,3]`: exit code 1 when one fails."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

from tests.chaos.judge import Source, judged
from tests.chaos.schedule import Happening
from tests.chaos.shrink import shrunk


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when every seed's schedule kept all invariants, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Random fault schedules.")
    parser.add_argument("--seeds", default="0:1000", metavar="FIRST:END", help="a range, or one seed (0:1000)")
    parser.add_argument("--only", metavar="0,3,…", help="of one seed's schedule, these happenings alone")
    parser.add_argument("--feed", type=Path, metavar="FEED.yaml", help="a feed file of yours, with its own endpoint")
    parser.add_argument("--drops", type=Path, metavar="DIR", help="its drops, which land in the order of their names")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many at once (one a core)")
    parser.add_argument("--most", type=int, default=5, help="stop after so many failures (5)")
    options = parser.parse_args(arguments)
    if (options.feed is None) != (options.drops is None):
        parser.error("--feed and --drops go together")
    if options.drops is not None and not (options.feed.is_file() and options.drops.is_dir()):
        parser.error("--feed wants a feed file and --drops a folder")
    first, _, end = options.seeds.partition(":")
    seeds = range(int(first), int(end) if end else int(first) + 1)
    source = Source(options.feed, options.drops)
    if options.only is not None:
        kept = [int(number) for number in options.only.split(",") if number]
        return _report_one(source, seeds[0], kept)
    began, done, failures = time.monotonic(), 0, 0
    with get_context("spawn").Pool(options.jobs) as pool:
        for done, (seed, found) in enumerate(pool.imap_unordered(source.judged, seeds), 1):
            if found:
                failures += 1
                _explain(source, seed, found)
            if sys.stderr.isatty() or done % 100 == 0:
                print(f"{done} of {len(seeds)} schedules, {failures} failed", file=sys.stderr, flush=True)
            if failures >= options.most:
                break
        pool.terminate()
    print(f"{done} schedules in {time.monotonic() - began:.0f} s: {failures or 'none'} failed")
    return 1 if failures else 0


def _explain(source: Source, seed: int, found: list[str]) -> None:
    schedule = source.schedule(seed)
    numbered = list(enumerate(schedule.happenings))

    def fails(part: Sequence[tuple[int, Happening]]) -> bool:
        return bool(judged(replace(schedule, happenings=tuple(happening for _, happening in part))))

    print(f"seed {seed} failed:")
    _print(found)
    # A failure that does not come again is worse than one that does: it is said, and not shrunk.
    if not fails(numbered):
        print("  ... but not when it was run once more: the schedule is not deterministic")
        return
    shortest = shrunk(numbered, fails)
    print(f"  the shortest schedule that still fails ({len(shortest)} of {len(numbered)} happenings):")
    for number, happening in shortest:
        print(f"    {number}: {happening}")
    kept = ",".join(str(number) for number, _ in shortest)
    print(f"  replay: python -m tests.chaos --seeds {seed} --only '{kept}'{source.arguments}", flush=True)


def _report_one(source: Source, seed: int, kept: list[int]) -> int:
    schedule = source.schedule(seed)
    part = [schedule.happenings[number] for number in kept]
    for number, happening in zip(kept, part, strict=True):
        print(f"{number}: {happening}")
    found = judged(replace(schedule, happenings=tuple(part)))
    _print(found)
    return 1 if found else 0


def _print(found: list[str]) -> None:
    for line in found[:8]:
        print(f"  {line}")
    if len(found) > 8:
        print(f"  ... and {len(found) - 8} more")


if __name__ == "__main__":
    sys.exit(main())
