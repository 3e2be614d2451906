"""What a replacement text writes for a match, as .NET's Regex.Replace does ("Substitutions in regular expressions")."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from connector.mapping.dotnet.faults import PatternError

if TYPE_CHECKING:
    import regex

_SUBSTITUTION: Final = re.compile(r"\$(?:(?P<sign>[$&`'+_])|(?P<number>[0-9]+)|\{(?P<name>\w+)\})")


class Groups(Protocol):
    """What a replacement text refers to: `DotnetPattern`."""

    def group(self, reference: str) -> str | None: ...

    @property
    def last_group(self) -> str | None: ...


def substitution(template: str, pattern: Groups, *, strict: bool) -> Callable[[regex.Match[str]], str] | str:
    """What a replacement text with `$1`, `${name}`, `$$`, `$&` … writes for a match; plain text where it has none.

    A reference to a group that the pattern lacks is literal text, as in .NET; if `strict`, it raises PatternError.
    """
    parts: list[str | tuple[str, str]] = []
    end = 0
    for found in _SUBSTITUTION.finditer(template):
        parts.append(template[end : found.start()])
        parts.append(_substituted(found, pattern, strict=strict))
        end = found.end()
    parts.append(template[end:])
    if all(isinstance(part, str) for part in parts):
        return "".join(part for part in parts if isinstance(part, str))
    return lambda match: "".join([part if isinstance(part, str) else _expanded(part, match) for part in parts])


def _substituted(found: re.Match[str], pattern: Groups, *, strict: bool) -> str | tuple[str, str]:
    sign, reference = found["sign"], found["number"] or found["name"]
    if sign == "$":
        return "$"
    if sign == "+":
        last = pattern.last_group
        return ("sign", "&") if last is None else ("group", last)
    if sign is not None:
        return ("sign", sign)
    if reference.strip("0") == "":
        return ("sign", "&")
    name = pattern.group(reference)
    if name is not None:
        return ("group", name)
    if strict:
        raise PatternError(f"the pattern has no group '{reference}'", found.start())
    return found[0]


def _expanded(part: tuple[str, str], match: regex.Match[str]) -> str:
    kind, name = part
    if kind == "group":
        return match[name] or ""
    if name == "&":
        return match[0]
    if name == "`":
        return match.string[: match.start()]
    if name == "'":
        return match.string[match.end() :]
    return match.string
