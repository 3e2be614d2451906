"""The functions of the expression language, as values go in and come out at run time.

Facts: the page "Reference for writing expressions for attribute mappings in Microsoft Entra ID". Each function takes
its arguments in the page's order, an empty one as None, and the `Site` of its call; each raises ValueFault for a value
that it cannot take. What decides *whether* an argument is evaluated (IIF, Switch, Coalesce, Lookup) is not here.
"""

from __future__ import annotations

import base64
import calendar
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, Literal, TypeAlias

import regex

from connector.mapping import casing
from connector.mapping.diacritics import normalize_diacritics
from connector.mapping.dotnet_dates import (
    DATE_SHAPES,
    DateFormat,
    FormatError,
    Moment,
    Styles,
    conversion_fault,
    date_format,
    date_styles,
    read_date,
    write_date,
)
from connector.mapping.dotnet_regex import DotnetPattern, TimedOut, substitution
from connector.mapping.values import Cell, Site, Value, condition, integer, number, text

INTERVALS: Final = ("yyyy", "m", "d", "ww", "h", "n", "s")
"""The intervals of DateAdd and DateDiff."""

COMPARE_TYPES: Final = ("vbTextCompare", "vbBinaryCompare")
"""InStr's last argument."""

_FILE_TIME_EPOCH: Final = datetime(1601, 1, 1)  # noqa: DTZ001  # wall time in UTC, as every moment here
_NEVER: Final = (_FILE_TIME_EPOCH, 0)
_SECONDS: Final = {"d": 86400, "ww": 7 * 86400, "h": 3600, "n": 60, "s": 1}


def is_empty(value: Value) -> bool:
    """Null, empty text or an empty list. A file cannot tell the first two apart, so IsNull and IsNullOrEmpty agree."""
    return not value


def _texts(source: Value) -> list[str]:
    if isinstance(source, list):
        return source
    return [source] if isinstance(source, str) and source else []


# Text


def append(source: Value, suffix: Value, *, site: Site) -> str:
    """Source and suffix together; null is empty."""
    return text(source, 0, site=site) + text(suffix, 1, site=site)


def join(separator: Value, *sources: Value, site: Site) -> str:
    """The sources that are not empty, lists taken apart, with the separator in between."""
    parts: list[str] = []
    for source in sources:
        if isinstance(source, str):
            if source:
                parts.append(source)
        elif isinstance(source, list):
            parts += [one for one in source if one]
    return text(separator, 0, site=site).join(parts)


def left(source: Value, count: Value, *, site: Site) -> str:
    """The first characters; all when the count is negative; empty for null."""
    whole, many = text(source, 0, site=site), integer(count, 1, site=site)
    return whole if many < 0 else whole[:many]


def mid(source: Value, start: Value, length: Value, *, site: Site) -> str | None:
    """`length` characters from `start`, which counts from 1."""
    first, many = integer(start, 1, site=site), integer(length, 2, site=site)
    if first < 1:
        raise site.fault(1, "must be 1 or more: the first character is number 1")
    if many < 0:
        raise site.fault(2, "must not be negative")
    if source is None:
        return None
    return text(source, 0, site=site)[first - 1 : first - 1 + many]


def word(source: Value, position: Value, delimiters: Value, *, site: Site) -> str:
    """The word with that number, from 1; delimiters is a set of characters, and several in a row separate once."""
    wanted = integer(position, 1, site=site)
    whole, set_of_delimiters = text(source, 0, site=site), text(delimiters, 2, site=site)
    if wanted < 1 or not whole:
        return ""
    words = _words(set_of_delimiters).split(whole) if set_of_delimiters else [whole]
    words = [one for one in words if one]
    return words[wanted - 1] if wanted <= len(words) else ""


@lru_cache(maxsize=64)
def _words(delimiters: str) -> re.Pattern[str]:
    return re.compile("[" + "".join(re.escape(char) for char in delimiters) + "]+")


