"""Runs the benchmarks that are named, or all."""

from __future__ import annotations

import importlib
import sys

ALL = ("cold_start", "converting", "memory", "sending", "ticks")


def main() -> None:
    for name in sys.argv[1:] or ALL:
        print(f"== {name.replace('_', ' ')}")
        for line in importlib.import_module(f"bench.{name}").run():
            print(line, flush=True)


if __name__ == "__main__":
    main()
