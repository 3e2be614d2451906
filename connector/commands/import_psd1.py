"""Prints CSV2SCIM's AttributeMapping.psd1 as a feed file, with what cannot be carried over as comments."""

from __future__ import annotations

import argparse
from pathlib import Path

from connector.commands.drafting.from_csv2scim import import_psd1

EXAMPLE = "import-psd1 AttributeMapping.psd1 > employees.yaml"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE.psd1")


def run(options: argparse.Namespace) -> int:
    return import_psd1(options.file)