def in_str(source: Value, find: Value, start: Value = None, compare: Value = None, *, site: Site) -> int:
    """Where `find` begins in the source, from 1; 0 when it does not occur."""
    first = integer(start, 2, site=site) if start is not None else 1
    if first < 1:
        raise site.fault(2, "must be 1 or more: the first character is number 1")
    whole, part = text(source, 0, site=site), text(find, 1, site=site)
    kind = text(compare, 3, site=site) or "vbBinaryCompare"
    if kind not in COMPARE_TYPES:
        raise site.fault(3, f"is not one of {', '.join(COMPARE_TYPES)}")
    if kind == "vbBinaryCompare":
        return whole.find(part, first - 1) + 1
    found = re.compile(re.escape(part), re.IGNORECASE).search(whole, first - 1) if first <= len(whole) + 1 else None
    return found.start() + 1 if found else 0


def to_lower(source: Value, culture: Value = None, *, site: Site) -> str | None:
    """Lower case by the culture's rules; invariant when it is empty."""
    return None if source is None else casing.to_lower(text(source, 0, site=site), text(culture, 1, site=site))


def to_upper(source: Value, culture: Value = None, *, site: Site) -> str | None:
    """Upper case by the culture's rules; invariant when it is empty."""
    return None if source is None else casing.to_upper(text(source, 0, site=site), text(culture, 1, site=site))


def pcase(source: Value, separators: Value = None, *, site: Site) -> str | None:
    """Proper case: by .NET's ToTitleCase, or with the given separators only."""
    if source is None:
        return None
    given = text(separators, 1, site=site)
    whole = text(source, 0, site=site)
    return casing.capitalized(whole, given) if given else casing.to_title(whole)


def strip_spaces(source: Value, *, site: Site) -> str | None:
    """Without any space character."""
    return None if source is None else text(source, 0, site=site).replace(" ", "")


def trim(source: Value, *, site: Site) -> str | None:
    """Without white space at either end."""
    return None if source is None else text(source, 0, site=site).strip()


def plain_letters(source: Value, *, site: Site) -> str | None:
    """NormalizeDiacritics."""
    return None if source is None else normalize_diacritics(text(source, 0, site=site))


def to_base64(source: Value, *, site: Site) -> str | None:
    """Base64 of the UTF-16LE bytes."""
    return None if source is None else base64.b64encode(_encoded(source, "utf-16-le", site)).decode("ascii")


def to_utf8_hex(source: Value, *, site: Site) -> str | None:
    """Upper-case hexadecimal of the UTF-8 bytes."""
    return None if source is None else _encoded(source, "utf-8", site).hex().upper()


def _encoded(source: Value, encoding: str, site: Site) -> bytes:
    try:
        return text(source, 0, site=site).encode(encoding)
    except UnicodeEncodeError:
        raise site.fault(0, "has half of a surrogate pair, which is not a character") from None


# Lists


def split(source: Value, delimiter: Value, *, site: Site) -> list[str] | None:
    """The parts between the delimiters, trimmed as the page's example shows; none of empty text."""
    between = text(delimiter, 1, site=site)
    if not between:
        raise site.fault(1, "is empty")
    if source is None:
        return None
    whole = text(source, 0, site=site)
    return [part.strip() for part in whole.split(between)] if whole else []


def item(source: Value, position: Value, *, site: Site) -> str | None:
    """The value with that number, from 1; null past the end. One text counts as a list of one."""
    wanted = integer(position, 1, site=site)
    if wanted < 1:
        raise site.fault(1, "must be 1 or more: the first item is number 1")
    values = _texts(source)
    return values[wanted - 1] if wanted <= len(values) else None


def count(source: Value, *, site: Site) -> int:
    """How many values there are: none for null or empty, one for a text."""
    del site
    return len(_texts(source))


def remove_duplicates(source: Value, *, site: Site) -> Cell:
    """The values without repetitions, in the order of their first appearance."""
    del site
    if isinstance(source, list):
        return list(dict.fromkeys(source))
    return source if isinstance(source, str) else None


# Truth and numbers


def is_string(source: Value, *, site: Site) -> bool:
    """Whether CStr would succeed: not null, not a list."""
    del site
    return isinstance(source, str)


