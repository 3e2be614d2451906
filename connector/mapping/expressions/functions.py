"""The functions of the expression language, as values go in and come out at run time.

Facts: the page "Reference for writing expressions for attribute mappings in Microsoft Entra ID". Each function takes
its arguments in the page's order, an empty one as None, and the `Site` of its call; each raises ValueFault for a value
that it cannot take. What decides *whether* an argument is evaluated (IIF, Switch, Coalesce, Lookup) is not here.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, TypeAlias

from connector.mapping.expressions import casing
from connector.mapping.expressions.date_functions import (
    c_date,
    date_add,
    date_diff,
    date_from_num,
    format_date_time,
    num_from_date,
)
from connector.mapping.expressions.diacritics import normalize_diacritics
from connector.mapping.expressions.values import (
    Cell,
    Site,
    Value,
    check_growth,
    condition,
    integer,
    number,
    present,
    text,
)

COMPARE_TYPES: Final = ("vbTextCompare", "vbBinaryCompare")
"""InStr's last argument."""


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
    first, second = text(source, 0, site=site), text(suffix, 1, site=site)
    check_growth(len(first) + len(second), first, second, index=0, site=site)
    return first + second


def join(separator: Value, *sources: Value, site: Site) -> str:
    """The sources that are not empty, lists taken apart, with the separator in between."""
    parts: list[str] = []
    for source in sources:
        if isinstance(source, str):
            if source:
                parts.append(source)
        elif isinstance(source, list):
            parts += [one for one in source if one]
    between = text(separator, 0, site=site)
    if parts:
        check_growth(sum(map(len, parts)) + len(between) * (len(parts) - 1), *parts, index=1, site=site)
    return between.join(parts)


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
    if wanted < 1:
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
    if source is None:
        return None
    written = base64.b64encode(_encoded(source, "utf-16-le", site)).decode("ascii")
    check_growth(len(written), index=0, site=site)
    return written


def to_utf8_hex(source: Value, *, site: Site) -> str | None:
    """Upper-case hexadecimal of the UTF-8 bytes."""
    if source is None:
        return None
    written = _encoded(source, "utf-8", site).hex().upper()
    check_growth(len(written), index=0, site=site)
    return written


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


def order_text(left_side: Value, right_side: Value, *, site: Site) -> int:
    """-1, 0 or 1: numbers by size where both sides write one, else text by code point."""
    first, second = present(left_side, 0, site=site), present(right_side, 1, site=site)
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


def _numeric(side: Value | float, index: int, site: Site) -> int | float | None:
    if isinstance(side, int | float):
        return side
    return number(text(side, index, site=site))


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
    return str(result) if isinstance(result, int) else result
