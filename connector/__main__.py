"""The command line: `python -m connector COMMAND`. The command that is asked for is imported, and no other."""

from __future__ import annotations

import argparse
import gc
import logging
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import NoReturn

from connector.commands import COMMANDS
from connector.commands.printing import complain, visible
from connector.vocabulary.errors import ConnectorError, Fault, Unusable

USAGE = 2


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # An argument may be a file's name, as the shell found it.
        super().error(visible(message))


def parser(chosen: str | None) -> argparse.ArgumentParser:
    """Of the whole command line; only the chosen command's own arguments are known to it."""
    whole = _Parser(prog="python -m connector", description="HR files to Microsoft Entra ID.")
    whole.add_argument("-v", "--verbose", action="store_true", help="log what happens to stderr")
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, about) in COMMANDS.items():
        if name != chosen:
            commands.add_parser(name, help=about)
            continue
        command = _imported(name, module)
        command.arguments(
            commands.add_parser(
                name,
                help=about,
                description=command.__doc__,
                epilog=f"example:\n  python -m connector {command.EXAMPLE}",
                formatter_class=argparse.RawDescriptionHelpFormatter,
            )
        )
    return whole


def _imported(name: str, module: str) -> ModuleType:
    # Imports leave no garbage, and looking for it would take a twentieth of a short command's time.
    gc.disable()
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        missing = str(error.name)
        beside = module.startswith("connector.sandbox.")
        if missing.startswith("connector"):
            fault = Fault(message="is not part of what is deployed", advice="run it in a checkout of the repository")
        elif beside:
            fault = Fault(
                message=f"needs the package {missing}, which what is deployed does not",
                advice=f"`make setup` installs it, then `.venv/bin/python -m connector {name}`",
            )
        else:
            fault = Fault(message=f"needs the package {missing}", advice="pip install -r requirements.txt")
        raise Unusable(name, [fault]) from None
    finally:
        gc.enable()


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 done, 1 failed and worth another try, 2 unusable input or settings; commands add their own."""
    given = sys.argv[1:] if arguments is None else arguments
    # The first word that is no flag: the flags before it take no value.
    chosen = next((word for word in given if not word.startswith("-")), None)
    try:
        options = parser(chosen).parse_args(given)
    except Unusable as error:
        complain(error)
        return USAGE
    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.ERROR,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        stream=sys.stderr,
    )
    # They log every URL, and a blob's name is HR's choice.
    for name in ("httpx", "azure", "azure.core.pipeline.policies.http_logging_policy", "azure.identity"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        code: int = import_module(COMMANDS[options.command][0]).run(options)
        return code
    except Unusable as error:
        complain(error)
        return USAGE
    except ConnectorError as error:
        complain(error)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