def negate(source: Value, *, site: Site) -> bool:
    """False when the source is "True"; otherwise True, as the page says."""
    return text(source, 0, site=site).strip().lower() != "true"


def c_str(source: Value, *, site: Site) -> str | None:
    """The value as text."""
    return None if source is None else text(source, 0, site=site)


def bit_and(first: Value, second: Value, *, site: Site) -> int | None:
    """The bits that both numbers have; null when one is missing."""
    if not first or not second:
        return None
    return integer(first, 0, site=site) & integer(second, 1, site=site)


def redact(source: Value, *, site: Site) -> Value:
    """The value itself: the connector's own logs and reports never show values."""
    del site
    return source


def equal_text(left_side: Value, right_side: Value, *, site: Site) -> bool:
    """Same text, case and all; null equals empty."""
    return text(left_side, 0, site=site) == text(right_side, 1, site=site)


def equal_number(left_side: Value | float, right_side: Value | float, *, site: Site) -> bool:
    """Same number. What is not a number equals none."""
    first, second = _numeric(left_side, 0, site), _numeric(right_side, 1, site)
    return first is not None and first == second


def equal_date(left_side: Value, right_side: Value, *, site: Site) -> bool:
    """Same instant; two that are empty are equal."""
    return _instant(left_side, 0, site) == _instant(right_side, 1, site)


def order_text(left_side: Value, right_side: Value, *, site: Site) -> int:
    """-1, 0 or 1: numbers by size where both sides write one, else text by code point."""
    first, second = _present(left_side, 0, site), _present(right_side, 1, site)
    one, other = number(first), number(second)
    if one is not None and other is not None:
        return (one > other) - (one < other)
    return (first > second) - (first < second)


def order_number(left_side: Value | float, right_side: Value | float, *, site: Site) -> int:
    """-1, 0 or 1. Raises ValueFault when a side is not a number."""
    sides: list[int | float] = []
    for index, side in enumerate((left_side, right_side)):
        found = _numeric(side, index, site)
        if found is None:
            raise site.fault(index, "is not a number" if side else "is empty; a number is needed")
        sides.append(found)
    return (sides[0] > sides[1]) - (sides[0] < sides[1])


def order_date(left_side: Value, right_side: Value, *, site: Site) -> int:
    """-1, 0 or 1, by time. Raises ValueFault when a side is not a date."""
    first = _instant(_present(left_side, 0, site), 0, site) or _NEVER
    second = _instant(_present(right_side, 1, site), 1, site) or _NEVER
    return (first > second) - (first < second)


def _numeric(side: Value | float, index: int, site: Site) -> int | float | None:
    if isinstance(side, int | float):
        return side
    return number(text(side, index, site=site))


def _present(side: Value, index: int, site: Site) -> str:
    present = text(side, index, site=site)
    if not present:
        raise site.fault(index, "is empty and cannot be compared by size")
    return present


def _instant(side: Value, index: int, site: Site) -> tuple[datetime, int] | None:
    moment = date_argument(side, index, site=site)
    return None if moment is None else (moment.wall, moment.tick)


# Dates


def date_argument(source: Value, index: int, *, site: Site) -> Moment | None:
    """The date that an argument writes; None for null or empty."""
    written = text(source, index, site=site)
    moment = read_date(written)
    if moment is None:
        if not written or not written.strip():
            return None
        raise site.fault(index, f"is not a date in a form that is read without a format, such as {DATE_SHAPES}")
    return moment


def c_date(source: Value, *, site: Site) -> str | None:
    """The date in UTC, as `M/d/yyyy h:mm:ss tt`."""
    moment = date_argument(source, 0, site=site)
    return None if moment is None else write_date(moment.wall)


