"""Dates as .NET reads and writes them. No library on PyPI reads .NET's format strings, so they are compiled here.

Facts: "Custom date and time format strings" and "Standard date and time format strings" (.NET documentation), invariant
culture, and the behaviour of DateTime.ParseExact. The local time zone is UTC, as it is on Azure.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, Flag, auto
from functools import lru_cache
from typing import Final

MONTHS: Final = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
WEEKDAYS: Final = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
SHORT_MONTHS: Final = [name[:3] for name in MONTHS]
_SHORT_WEEKDAYS: Final = [name[:3] for name in WEEKDAYS]

STANDARD: Final = {
    "d": "MM/dd/yyyy",
    "D": "dddd, dd MMMM yyyy",
    "f": "dddd, dd MMMM yyyy HH:mm",
    "F": "dddd, dd MMMM yyyy HH:mm:ss",
    "g": "MM/dd/yyyy HH:mm",
    "G": "MM/dd/yyyy HH:mm:ss",
    "m": "MMMM dd",
    "M": "MMMM dd",
    "o": "yyyy-MM-dd'T'HH:mm:ss.fffffffK",
    "O": "yyyy-MM-dd'T'HH:mm:ss.fffffffK",
    "r": "ddd, dd MMM yyyy HH:mm:ss 'GMT'",
    "R": "ddd, dd MMM yyyy HH:mm:ss 'GMT'",
    "s": "yyyy-MM-dd'T'HH:mm:ss",
    "t": "HH:mm",
    "T": "HH:mm:ss",
    "u": "yyyy-MM-dd HH:mm:ss'Z'",
    "U": "dddd, dd MMMM yyyy HH:mm:ss",
    "y": "yyyy MMMM",
    "Y": "yyyy MMMM",
}
"""A format of one letter is .NET's name for a whole pattern (invariant culture)."""

_TWO_DIGIT_YEAR_MAX: Final = 2049
"""The last year that `yy` can mean (Windows, and .NET from version 8 on)."""


class FormatError(ValueError):
    """A format string that .NET would refuse; `offset` counts from 0 into it."""

    def __init__(self, message: str, offset: int) -> None:
        self.message = message
        self.offset = offset
        super().__init__(message)


class Zone(Enum):
    """.NET's DateTimeKind: what is known about the time zone of a date that was read."""

    UNSPECIFIED = auto()
    LOCAL = auto()
    UTC = auto()


class Styles(Flag):
    """.NET's DateTimeStyles, as FormatDateTime's second argument names them."""

    NONE = 0
    ALLOW_LEADING_WHITE = auto()
    ALLOW_TRAILING_WHITE = auto()
    ALLOW_INNER_WHITE = auto()
    NO_CURRENT_DATE_DEFAULT = auto()
    ADJUST_TO_UNIVERSAL = auto()
    ASSUME_LOCAL = auto()
    ASSUME_UNIVERSAL = auto()
    ROUNDTRIP_KIND = auto()


_STYLE_NAMES: Final = {
    "none": Styles.NONE,
    "allowleadingwhite": Styles.ALLOW_LEADING_WHITE,
    "allowtrailingwhite": Styles.ALLOW_TRAILING_WHITE,
    "allowinnerwhite": Styles.ALLOW_INNER_WHITE,
    "allowwhitespaces": Styles.ALLOW_LEADING_WHITE | Styles.ALLOW_TRAILING_WHITE | Styles.ALLOW_INNER_WHITE,
    "nocurrentdatedefault": Styles.NO_CURRENT_DATE_DEFAULT,
    "adjusttouniversal": Styles.ADJUST_TO_UNIVERSAL,
    "assumelocal": Styles.ASSUME_LOCAL,
    "assumeuniversal": Styles.ASSUME_UNIVERSAL,
    "roundtripkind": Styles.ROUNDTRIP_KIND,
}

DEFAULT_STYLES: Final = Styles.ROUNDTRIP_KIND | Styles.ALLOW_LEADING_WHITE | Styles.ALLOW_TRAILING_WHITE
"""What FormatDateTime takes when its styles are left empty (the reference page)."""


