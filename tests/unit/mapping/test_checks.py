"""What a value must be to be sent as an attribute's, and what is only odd."""

from __future__ import annotations

import pytest

from connector.mapping.attribute_paths import parse_path
from connector.mapping.value_checks import (
    BOOLEANS,
    COUNTRIES,
    EXTERNAL_ID_MAX,
    VALUE_MAX,
    Trouble,
    bad_external_id,
    bad_user_name,
    binary,
    boolean,
    date_time,
    integer,
    many,
    own_manager,
    unsendable,
    watch,
)
from connector.vocabulary import scim


@pytest.mark.parametrize(
    ("text", "value"), [("True", True), ("tRUE", True), ("false", False), ("yes", None), ("1", None), (" True", None)]
)
def test_only_true_and_false_are_booleans(text: str, value: bool | None) -> None:
    assert boolean(text) is value


def test_the_usual_spellings_are_among_all_spellings() -> None:
    assert {text: boolean(text) for text in ("True", "true", "TRUE", "False", "false", "FALSE")} == BOOLEANS


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("-12", -12), ("+5", 5), ("007", 7), ("1.0", None), ("1 000", None), ("٣", None), ("", None),
     (str(2**63 - 1), 2**63 - 1), (str(2**63), None), (str(-(2**63)), -(2**63)),
     (str(-(2**63) - 1), None), ("9" * 30, None), ("0" * 19, 0), ("0" * 20, None), ("1" * 19, 1111111111111111111),
     ("--1", None), ("1\n", None)],
)  # fmt: skip
def test_an_integer_is_a_whole_number_of_64_bits(text: str, value: int | None) -> None:
    assert integer(text) == value


@pytest.mark.parametrize(
    ("text", "good"),
    [("2021-05-01T00:00:00-05:00", True), ("2021-05-01T00:00:00Z", True), ("2021-05-01T00:00:00.123", True),
     ("2021-05-01", False), ("2021-02-30T00:00:00Z", False), ("2021-05-01 00:00:00", False), ("01.05.2021", False),
     ("2021-05-01T25:00:00Z", False), ("2021-05-01T00:00:00+15:00", False), ("2021-05-01T00:00:00+14:00", True),
     ("2021-05-01T00:00:00-14:00", True), ("2021-05-01T00:00:00+14:01", False), ("2021-05-01T00:00:00+13:59", True),
     ("2021-05-01T00:00:00+13:60", False), ("2021-05-01T00:00:00+9:00", False), ("2021-05-01T00:00:00+09:30", True),
     ("2021-05-01T00:00:00.123456789012Z", True), ("2021-05-01T00:00:00.1234567890123Z", False),
     ("2021-05-01T00:00:00.Z", False), ("2021-05-01T00:00Z", False), ("", False),
     ("2021-02-29T00:00:00.5+01:00", False), ("2020-02-29T23:59:59.999999999+01:00", True)],
)  # fmt: skip
def test_a_date_is_an_xsd_date_time_that_the_calendar_has(text: str, *, good: bool) -> None:
    assert date_time(text) == (text if good else None)


@pytest.mark.parametrize(("text", "good"), [("aGk=", True), ("aGk", False), ("a b=", False), ("é", False),
                                               ("a-Gk=", False), ("aGk=\n", False), ("", True)])  # fmt: skip
def test_binary_is_base64(text: str, *, good: bool) -> None:
    assert binary(text) == (text if good else None)


def test_several_values_are_converted_one_by_one_and_empty_ones_left_out() -> None:
    assert many(integer, ["1", "", "2"]) == [1, 2]
    assert many(integer, "12") == [12]
    assert many(integer, "") == []
    assert many(integer, ["1", "x"]) is None


CONTROL = Trouble(reason="has a control character in it", advice="remove it in the HR system, or with Replace")
HALF = Trouble(reason="has half a character in it", advice="export the file again, in UTF-8")
LONG = Trouble(reason="is longer than 65,536 characters", advice="shorten it, for example with Left")


@pytest.mark.parametrize(
    ("text", "trouble"),
    [("plain", None), ("two\nlines\tand tab\r", None), ("a\x00", CONTROL), ("\ud83d", HALF), ("😀\x80\ufffd", None),
     ("\ud83d\x00", HALF), ("\x00\ud83d", CONTROL), ("x" * VALUE_MAX, None), ("x" * (VALUE_MAX + 1), LONG)],
)  # fmt: skip
def test_text_without_control_characters_can_be_sent(text: str, trouble: Trouble | None) -> None:
    assert unsendable(text) == trouble


def test_which_characters_cannot_be_sent() -> None:
    refused = {number: unsendable(chr(number)) for number in (*range(0x101), *range(0xD7FF, 0xE001), 0xFFFE, 0x10FFFF)}
    white = {0x09, 0x0A, 0x0D}
    assert {number for number, trouble in refused.items() if trouble == CONTROL} == {*range(0x20), 0x7F} - white
    assert {number for number, trouble in refused.items() if trouble == HALF} == set(range(0xD800, 0xE000))
    assert set(refused.values()) == {None, CONTROL, HALF}