def date_add(interval: Value, amount: Value, source: Value, *, site: Site) -> str | None:
    """The date moved by whole intervals; years and months clip at the end of the month."""
    unit = _interval(interval, site)
    many = integer(amount, 1, site=site)
    moment = date_argument(source, 2, site=site)
    if moment is None:
        return None
    try:
        if unit in _SECONDS:
            return write_date(moment.wall + timedelta(seconds=many * _SECONDS[unit]))
        months = moment.wall.year * 12 + moment.wall.month - 1 + many * (12 if unit == "yyyy" else 1)
        year, month = divmod(months, 12)
        day = min(moment.wall.day, calendar.monthrange(year, month + 1)[1]) if 1 <= year <= 9999 else 1
        return write_date(moment.wall.replace(year=year, month=month + 1, day=day))
    except (OverflowError, ValueError):
        raise site.fault(1, "leads past the years 1 to 9999") from None


def date_diff(interval: Value, first: Value, second: Value, *, site: Site) -> int | None:
    """How many intervals from the first date to the second, as VB.NET counts them; null when one is missing."""
    difference = _difference(text(interval, 0, site=site), text(first, 1, site=site), text(second, 2, site=site))
    if difference is not None:
        return difference
    _interval(interval, site)
    for index, date in ((1, first), (2, second)):
        date_argument(date, index, site=site)
    return None


@lru_cache(maxsize=4096)
def _difference(unit: str, first: str, second: str) -> int | None:
    begin, end = read_date(first), read_date(second)
    if begin is None or end is None or unit not in INTERVALS:
        return None
    start, stop = begin.wall, end.wall
    if unit == "yyyy":
        return stop.year - start.year
    if unit == "m":
        return (stop.year - start.year) * 12 + stop.month - start.month
    if unit == "ww":
        # Sundays in between: day 7 of the proleptic calendar was a Sunday.
        return stop.toordinal() // 7 - start.toordinal() // 7
    ticks = (stop - start) // timedelta(microseconds=1) * 10 + end.tick - begin.tick
    whole = abs(ticks) // (_SECONDS[unit] * 10_000_000)
    return whole if ticks >= 0 else -whole


def _interval(interval: Value, site: Site) -> str:
    unit = text(interval, 0, site=site)
    if unit not in INTERVALS:
        raise site.fault(0, f"is not one of {', '.join(INTERVALS)}")
    return unit


