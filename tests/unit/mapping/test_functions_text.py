"""Case and diacritics."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.mapping.expressions.casing import to_lower, to_title, to_upper
from connector.mapping.expressions.diacritics import normalize_diacritics

from .evaluated import value


@pytest.mark.parametrize(
    ("culture", "lower", "upper"),
    [
        ("", "iİß σ", "Iıß Σ"),
        ("en-US", "iiß σ", "IIß Σ"),
        ("tr-TR", "ıiß σ", "İIß Σ"),
        ("az-Latn-AZ", "ıiß σ", "İIß Σ"),
        ("az-Cyrl-AZ", "iiß σ", "IIß Σ"),
    ],
)
def test_case_follows_the_culture_at_i(culture: str, lower: str, upper: str) -> None:
    assert (to_lower("Iİß Σ", culture), to_upper("iıß σ", culture)) == (lower, upper)
    assert (value(f'ToLower([a], "{culture}")', a="Iİß Σ"), value(f'ToUpper([a], "{culture}")', a="iıß σ")) == (
        lower,
        upper,
    )


def test_without_a_culture_case_is_invariant() -> None:
    assert (value("ToLower([a])", a="ÀBC İI"), value("ToUpper([a])", a="àbc ıi ß")) == ("àbc İi", "ÀBC ıI ß")


@given(st.text())
def test_a_change_of_case_keeps_the_length(source: str) -> None:
    assert len(to_lower(source)) == len(to_upper(source)) == len(to_title(source)) == len(source)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("PABLO", "Pablo"),
        ("o'brien", "O'brien"),
        ("o’brien", "O’Brien"),
        ("jean-luc VAN DER BERG", "Jean-Luc Van Der Berg"),
        ("3rd a1b", "3Rd A1b"),
        ("under_score/slash", "Under_Score/Slash"),
        ("ǆungla", "ǅungla"),
        ("", ""),
    ],
)
def test_pcase_without_separators_is_totitlecase(source: str, expected: str) -> None:
    assert value("PCase([a])", a=source) == expected


@pytest.mark.parametrize(
    ("separators", "expected"),
    [("-", "Anne-Marie o'neil"), ("'", "Anne-marie o'Neil"), (" ", "Anne-marie O'neil"), ("", "Anne-Marie O'neil")],
)
def test_pcase_with_separators_knows_only_those(separators: str, expected: str) -> None:
    assert value("PCase([a], [s])", a="ANNE-MARIE O'NEIL", s=separators) == expected


TABLE = [
    ("ä à â ã å á ą ă ā ā́ ā̀ ā̂ ā̃ ǟ ā̈ ǡ a̱ å̄", "a"), ("æ ǣ", "ae"), ("ç č ć c̄ c̱", "c"), ("ď d̄ ḏ", "d"),
    ("ë è é ê ę ě ė ē ḗ ḕ ē̂ ē̃ ê̄ e̱ ë̄ e̊̄", "e"), ("ğ ḡ g̱", "g"), ("ï î ì í ī ī́ ī̀ ī̂ ī̃ i̱", "i"), ("ľ ł l̄ ḹ ḻ", "l"),
    ("ñ ń ň n̄ ṉ", "n"), ("ö ò ő õ ô ó ō ṓ ṑ ō̂ ō̃ ȫ ō̈ ǭ ȭ ȱ o̱", "o"), ("ø ø̄ œ̄ œ", "oe"), ("ř r̄ ṟ ṝ", "r"),
    ("š ś ș ş s̄ s̱", "s"), ("ť ț t̄ ṯ", "t"), ("ü ù û ú ů ű ū ū́ ū̀ ū̂ ū̃ u̇̄ ǖ ṻ ṳ̄ u̱", "u"), ("ÿ ý ȳ ȳ́ ȳ̀ ȳ̃ y̱", "y"),
    ("ź ž ż z̄ ẕ", "z"),
]  # fmt: skip


@pytest.mark.parametrize(("letters", "plain"), TABLE)
def test_every_letter_of_the_table_loses_its_mark(letters: str, plain: str) -> None:
    from unicodedata import normalize

    for form in ("NFC", "NFD"):
        for letter in normalize(form, letters).split(" "):
            assert normalize_diacritics(letter) == plain
            assert normalize_diacritics(f"x{letter.upper()}x") == f"x{plain.upper()}x"


def test_letters_without_a_capital_in_the_table_have_their_own() -> None:
    assert normalize_diacritics("ß ı İ İ") == "ss i I I"


def test_what_is_not_in_the_table_stays() -> None:
    for text in ("日本", "ķģ", "Ωλ", "ä̰", "x̂"):
        assert normalize_diacritics(text) == text


@given(st.text())
def test_plain_text_is_a_fixed_point(source: str) -> None:
    once = normalize_diacritics(source)
    assert normalize_diacritics(once) == once
