"""What commands print: text that comes out of files moves no cursor, turns no direction and rings no bell."""

from __future__ import annotations

import re
import sys
from typing import Final, TextIO

from connector.vocabulary.errors import ConnectorError, Unusable

_SHORT: Final = {"\n": "\\n", "\r": "\\r"}
# `isprintable` of one character at a time is for the few texts that need it.
_CONTROL: Final = re.compile(r"[^\t -~]")


def visible(text: str) -> str:
    """The text on one line: what a terminal would obey, or show as nothing, as JSON writes it (`\\u001b`).

    These are control characters (ESC, the C1 set), line and paragraph separators, marks that turn the direction of
    writing, invisible ones, and halves of surrogate pairs. A tab stays.
    """
    return text if text.isprintable() else _CONTROL.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    char = found[0]
    if char.isprintable():
        return char
    if char in _SHORT:
        return _SHORT[char]
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def say(*lines: str, to: TextIO | None = None, flush: bool = False) -> None:
    """Each line to stdout, or to `to`; what that cannot encode (a pipe on Windows is no UTF-8) is escaped as well."""
    stream = to or sys.stdout
    encoding = stream.encoding or "utf-8"
    for line in lines:
        print(visible(line).encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=flush)


def complain(error: ConnectorError) -> None:
    """What an error says, to stderr: of a file that cannot be used each fault on a line."""
    if isinstance(error, Unusable):
        say(*(f"{error.name}: {fault}" for fault in error.faults), to=sys.stderr)
    else:
        say(*str(error).splitlines(), to=sys.stderr)
