"""Prints the bulk requests that a file would become, without storage or network."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from connector.commands.local_files import feed_of, landed_at
from connector.commands.output_folder import output_folder
from connector.commands.printing import say, visible
from connector.outside.keys import no_secrets
from connector.planning.decide import DropRejected, Notes, decide, plaintext
from connector.reporting.csv_files import rejects_csv
from connector.vocabulary.bulk_request import BulkRequest
from connector.vocabulary.run import Decision, PlannedRow

SOME_REJECTED = 3


EXAMPLE = "preview employees.yaml people.csv"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("feed", type=Path, metavar="FEED.yaml")
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write one file a request, and rejects.csv, there")


def run(options: argparse.Namespace) -> int:
    return preview(options.feed, options.file, options.out)


def preview(feed_path: Path, file_path: Path, out: Path | None) -> int:
    """Bodies to stdout as JSON Lines, or one file each to `out`; counts and rejected rows to stderr.

    Those on stdout have as JSON's escapes what a terminal would obey; those in files are what is sent, byte for byte.

    Gives 0 when every row maps, 3 when some are rejected. Raises Unusable.
    """
    feed = feed_of(feed_path)
    landed = landed_at(file_path)
    counts: Counter[Decision] = Counter()
    unsent: list[PlannedRow] = []
    requests = 0
    notes: tuple[str, ...] = ()
    with ExitStack() as files:
        folder = files.enter_context(output_folder(out, reading=file_path)) if out is not None else None

        def opened() -> BinaryIO:
            return files.enter_context(file_path.open("rb"))

        try:
            source = plaintext(opened, name=str(file_path), feed=feed, secrets=no_secrets())
            for item in decide(source, name=str(file_path), landed=landed, feed=feed):
                if isinstance(item, BulkRequest):
                    requests += 1
                    if folder is None:
                        sys.stdout.buffer.write(visible(item.body.decode()).encode() + b"\n")
                    else:
                        folder.write(f"{item.number:06d}.json", item.body)
                elif isinstance(item, Notes):
                    notes = item.texts
                else:
                    counts[item.decision] += 1
                    if item.decision in {Decision.REJECTED, Decision.DUPLICATE}:
                        unsent.append(item)
            sys.stdout.flush()
        except DropRejected as error:
            raise error.cause from None
        if folder is not None:
            folder.write("rejects.csv", "".join(rejects_csv(unsent)).encode())
    _tell(counts, unsent, notes, requests)
    return SOME_REJECTED if counts[Decision.REJECTED] else 0


def _tell(counts: Counter[Decision], unsent: list[PlannedRow], notes: tuple[str, ...], requests: int) -> None:
    parts = ", ".join(f"{counts[decision]} {decision.value}" for decision in Decision if counts[decision])
    say(f"{counts.total()} rows: {parts or 'none'}; {requests} bulk requests", to=sys.stderr)
    say(*(f"note: {note}" for note in notes), to=sys.stderr)
    for row in unsent:
        who = f"row {row.row}" + (f" (externalId {row.external_id})" if row.external_id else "")
        say(*(f"{who}: {fault}" for fault in row.faults), to=sys.stderr)
        if row.reason:
            say(f"{who}: {row.decision.value}: {row.reason}", to=sys.stderr)
