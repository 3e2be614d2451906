"""NormalizeDiacritics: the fixed table of the page "Reference for writing expressions", composed and decomposed.

A letter that is not in the table stays as it is. One is added: œ, which the page lists with a macron only.
"""

from __future__ import annotations

import re
from typing import Final
from unicodedata import normalize

_LOWER: Final = {
    "a": "ä à â ã å á ą ă ā ā́ ā̀ ā̂ ā̃ ǟ ā̈ ǡ a̱ å̄",
    "ae": "æ ǣ",
    "c": "ç č ć c̄ c̱",
    "d": "ď d̄ ḏ",
    "e": "ë è é ê ę ě ė ē ḗ ḕ ē̂ ē̃ ê̄ e̱ ë̄ e̊̄",
    "g": "ğ ḡ g̱",
    "i": "ï î ì í ı ī ī́ ī̀ ī̂ ī̃ i̱",
    "l": "ľ ł l̄ ḹ ḻ",
    "n": "ñ ń ň n̄ ṉ",
    "o": "ö ò ő õ ô ó ō ṓ ṑ ō̂ ō̃ ȫ ō̈ ǭ ȭ ȱ o̱",
    "oe": "ø ø̄ œ œ̄",
    "r": "ř r̄ ṟ ṝ",
    "ss": "ß",
    "s": "š ś ș ş s̄ s̱",
    "t": "ť ț t̄ ṯ",
    "u": "ü ù û ú ů ű ū ū́ ū̀ ū̂ ū̃ u̇̄ ǖ ṻ ṳ̄ u̱",
    "y": "ÿ ý ȳ ȳ́ ȳ̀ ȳ̃ y̱",
    "z": "ź ž ż z̄ ẕ",
}


def _table() -> dict[str, str]:
    table: dict[str, str] = {}
    for plain, letters in _LOWER.items():
        for letter in letters.split():
            table[normalize("NFD", letter)] = plain
            # ß and ı have no capital on the page; Python's would be SS and I.
            if letter not in "ßı":
                table[normalize("NFD", letter.upper())] = plain.upper()
    table[normalize("NFD", "İ")] = "I"
    return table


_TABLE: Final = _table()
_SINGLE: Final = {ord(composed): plain for key, plain in _TABLE.items() if len(composed := normalize("NFC", key)) == 1}
_CLUSTER: Final = re.compile("[^\\u0300-\\u036f][\\u0300-\\u036f]+|[^\\x00-\\x7f]")


def normalize_diacritics(source: str) -> str:
    """The source with each letter of the table replaced by its plain form."""
    if source.isascii():
        return source
    plain = source.translate(_SINGLE)
    if plain.isascii():
        return plain
    # A combining mark is left over: letters have to be looked up together with their marks.
    return _CLUSTER.sub(_plain, source)


def _plain(found: re.Match[str]) -> str:
    return _TABLE.get(normalize("NFD", found[0]), found[0])