def date_styles(names: str) -> Styles:
    """The styles that `names` lists, with or without `DateTimeStyles.` before each. Raises FormatError."""
    styles = Styles.NONE
    for name in names.split(","):
        bare = name.strip().lower().removeprefix("datetimestyles.")
        if bare not in _STYLE_NAMES:
            raise FormatError(f"'{name.strip()}' is not one of .NET's DateTimeStyles", 0)
        styles |= _STYLE_NAMES[bare]
    assumptions = styles & (Styles.ASSUME_LOCAL | Styles.ASSUME_UNIVERSAL)
    if assumptions == Styles.ASSUME_LOCAL | Styles.ASSUME_UNIVERSAL:
        raise FormatError("AssumeLocal and AssumeUniversal exclude each other", 0)
    if Styles.ROUNDTRIP_KIND in styles and (assumptions or Styles.ADJUST_TO_UNIVERSAL in styles):
        raise FormatError("RoundtripKind excludes AssumeLocal, AssumeUniversal and AdjustToUniversal", 0)
    return styles


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A date and time to 100 ns: `wall` (no time zone; UTC wherever a zone was known), a tick of 0 to 9, the zone."""

    wall: datetime
    tick: int = 0
    zone: Zone = Zone.UNSPECIFIED


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    """A specifier (`symbol`, repeated `count` times) or, where `symbol` is empty, literal text."""

    symbol: str
    count: int = 1
    literal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DateFormat:
    """A compiled .NET format string, for reading and for writing. `parts` is what it holds of a date, not of a time."""

    text: str
    parts: frozenset[str]
    tokens: tuple[_Token, ...]
    pattern: re.Pattern[str]
    spaced_pattern: re.Pattern[str]

    def parse(self, source: str, styles: Styles = DEFAULT_STYLES) -> Moment | None:
        """The moment that `source` writes in exactly this format, or None."""
        if Styles.ALLOW_LEADING_WHITE in styles:
            source = source.lstrip()
        if Styles.ALLOW_TRAILING_WHITE in styles:
            source = source.rstrip()
        pattern = self.spaced_pattern if Styles.ALLOW_INNER_WHITE in styles else self.pattern
        found = pattern.fullmatch(source)
        return None if found is None else _moment(self, found, styles)

    def format(self, moment: Moment) -> str:
        """The moment as this format writes it."""
        written: list[str] = []
        for token in self.tokens:
            if not token.symbol:
                written.append(token.literal)
                continue
            piece = _WRITERS[token.symbol](moment, token.count)
            # .NET drops the full stop before an F that writes nothing.
            if token.symbol == "F" and not piece and written and written[-1].endswith("."):
                written[-1] = written[-1][:-1]
            written.append(piece)
        return "".join(written)


@lru_cache(maxsize=512)
def date_format(text: str) -> DateFormat:
    """Compiles a .NET format string. Raises FormatError where .NET would refuse it."""
    tokens = _tokens(_expanded(text))
    return DateFormat(
        text=text,
        parts=frozenset(part for token in tokens for part in _parts(token)),
        tokens=tokens,
        pattern=_pattern(tokens, between=""),
        spaced_pattern=_pattern(tokens, between=r"\s*+"),
    )


def conversion_fault(source: DateFormat, target: DateFormat) -> str | None:
    """Why a date read with `source` cannot be written with `target`, or None.

    .NET fills what `source` leaves out of a date with today's date: an answer that changes by the day is refused.
    """
    # Which weekday it is depends on the year.
    wanted = target.parts | ({"year"} if "weekday" in target.parts else set())
    missing = sorted(wanted - source.parts)
    if "year" in source.parts or not missing:
        return None
    return f"the output asks for the {missing[0]}, which the input format does not hold"


def _expanded(text: str) -> str:
    if not text:
        raise FormatError("the date format is empty", 0)
    if len(text) == 1:
        if text not in STANDARD:
            raise FormatError(f"a format of the single letter '{text}' does not exist in .NET; write %{text}", 0)
        return STANDARD[text]
    return text


def _tokens(text: str) -> tuple[_Token, ...]:
    tokens: list[_Token] = []
    at = 0
    while at < len(text):
        char = text[at]
        if char in "yMdghHmsfFtz":
            end = at
            while end < len(text) and text[end] == char:
                end += 1
            if char in "fF" and end - at > 7:
                raise FormatError("a fraction of a second has at most seven digits", at)
            tokens.append(_Token(symbol=char, count=end - at))
            at = end
        elif char in "KZ":
            tokens.append(_Token(symbol=char))
            at += 1
        elif char in "'\"":
            literal, at = _quoted(text, at)
            tokens.append(_Token(symbol="", literal=literal))
        elif char == "%":
            if text[at + 1 : at + 2] in ("", "%"):
                raise FormatError("% must stand before one format letter", at)
            at += 1
        elif char == "\\":
            if at + 1 == len(text):
                raise FormatError("nothing follows the backslash", at)
            tokens.append(_Token(symbol="", literal=text[at + 1]))
            at += 2
        else:
            tokens.append(_Token(symbol="", literal=char))
            at += 1
    return tuple(tokens)


def _quoted(text: str, start: int) -> tuple[str, int]:
    literal: list[str] = []
    at = start + 1
    while at < len(text):
        if text[at] == text[start]:
            return "".join(literal), at + 1
        if text[at] == "\\":
            at += 1
            if at == len(text):
                break
        literal.append(text[at])
        at += 1
    raise FormatError("the quoted text in the date format has no end", start)


def _parts(token: _Token) -> tuple[str, ...]:
    if token.symbol == "d":
        return ("day",) if token.count <= 2 else ("weekday",)
    return {"y": ("year",), "M": ("month",)}.get(token.symbol, ())


def _names(names: list[str]) -> str:
    return "(?i:" + "|".join(names) + ")"


# ParseExact never gives a digit back, so the patterns are possessive.
def _digits(count: int) -> str:
    return "[0-9]{1,2}+" if count == 1 else f"[0-9]{{{count}}}"


def _reader(token: _Token) -> str:
    symbol, count = token.symbol, token.count
    if symbol == "y":
        return _digits(count)
    if symbol == "M" and count > 2:
        return _names(SHORT_MONTHS if count == 3 else MONTHS)
    if symbol == "d" and count > 2:
        return _names(_SHORT_WEEKDAYS if count == 3 else WEEKDAYS)
    if symbol in "MdhHms":
        return _digits(min(count, 2))
    return {
        "f": f"[0-9]{{{count}}}",
        "F": f"[0-9]{{0,{count}}}+",
        "t": "[AP]" if count == 1 else "(?i:[AP]M)",
        "z": ("[+-][0-9]{1,2}+", "[+-][0-9]{2}", "[+-][0-9]{2}:?+[0-9]{2}")[min(count, 3) - 1],
        "K": "(?:Z|[+-][0-9]{2}:?+[0-9]{2})?+",
        "Z": "(?i:GMT|Z)",
        "g": r"(?i:A\.D\.|AD)",
    }[symbol]


def _pattern(tokens: tuple[_Token, ...], *, between: str) -> re.Pattern[str]:
    pieces: list[str] = []
    for index, token in enumerate(tokens):
        following = tokens[index + 1] if index + 1 < len(tokens) else None
        if token.symbol:
            pieces.append(f"({_reader(token)})")
            if token.symbol == "F" and index and tokens[index - 1].literal == ".":
                # The full stop before an F may be missing, and the F with it.
                pieces[-2:] = [f"(?:\\.{pieces[-1]})?+"]
        elif following is not None and following.symbol == "F" and token.literal == ".":
            pieces.append("")
        else:
            pieces.append(re.escape(token.literal))
    return re.compile(between + between.join(pieces) + between)


_FIELDS: Final = {"y": "year", "h": "hour", "H": "hour", "m": "minute", "s": "second"}


def _moment(form: DateFormat, found: re.Match[str], styles: Styles) -> Moment | None:
    # U alone says that the time is UTC's: r and u, which write GMT and Z, do not when they are read.
    fields = dict(zone_fields("Z")) if form.text == "U" else {}
    specifiers = [token for token in form.tokens if token.symbol]
    for token, piece in zip(specifiers, found.groups(), strict=True):
        for name, value in _fields(token, piece):
            # A part that is written twice must be the same both times.
            if fields.setdefault(name, value) != value:
                return None
    return _assembled(fields, styles)


def _fields(token: _Token, piece: str) -> list[tuple[str, int]]:
    """What the text of a specifier says; None, as "" does, where an F is missing with its full stop."""
    symbol, count = token.symbol, token.count
    if symbol in _FIELDS:
        value = int(piece)
        if symbol == "y" and count <= 2:
            value = _century(value)
        return [(_FIELDS[symbol], value), *([("twelve", 1)] if symbol == "h" else [])]
    if symbol == "M":
        if count <= 2:
            return [("month", int(piece))]
        return [("month", (SHORT_MONTHS if count == 3 else MONTHS).index(piece.title()) + 1)]
    if symbol == "d":
        if count <= 2:
            return [("day", int(piece))]
        return [("weekday", (_SHORT_WEEKDAYS if count == 3 else WEEKDAYS).index(piece.title()))]
    if symbol in "fF":
        return [("ticks", int(piece.ljust(7, "0")))] if piece else []
    if symbol == "t":
        return [("afternoon", int(piece[0] in "pP"))]
    if symbol in "zKZ" and piece:
        return zone_fields(piece)
    return []


def _century(value: int) -> int:
    century = _TWO_DIGIT_YEAR_MAX // 100 * 100
    return value + century if value <= _TWO_DIGIT_YEAR_MAX % 100 else value + century - 100


def zone_fields(piece: str) -> list[tuple[str, int]]:
    """What an offset such as `-07:00`, or a name of UTC, says: minutes east of UTC, among others."""
    if piece[0] not in "+-":
        return [("offset", 0), ("utc", 1)]
    digits = piece[1:].replace(":", "")
    hours, minutes = int(digits[:2]), int(digits[2:] or "0")
    return [("offset", (hours * 60 + minutes) * (-1 if piece[0] == "-" else 1)), ("offset_minutes", minutes)]


def is_no_offset(fields: dict[str, int]) -> bool:
    """Whether these fields say an offset that .NET refuses."""
    return fields.get("offset_minutes", 0) > 59 or abs(fields.get("offset", 0)) > 14 * 60


def _assembled(fields: dict[str, int], styles: Styles) -> Moment | None:
    hour = _hour(fields)
    if hour is None or is_no_offset(fields):
        return None
    ticks = fields.get("ticks", 0)
    try:
        wall = datetime(  # noqa: DTZ001  # .NET's DateTime has no zone either; `zone` says what is known of it
            # A leap year, so that 29 February can stand without its year.
            fields.get("year", 2000),
            fields.get("month", 1),
            fields.get("day", 1),
            hour,
            fields.get("minute", 0),
            fields.get("second", 0),
            ticks // 10,
        )
        if "weekday" in fields and "year" in fields and wall.weekday() != fields["weekday"]:
            return None
        wall -= timedelta(minutes=fields.get("offset", 0))
    except (ValueError, OverflowError):
        return None
    return Moment(wall=wall, tick=ticks % 10, zone=_kind(fields, styles))


def _kind(fields: dict[str, int], styles: Styles) -> Zone:
    if "offset" in fields:
        stays_utc = Styles.ADJUST_TO_UNIVERSAL in styles or ("utc" in fields and Styles.ROUNDTRIP_KIND in styles)
        return Zone.UTC if stays_utc else Zone.LOCAL
    if styles & (Styles.ASSUME_LOCAL | Styles.ASSUME_UNIVERSAL):
        return Zone.UTC if Styles.ADJUST_TO_UNIVERSAL in styles else Zone.LOCAL
    return Zone.UNSPECIFIED


def _hour(fields: dict[str, int]) -> int | None:
    hour, afternoon = fields.get("hour", 0), fields.get("afternoon")
    if "twelve" in fields:
        # hh without tt is a time before noon.
        return None if hour > 12 else hour % 12 + (12 if afternoon else 0)
    if afternoon is not None and (hour >= 12) != bool(afternoon):
        return None
    return hour


def _year(moment: Moment, count: int) -> str:
    year = moment.wall.year
    return str(year % 100).zfill(count) if count <= 2 else str(year).zfill(count)


def _month(moment: Moment, count: int) -> str:
    month = moment.wall.month
    return str(month).zfill(count) if count <= 2 else (SHORT_MONTHS if count == 3 else MONTHS)[month - 1]


def _day(moment: Moment, count: int) -> str:
    if count <= 2:
        return str(moment.wall.day).zfill(count)
    return (_SHORT_WEEKDAYS if count == 3 else WEEKDAYS)[moment.wall.weekday()]


def _fraction(moment: Moment, count: int) -> str:
    return f"{moment.wall.microsecond:06}{moment.tick}"[:count]


def _zone_text(_moment: Moment, count: int) -> str:
    return ("+0", "+00", "+00:00")[min(count, 3) - 1]


_ROUNDTRIP: Final = {Zone.UTC: "Z", Zone.LOCAL: "+00:00", Zone.UNSPECIFIED: ""}
_WRITERS: Final[dict[str, Callable[[Moment, int], str]]] = {
    "y": _year,
    "M": _month,
    "d": _day,
    "h": lambda moment, count: str((moment.wall.hour + 11) % 12 + 1).zfill(min(count, 2)),
    "H": lambda moment, count: str(moment.wall.hour).zfill(min(count, 2)),
    "m": lambda moment, count: str(moment.wall.minute).zfill(min(count, 2)),
    "s": lambda moment, count: str(moment.wall.second).zfill(min(count, 2)),
    "f": _fraction,
    "F": lambda moment, count: _fraction(moment, count).rstrip("0"),
    "t": lambda moment, count: ("AM", "PM")[moment.wall.hour >= 12][: min(count, 2)],
    "z": _zone_text,
    "K": lambda moment, _count: _ROUNDTRIP[moment.zone],
    "Z": lambda _moment, _count: "Z",
    "g": lambda _moment, _count: "A.D.",
}
