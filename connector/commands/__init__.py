"""The command line's commands, a module each, and each imported only when it is asked for.

A command's module has `EXAMPLE` (a call, without the program's name), `arguments(parser)`, which declares what it
takes, and `run(options)`, which gives the exit code. Its docstring is what `--help` begins with.
"""

from __future__ import annotations

from collections.abc import Mapping

COMMANDS: Mapping[str, tuple[str, str]] = {
    "demo": ("connector.sandbox.demo", "run the real functions against local storage and a local Entra"),
    "new": ("connector.commands.new", "print a first feed file for a file, from its columns"),
    "import-psd1": ("connector.commands.import_psd1", "print CSV2SCIM's AttributeMapping.psd1 as a feed file"),
    "check": ("connector.commands.check", "say all that is wrong with a feed file, or with it and a file together"),
    "preview": ("connector.commands.preview", "print the bulk requests that a file would become"),
    "eval": ("connector.commands.eval", "show what an expression makes of a row, step by step"),
    "doctor": ("connector.commands.doctor", "prove a deployment, from settings to clock: exit code 1 if a check fails"),
    "tick": ("connector.commands.tick", "sweep, drain and settle once, with the settings of the environment"),
    "sandbox": ("connector.sandbox.command", "run a local Entra"),
}
"""Each command's module, and what it does in a line."""
