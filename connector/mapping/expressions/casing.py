"""Upper, lower and title case as .NET's TextInfo gives them: one character for one, unlike Python's.

Facts: .NET documentation of TextInfo.ToTitleCase, String.ToLowerInvariant, and the case mappings of UnicodeData.txt.
"""

from __future__ import annotations

import re
from unicodedata import category

_CULTURE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*", re.ASCII)
_SEPARATORS = frozenset(
    ["Zs", "Zl", "Zp", "Cc", "Cf", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So"]
)
_DOTTED, _DOTLESS = "İ", "ı"


def is_culture(name: str) -> bool:
    """Whether `name` has the form of a culture name (RFC 4646: `en`, `tr-TR`); empty is the invariant culture."""
    return not name or _CULTURE.fullmatch(name) is not None


def _is_turkic(culture: str) -> bool:
    parts = culture.lower().split("-")
    return parts[0] == "tr" or (parts[0] == "az" and "cyrl" not in parts)


def to_lower(source: str, culture: str = "") -> str:
    """Lower case by the rules of `culture`; empty is the invariant culture, where İ stays as it is."""
    if culture and _is_turkic(culture):
        source = source.replace("I", _DOTLESS).replace(_DOTTED, "i")
    elif culture:
        source = source.replace(_DOTTED, "i")
    if source.isascii():
        return source.lower()
    # Character by character: Python's lower() looks at a sigma's neighbours and makes two characters of İ.
    return "".join([char if char == _DOTTED else char.lower() for char in source])


def to_upper(source: str, culture: str = "") -> str:
    """Upper case by the rules of `culture`; empty is the invariant culture, where ı stays as it is."""
    if culture and _is_turkic(culture):
        source = source.replace("i", _DOTTED).replace(_DOTLESS, "I")
    elif culture:
        source = source.replace(_DOTLESS, "I")
    if source.isascii():
        return source.upper()
    return "".join([_upper(char) for char in source])


def _upper(char: str) -> str:
    raised = char.upper()
    return char if len(raised) != 1 or char == _DOTLESS else raised


def _title(char: str) -> str:
    raised = char.title()
    return char if len(raised) != 1 or char == _DOTLESS else raised


def to_title(source: str) -> str:
    """ToTitleCase of the lowered source: a word begins at a letter and ends at a separator; an apostrophe is none.

    ToTitleCase itself leaves a word in capitals alone; PCase's page shows that it lowers the source first.
    """
    written: list[str] = []
    inside = False
    for char in to_lower(source):
        kind = category(char)
        if inside:
            written.append(char)
            inside = char == "'" or kind not in _SEPARATORS
        elif kind[0] == "L":
            written.append(_title(char))
            inside = True
        else:
            written.append(char)
    return "".join(written)


def capitalized(source: str, separators: str) -> str:
    """The first character of each word in upper case, the rest in lower case; only `separators` end a word."""
    written: list[str] = []
    starts = True
    for char in to_lower(source):
        written.append(_upper(char) if starts else char)
        starts = char in separators
    return "".join(written)