AROUND = Trouble(reason="has white space around it", advice="use Trim, or correct it in the HR system")
WITHIN = Trouble(reason="has a control character in it", advice="correct it in the HR system")
SENTENCE = Trouble(reason="is longer than 1,024 characters", advice="map the column with the person's id")
WHITE = Trouble(reason="has white space in it", advice="use StripSpaces or Replace, or correct it in the HR system")


@pytest.mark.parametrize(
    ("text", "trouble"),
    [("701984", None), ("a b", None), (" 1", AROUND), ("1\u00a0", AROUND), ("1\t2", WITHIN), ("1\x1f2", WITHIN),
     ("1\x7f", WITHIN), ("1\x002", WITHIN), ("x" * EXTERNAL_ID_MAX, None), ("x" * (EXTERNAL_ID_MAX + 1), SENTENCE)],
)  # fmt: skip
def test_an_external_id_has_no_white_space_around_it(text: str, trouble: Trouble | None) -> None:
    assert bad_external_id(text) == trouble


@pytest.mark.parametrize(
    ("text", "trouble"),
    [("bjensen@example.com", None), ("bjensen", None), ("o'neil@x.org", None), ("müller@x.org", None),
     ("b jensen@example.com", WHITE), ("b\u00a0j@x.org", WHITE), ("b@x.org\n", WHITE), ("b\x00", WITHIN),
     ("b\x7f", WITHIN), ("b\x1b\x20", WHITE)],
)  # fmt: skip
def test_a_user_name_has_no_white_space_and_no_control_characters(text: str, trouble: Trouble | None) -> None:
    assert bad_user_name(text) == trouble


ODD = {
    "mail": Trouble(
        reason="does not look like a mail address", advice="Entra refuses such a mail when it creates the account"
    ),
    "language": Trouble(reason="is not a language tag (BCP 47)", advice="write en-US, not en_US or English"),
    "country": Trouble(
        reason="is not a country code (ISO 3166-1 alpha-2)", advice="map it with Switch or Lookup: US, DE, GB, …"
    ),
    "misread": Trouble(
        reason="has characters that look misread", advice="declare the file's encoding in the feed file"
    ),
}
WORK = '[type eq "work"]'


@pytest.mark.parametrize(
    ("path", "text", "trouble"),
    [
        ('emails[type eq "work"].value', "a.b+c@mail.example.com", None),
        ('emails[type eq "work"].value', "näme@exämple.org", None),
        ('emails[type eq "work"].value', "n/a", ODD["mail"]),
        ('emails[type eq "work"].value', "a@b", ODD["mail"]),
        ('emails[type eq "work"].value', "a b@example.com", ODD["mail"]),
        *(
            (f"emails{WORK}.value", text, ODD["mail"])
            for text in ("a@b@x.org", "a@x..org", "a@.org", "a@x.org.", "@x.org")
        ),
        (f"emails{WORK}.value", f"{'l' * 64}@x.org", None),
        (f"emails{WORK}.value", f"{'l' * 65}@x.org", ODD["mail"]),
        (f"emails{WORK}.value", f"a@{'d' * 248}.org", None),
        (f"emails{WORK}.value", f"a@{'d' * 249}.org", ODD["mail"]),
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
        ("displayName", "Zo\x9f", ODD["misread"]),
        ("displayName", "Zo\u00a0\x7f", None),
    ],
)
def test_what_entra_would_take_is_at_most_odd(path: str, text: str, trouble: Trouble | None) -> None:
    assert watch(parse_path(path, {})).look(text) == trouble


@pytest.mark.parametrize(
    ("path", "longest"),
    [
        ("externalId", 16),
        ("userName", 113),
        ("displayName", 256),
        ("name.givenName", 64),
        ("name.familyName", 64),
        ("title", 128),
        (f"{scim.ENTERPRISE_USER}:department", 64),
        (f"{scim.ENTERPRISE_USER}:organization", 64),
        (f"addresses{WORK}.streetAddress", 1024),
        (f"addresses{WORK}.locality", 128),
        (f"addresses{WORK}.region", 128),
        (f"addresses{WORK}.postalCode", 40),
        ('phoneNumbers[type eq "mobile"].value', 64),
    ],
)
def test_what_is_longer_than_entras_attribute_is_odd(path: str, longest: int) -> None:
    look = watch(parse_path(path, {})).look
    assert look("x" * longest) is None
    assert look("x" * (longest + 1)) == Trouble(
        reason=f"is longer than the {longest} characters of Entra's attribute",
        advice="shorten it, for example with Left",
    )
    assert look("x" * longest + "\ufffd") == ODD["misread"]


def test_who_is_their_own_manager_is_told_how_to_leave_that_out() -> None:
    assert own_manager(("Boss", "Chief")) == Trouble(
        reason="names the person as their own manager",
        advice='to leave it out: IIF([Boss] = [WorkerID], "", [Boss]) with the column of externalId',
    )


def test_the_countries_are_those_of_iso_3166() -> None:
    assert len(COUNTRIES) == 249
    assert {"DE", "US", "GB", "XK", "UK"} & COUNTRIES == {"DE", "US", "GB"}
