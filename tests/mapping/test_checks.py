"""What a value must be to be sent as an attribute's, and what is only odd."""

from __future__ import annotations

import pytest

from connector.mapping.attribute_paths import parse_path
from connector.mapping.value_checks import (
    COUNTRIES,
    EXTERNAL_ID_MAX,
    VALUE_MAX,
    bad_external_id,
    bad_user_name,
    binary,
    boolean,
    date_time,
    integer,
    many,
    unsendable,
    watch,
)
from connector.vocabulary import scim


@pytest.mark.parametrize(
    ("text", "value"), [("True", True), ("tRUE", True), ("false", False), ("yes", None), ("1", None), (" True", None)]
)
def test_only_true_and_false_are_booleans(text: str, value: bool | None) -> None:
    assert boolean(text) is value


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("-12", -12), ("+5", 5), ("007", 7), ("1.0", None), ("1 000", None), ("٣", None), ("", None),
     (str(2**63 - 1), 2**63 - 1), (str(2**63), None), (str(-(2**63)), -(2**63)), ("9" * 30, None)],
)  # fmt: skip
def test_an_integer_is_a_whole_number_of_64_bits(text: str, value: int | None) -> None:
    assert integer(text) == value


@pytest.mark.parametrize(
    ("text", "good"),
    [("2021-05-01T00:00:00-05:00", True), ("2021-05-01T00:00:00Z", True), ("2021-05-01T00:00:00.123", True),
     ("2021-05-01", False), ("2021-02-30T00:00:00Z", False), ("2021-05-01 00:00:00", False), ("01.05.2021", False),
     ("2021-05-01T25:00:00Z", False), ("2021-05-01T00:00:00+15:00", False)],
)  # fmt: skip
def test_a_date_is_an_xsd_date_time_that_the_calendar_has(text: str, *, good: bool) -> None:
    assert date_time(text) == (text if good else None)


@pytest.mark.parametrize(("text", "good"), [("aGk=", True), ("aGk", False), ("a b=", False), ("é", False)])
def test_binary_is_base64(text: str, *, good: bool) -> None:
    assert binary(text) == (text if good else None)


def test_several_values_are_converted_one_by_one_and_empty_ones_left_out() -> None:
    assert many(integer, ["1", "", "2"]) == [1, 2]
    assert many(integer, "7") == [7]
    assert many(integer, "") == []
    assert many(integer, ["1", "x"]) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [("plain", None), ("two\nlines\tand tab\r", None), ("nul\x00", "has a control character in it"),
     ("\x7f", "has a control character in it"), ("\ud83d", "has half a character in it"), ("😀\x80\ufffd", None),
     ("x" * (VALUE_MAX + 1), "is longer than 65,536 characters")],
)  # fmt: skip
def test_text_without_control_characters_can_be_sent(text: str, reason: str | None) -> None:
    trouble = unsendable(text)
    assert (trouble.reason if trouble else None) == reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [("701984", None), ("a b", None), (" 1", "has white space around it"), ("1\u00a0", "has white space around it"),
     ("1\t2", "has a control character in it"), ("x" * (EXTERNAL_ID_MAX + 1), "is longer than 1,024 characters")],
)  # fmt: skip
def test_an_external_id_has_no_white_space_around_it(text: str, reason: str | None) -> None:
    trouble = bad_external_id(text)
    assert (trouble.reason if trouble else None) == reason


@pytest.mark.parametrize(
    ("text", "good"),
    [("bjensen@example.com", True), ("bjensen", True), ("o'neil@x.org", True), ("müller@x.org", True),
     ("b jensen@example.com", False), ("b\u00a0j@x.org", False), ("b@x.org\n", False), ("b\x00", False)],
)  # fmt: skip
def test_a_user_name_has_no_white_space_and_no_control_characters(text: str, *, good: bool) -> None:
    assert (bad_user_name(text) is None) is good


ODD = {
    "mail": "does not look like a mail address",
    "language": "is not a language tag (BCP 47)",
    "country": "is not a country code (ISO 3166-1 alpha-2)",
    "misread": "has characters that look misread",
}


@pytest.mark.parametrize(
    ("path", "text", "reason"),
    [
        ('emails[type eq "work"].value', "a.b+c@mail.example.com", None),
        ('emails[type eq "work"].value', "näme@exämple.org", None),
        ('emails[type eq "work"].value', "n/a", ODD["mail"]),
        ('emails[type eq "work"].value', "a@b", ODD["mail"]),
        ('emails[type eq "work"].value', "a b@example.com", ODD["mail"]),
        ("locale", "en-US", None),
        ("locale", "zh-Hant-TW", None),
        ("locale", "de-CH-1996", None),
        ("locale", "en_US", ODD["language"]),
        ("preferredLanguage", "English language", ODD["language"]),
        ('addresses[type eq "work"].country', "DE", None),
        ('addresses[type eq "work"].country', "USA", ODD["country"]),
        ('addresses[type eq "work"].country', "UK", ODD["country"]),
        ("displayName", "Zoë", None),
        ("displayName", "Zo\x80", ODD["misread"]),
        ("displayName", "Zo\ufffd", ODD["misread"]),
        ("externalId", "1" * 17, "is longer than the 16 characters of Entra's attribute"),
        (f"{scim.ENTERPRISE_USER}:department", "x" * 65, "is longer than the 64 characters of Entra's attribute"),
    ],
)
def test_what_entra_would_take_is_at_most_odd(path: str, text: str, reason: str | None) -> None:
    trouble = watch(parse_path(path, {})).look(text)
    assert (trouble.reason if trouble else None) == reason


def test_the_countries_are_those_of_iso_3166() -> None:
    assert len(COUNTRIES) == 249
    assert {"DE", "US", "GB", "XK", "UK"} & COUNTRIES == {"DE", "US", "GB"}
