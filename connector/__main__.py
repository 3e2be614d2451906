"""The command line: `python -m connector COMMAND`. Each command imports what it needs, and no more."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from connector.errors import ConnectorError, Unusable

USAGE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 done, 1 failed and worth another try, 2 unusable input or settings; commands add their own."""
    parser = argparse.ArgumentParser(prog="python -m connector", description="HR files to Microsoft Entra ID.")
    parser.add_argument("-v", "--verbose", action="store_true", help="log what happens to stderr")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    commands.add_parser("tick", help="sweep, drain and settle once, with the settings of the environment")

    preview = commands.add_parser("preview", help="print the bulk requests that a file would become")
    preview.add_argument("feed", type=Path, metavar="FEED.yaml")
    preview.add_argument("file", type=Path, metavar="FILE")
    preview.add_argument("--out", type=Path, metavar="DIR", help="write one file a request, and rejects.csv, there")

    sandbox = commands.add_parser("sandbox", help="run a local Entra", add_help=False)
    sandbox.add_argument("arguments", nargs=argparse.REMAINDER)

    demo = commands.add_parser("demo", help="run the real functions against local storage and a local Entra")
    demo.add_argument("file", type=Path, nargs="?", metavar="FILE", help="a drop of your own")
    demo.add_argument("--feed", type=Path, metavar="FEED.yaml", help="its feed file")
    demo.add_argument("--out", type=Path, default=Path(".demo"), metavar="DIR", help="where the reports go (.demo)")

    options = parser.parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.ERROR,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        stream=sys.stderr,
    )
    # They log every URL, and a blob's name is HR's choice.
    for name in ("httpx", "azure", "azure.core.pipeline.policies.http_logging_policy", "azure.identity"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        return _run(options)
    except Unusable as error:
        print(error, file=sys.stderr)
        return USAGE
    except ConnectorError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _run(options: argparse.Namespace) -> int:
    if options.command == "tick":
        return asyncio.run(_tick())
    if options.command == "preview":
        from connector.preview import preview

        return preview(options.feed, options.file, options.out)
    if options.command == "sandbox":
        from connector.sandbox.command import main as sandbox

        return sandbox(options.arguments)
    from connector.demo import demo

    return demo(options.file, options.feed, options.out)


async def _tick() -> int:
    from connector.pipeline import connected, developer_identity
    from connector.report import line
    from connector.settings import Settings

    async with connected(Settings.of(), credential=developer_identity) as pipeline:
        for summary in await pipeline.on_tick():
            print(line(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