def date_from_num(source: Value, *, site: Site) -> str | None:
    """The date of a Windows file time: 100 ns since 1601-01-01 UTC."""
    if not source:
        return None
    ticks = integer(source, 0, site=site)
    if ticks < 0:
        raise site.fault(0, "is negative; a file time counts from 1601-01-01")
    try:
        return write_date(_FILE_TIME_EPOCH + timedelta(microseconds=ticks // 10))
    except OverflowError:
        raise site.fault(0, "lies past the year 9999") from None


def num_from_date(source: Value, *, site: Site) -> int | None:
    """The Windows file time of a date: 100 ns since 1601-01-01 UTC."""
    moment = date_argument(source, 0, site=site)
    if moment is None:
        return None
    if moment.wall < _FILE_TIME_EPOCH:
        raise site.fault(0, "lies before 1601-01-01, where file times begin")
    return (moment.wall - _FILE_TIME_EPOCH) // timedelta(microseconds=1) * 10 + moment.tick


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DateConversion:
    """FormatDateTime with its formats compiled."""

    styles: Styles
    source: DateFormat
    target: DateFormat

    def convert(self, written: str, *, site: Site) -> str | None:
        """The date in the target format; None for empty text."""
        if not written or not written.strip():
            return None
        moment = self.source.parse(written, self.styles)
        if moment is None:
            raise site.fault(0, f"does not have the date format {self.source.text}")
        return self.target.format(moment)


def date_conversion(styles: str | None, source: str, target: str) -> DateConversion:
    """Compiles the formats. Raises FormatError, also where .NET would fill in today's date."""
    conversion = DateConversion(
        styles=date_styles(styles) if styles else date_styles("AllowLeadingWhite, AllowTrailingWhite, RoundtripKind"),
        source=date_format(source),
        target=date_format(target),
    )
    fault = conversion_fault(conversion.source, conversion.target)
    if fault is not None:
        raise FormatError(fault, 0)
    return conversion


def format_date_time(
    source: Value, styles: Value, source_format: Value, target_format: Value, *, site: Site
) -> str | None:
    """The date, read with one .NET format and written with another; null for null or empty."""
    written = text(source, 0, site=site)
    first, second = text(source_format, 2, site=site), text(target_format, 3, site=site)
    try:
        conversion = date_conversion(text(styles, 1, site=site), first, second)
    except FormatError as error:
        raise site.fault(2, f"or the output format cannot be used: {error.message}") from None
    return conversion.convert(written, site=site)


# Replace

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
            return into.replace(sought, whole) if sought else into
        if self.mode == "attribute":
            return whole or self._extracted(text(attribute, 5, site=site), site)
        if source is None:
            return None
        if self.mode == "value":
            sought = text(old, 1, site=site)
            return whole.replace(sought, text(value, 4, site=site)) if sought else whole
        return self._replaced(whole, text(value, 4, site=site), site)

    def _extracted(self, attribute: str, site: Site) -> str | None:
        if self.pattern is None or not attribute:
            return None
        try:
            found = self.pattern.search(attribute)
        except TimedOut:
            raise site.fault(5, "made the regular expression run too long") from None
        return None if found is None else found[self.group]

    def _replaced(self, whole: str, value: str, site: Site) -> str:
        if self.pattern is None:
            return whole
        by: Callable[[regex.Match[str]], str] | str
        if self.mode == "group":
            by = lambda match: _spliced(match, self.group, value)  # noqa: E731  # two kinds of replacement, one name
        else:
            by = substitution(value, self.pattern, strict=False) if self.constant is None else self.constant
        try:
            return self.pattern.replace(whole, by)
        except TimedOut:
            raise site.fault(0, "made the regular expression run too long") from None


def _spliced(match: regex.Match[str], group: str, value: str) -> str:
    """The match with every capture of the group replaced."""
    written: list[str] = []
    end = match.start()
    for begin, stop in sorted(match.spans(group)):
        if begin < end:
            continue
        written += (match.string[end:begin], value)
        end = stop
    written.append(match.string[end : match.end()])
    return "".join(written)


def now_text(now: datetime) -> str:
    """The landing time as CDate writes a date, in UTC."""
    return write_date(now)


def lookup_key(source: Value, *, site: Site) -> str:
    """What Switch and Lookup compare: the text itself; null is empty."""
    return text(source, 0, site=site)


StrictFunction: TypeAlias = Callable[..., Value | int | bool]

STRICT: Final[dict[str, StrictFunction]] = {
    "Append": append,
    "BitAnd": bit_and,
    "CBool": condition,
    "CDate": c_date,
    "CStr": c_str,
    "ConvertToBase64": to_base64,
    "ConvertToUTF8Hex": to_utf8_hex,
    "Count": count,
    "DateAdd": date_add,
    "DateDiff": date_diff,
    "DateFromNum": date_from_num,
    "FormatDateTime": format_date_time,
    "InStr": in_str,
    "IsString": is_string,
    "Item": item,
    "Join": join,
    "Left": left,
    "Mid": mid,
    "NormalizeDiacritics": plain_letters,
    "Not": negate,
    "NumFromDate": num_from_date,
    "PCase": pcase,
    "Redact": redact,
    "RemoveDuplicates": remove_duplicates,
    "Split": split,
    "StripSpaces": strip_spaces,
    "ToLower": to_lower,
    "ToUpper": to_upper,
    "Trim": trim,
    "Word": word,
}
"""The functions that need all their arguments; the value of each is text, null, a list, a number or a boolean."""


TRUTHS: Final = ("CBool", "IsString", "Not")
"""The functions above whose result is a boolean."""

NUMBERS: Final = ("BitAnd", "Count", "DateDiff", "InStr", "NumFromDate")
"""The functions above whose result is a number."""


def condition_site(columns: tuple[str, ...]) -> Site:
    """The site of a whole expression that is used as a condition."""
    return Site(function="the condition", arguments=("expression",), columns=(columns,))


def as_value(result: Value | int | bool) -> Value:
    """A function's result as it travels: booleans and numbers as text."""
    if isinstance(result, bool):
        return "True" if result else "False"
    if isinstance(result, int):
        return str(result)
    return result
