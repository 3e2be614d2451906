"""Plans a drop in a process of its own, and says what became of it and what it took: `python -m tests.kit.planned`."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from connector.sandbox.servers import PROJECT

FENCE = 2 << 30
"""Bytes of address space, beyond which the process has no memory."""

FEED = """\
endpoint: https://graph.microsoft.com/v1.0/servicePrincipals/1/synchronization/jobs/API2AAD.1/bulkUpload
mapping:
  externalId: "[a]"
  title: "[b]"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """`said` is why the drop was rejected, or what its rejected rows have most often; `peak` is in MiB."""

    said: str
    rows: dict[str, int]
    peak: int
    seconds: float


def planned(drop: Path, *, feed: str = FEED, max_rows: int = 1_000_000, timeout: float = 60) -> Planned:
    arguments = [sys.executable, "-m", "tests.kit.planned", str(drop), str(max_rows)]
    # A process begins with the peak of the one that it was forked from: a shell's is small.
    done = subprocess.run(
        ["/bin/sh", "-c", '"$@"; exit $?', "sh", *arguments],
        cwd=PROJECT,
        input=feed,
        text=True,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    return Planned(**json.loads(done.stdout))


def main() -> None:
    from collections import Counter
    from time import process_time

    from connector.mapping import load_feed
    from connector.planning.decide import DropRejected, decide
    from connector.vocabulary.run import PlannedRow

    resource.setrlimit(resource.RLIMIT_AS, (FENCE, FENCE))
    path = Path(sys.argv[1])
    feed = load_feed(sys.stdin.buffer.read(), name="feed.yaml", graph=None)
    rows: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    said = ""
    try:
        for item in decide(
            lambda: path.open("rb"),
            name="drop",
            landed=datetime(2026, 11, 24, tzinfo=UTC),
            feed=feed,
            max_rows=int(sys.argv[2]),
        ):
            if isinstance(item, PlannedRow):
                rows[item.decision.value] += 1
                faults.update(fault.message for fault in item.faults)
    except DropRejected as rejected:
        said = rejected.cause.faults[0].message
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "linux" else 1 << 20)
    said = said or next((message for message, _ in faults.most_common(1)), "")
    print(json.dumps({"said": said, "rows": rows, "peak": peak, "seconds": round(process_time(), 2)}))


if __name__ == "__main__":
    main()
