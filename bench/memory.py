"""Memory: how much more a long drop takes than a short one, each in a process of its own, to the end of planning.

XLSX and XML are smaller: what matters is whether the need grows.
"""

from __future__ import annotations

import gzip
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

import openpyxl

from bench.people import COLUMNS, FEED, drop, rows

FEW: Final = 10_000
SIZES: Final = {"csv": 1_000_000, "csv.gz": 1_000_000, "xml": 300_000, "xlsx": 100_000}


def write(path: Path, kind: str, count: int) -> None:
    """A drop of so many rows."""
    match kind:
        case "csv":
            with path.open("wb") as file:
                file.writelines(drop(count))
        case "csv.gz":
            with gzip.open(path, "wb", compresslevel=1) as file:
                file.writelines(drop(count))
        case "xml":
            with path.open("w", encoding="utf-8") as file:
                file.writelines(chain(["<people>"], map(_element, rows(count)), ["</people>"]))
        case _:
            book = openpyxl.Workbook(write_only=True)
            sheet = book.create_sheet("People")
            for row in chain([list(COLUMNS)], rows(count)):
                sheet.append(row)
            book.save(path)


def _element(row: list[str]) -> str:
    cells = (f"<{name}>{escape(cell)}</{name}>" for name, cell in zip(COLUMNS, row, strict=True))
    return f"<person>{''.join(cells)}</person>"


def convert(path: Path) -> int:
    """Plan a drop; the peak of the process's resident memory, in KiB.

    Of Linux's two, `VmHWM` in proc(5): getrusage's `ru_maxrss` keeps what the parent had before exec.
    """
    from connector.mapping import load_feed
    from connector.planning.decide import decide

    feed = load_feed(FEED, name="bench.yaml")
    for _ in decide(lambda: path.open("rb"), name=path.name, landed=datetime(2026, 11, 24, tzinfo=UTC), feed=feed):
        pass
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0])


def measured(path: Path) -> float:
    """The peak of a fresh process that plans the drop, in MiB."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.memory", str(path)], check=True, capture_output=True, text=True, timeout=900
    )
    return int(done.stdout) / 1024


def run() -> Iterator[str]:
    """The figures, one line each."""
    with tempfile.TemporaryDirectory() as folder:
        for kind, many in SIZES.items():
            peaks: dict[int, float] = {}
            for count in (FEW, many):
                path = Path(folder, f"drop.{kind}")
                write(path, kind, count)
                peaks[count] = measured(path)
                path.unlink()
            grown = peaks[many] - peaks[FEW]
            few, more = (f"{count:9,} rows {peak:5.1f} MiB" for count, peak in peaks.items())
            yield f"  {kind:7} {few}, {more}: {grown:+5.1f} MiB"
    yield "  (goal: within 20 MiB)"


if __name__ == "__main__":
    print(convert(Path(sys.argv[1])))
