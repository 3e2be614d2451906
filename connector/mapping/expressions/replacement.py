"""Replace, in its five modes.

Facts: the page "Reference for writing expressions for attribute mappings in Microsoft Entra ID", Replace.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from connector.mapping.dotnet.faults import TimedOut, TooLong
from connector.mapping.expressions.values import LONGEST, OutOfTime, Site, Value, check_growth, text

if TYPE_CHECKING:
    import regex

    from connector.mapping.dotnet.pattern import DotnetPattern

ReplaceMode: TypeAlias = Literal["value", "template", "pattern", "group", "attribute"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Replacement:
    """One of Replace's five modes, with its pattern and constant replacement compiled."""

    mode: ReplaceMode
    pattern: DotnetPattern | None = None
    group: str = ""
    constant: Callable[[regex.Match[str]], str] | str | None = None

    def apply(
        self,
        source: Value,
        old: Value = None,
        pattern: Value = None,
        group: Value = None,
        value: Value = None,
        attribute: Value = None,
        template: Value = None,
        *,
        site: Site,
    ) -> str | None:
        """Replace of these arguments; `pattern` and `group` are in the plan already."""
        del pattern, group
        whole = text(source, 0, site=site)
        if self.mode == "template":
            sought = text(old, 1, site=site)
            into = text(template, 6, site=site)
            return _replaced_text(into, sought, whole, site=site) if sought else into
        if self.pattern is None:
            if source is None:
                return None
            sought = text(old, 1, site=site)
            return _replaced_text(whole, sought, text(value, 4, site=site), site=site) if sought else whole
        if self.mode == "attribute":
            return whole or self._extracted(self.pattern, text(attribute, 5, site=site), site)
        return None if source is None else self._replaced(self.pattern, whole, text(value, 4, site=site), site)

    def _extracted(self, pattern: DotnetPattern, attribute: str, site: Site) -> str | None:
        if not attribute:
            return None
        try:
            found = pattern.search(attribute)
        except TimedOut as late:
            raise _out_of_time(pattern, 5, late, site=site) from None
        return None if found is None else found[self.group]

    def _replaced(self, pattern: DotnetPattern, whole: str, value: str, site: Site) -> str:
        by: Callable[[regex.Match[str]], str] | str
        if self.mode == "group":
            by = lambda match: _spliced(match, self.group, value)  # noqa: E731  # two kinds of replacement, one name
        else:
            by = pattern.substitution(value, strict=False) if self.constant is None else self.constant
        try:
            return pattern.replace(whole, by, longest=LONGEST)
        except TimedOut as late:
            raise _out_of_time(pattern, 0, late, site=site) from None
        except TooLong:
            raise site.fault(0, f"becomes longer than {LONGEST:,} characters") from None


def _out_of_time(pattern: DotnetPattern, index: int, late: TimedOut, *, site: Site) -> OutOfTime:
    return OutOfTime(site.fault(index, "made the regular expression run too long"), pattern.text, late.seconds)


def _replaced_text(whole: str, sought: str, by: str, *, site: Site) -> str:
    if len(by) > len(sought):
        size = len(whole) + whole.count(sought) * (len(by) - len(sought))
        check_growth(size, whole, by, index=0, site=site)
    return whole.replace(sought, by)


def _spliced(match: regex.Match[str], group: str, value: str) -> str:
    """The match with every capture of the group replaced."""
    written = ""
    end = match.start()
    for begin, stop in sorted(match.spans(group)):
        # What looks behind or ahead captures outside the match, and a repeated one may overlap itself.
        if begin < end or stop > match.end():
            continue
        written += match.string[end:begin] + value
        end = stop
    return written + match.string[end : match.end()]
