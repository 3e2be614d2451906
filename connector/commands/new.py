"""Prints a first feed file for a file, from its columns and some of its rows: a draft, to be read before it is used."""

from __future__ import annotations

import argparse
from pathlib import Path

from connector.commands.drafting.from_columns import new_feed

EXAMPLE = "new people.csv > employees.yaml"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE")


def run(options: argparse.Namespace) -> int:
    return new_feed(options.file)
