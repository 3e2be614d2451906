"""The command line: `python -m connector COMMAND`. Each command imports what it needs, and no more."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from connector.errors import ConnectorError, Unusable
from connector.limits import duration

USAGE = 2


def command_line() -> argparse.ArgumentParser:
    """Every command with its flags and arguments."""
    parser = argparse.ArgumentParser(prog="python -m connector", description="HR files to Microsoft Entra ID.")
    parser.add_argument("-v", "--verbose", action="store_true", help="log what happens to stderr")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    commands.add_parser("tick", help="sweep, drain and settle once, with the settings of the environment")

    doctor = commands.add_parser(
        "doctor", help="prove a deployment, from settings to clock: exit code 1 if a check fails"
    )
    doctor.add_argument("--app", action="store_true", help="print only what the app found when it examined itself")
    doctor.add_argument(
        "--wait",
        type=duration,
        default=timedelta(),
        metavar="10m",
        help="how long to wait for the app to examine itself with the code at hand (not at all)",
    )

    preview = commands.add_parser("preview", help="print the bulk requests that a file would become")
    preview.add_argument("feed", type=Path, metavar="FEED.yaml")
    preview.add_argument("file", type=Path, metavar="FILE")
    preview.add_argument("--out", type=Path, metavar="DIR", help="write one file a request, and rejects.csv, there")

    check = commands.add_parser("check", help="say all that is wrong with a feed file, or with it and a file together")
    check.add_argument("feed", type=Path, metavar="FEED.yaml")
    check.add_argument("file", type=Path, nargs="?", metavar="FILE")

    evaluate = commands.add_parser("eval", help="show what an expression makes of a row, step by step")
    evaluate.add_argument("expression", metavar="EXPRESSION")
    evaluate.add_argument("values", nargs="*", metavar="Column=value")
    evaluate.add_argument("--row", metavar="FILE:N", help="a row of a file; rows count from 1")
    evaluate.add_argument("--feed", type=Path, metavar="FEED.yaml", help="how to read the file, and the lookup tables")
    evaluate.add_argument("--now", metavar="TIME", help="what Now() gives (the present)")

    new = commands.add_parser("new", help="print a first feed file for a file, from its columns")
    new.add_argument("file", type=Path, metavar="FILE")

    psd1 = commands.add_parser("import-psd1", help="print CSV2SCIM's AttributeMapping.psd1 as a feed file")
    psd1.add_argument("file", type=Path, metavar="FILE.psd1")

    sandbox = commands.add_parser("sandbox", help="run a local Entra", add_help=False)
    sandbox.add_argument("arguments", nargs=argparse.REMAINDER)

    demo = commands.add_parser("demo", help="run the real functions against local storage and a local Entra")
    demo.add_argument("file", type=Path, nargs="?", metavar="FILE", help="a drop of your own")
    demo.add_argument("--feed", type=Path, metavar="FEED.yaml", help="its feed file")
    demo.add_argument("--out", type=Path, default=Path(".demo"), metavar="DIR", help="where the reports go (.demo)")

    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 done, 1 failed and worth another try, 2 unusable input or settings; commands add their own."""
    options = command_line().parse_args(arguments)
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
    if options.command == "doctor":
        from connector.doctor import doctor
        from connector.pipeline import developer_identity

        return asyncio.run(doctor(credential=developer_identity, app_only=options.app, wait=options.wait))
    if options.command == "preview":
        from connector.preview import preview

        return preview(options.feed, options.file, options.out)
    if options.command == "check":
        from connector.check import check

        return check(options.feed, options.file)
    if options.command == "eval":
        from connector.evaluating import evaluate

        return evaluate(options.expression, options.values, row=options.row, feed=options.feed, now=options.now)
    if options.command == "new":
        from connector.new_feed import new_feed

        return new_feed(options.file)
    if options.command == "import-psd1":
        from connector.csv2scim import import_psd1

        return import_psd1(options.file)
    if options.command == "sandbox":
        from connector.sandbox.command import main as sandbox

        return sandbox(options.arguments)
    from connector.demo import demo

    return demo(options.file, options.feed, options.out)


async def _tick() -> int:
    from connector.pipeline import connected, developer_identity
    from connector.report import aside_lines, line
    from connector.settings import Monitoring, Settings
    from connector.telemetry import invocation

    async with (
        invocation("on_tick", Monitoring.of().connection_string),
        connected(Settings.of(), credential=developer_identity) as pipeline,
    ):
        for summary in await pipeline.on_tick():
            print(line(summary))
        for aside in pipeline.asides:
            print("\n".join(aside_lines(aside)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
