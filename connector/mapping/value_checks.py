"""What a value must be to be sent as an attribute's: its type, its characters, its length; and what is only worth a
warning.

A *fault* rejects the row: the value has not the attribute's type (RFC 7643 section 2.3), or Entra could do nothing with
the person. A *warning* is for what Entra takes but a standard or a default mapping does not: a wrong address on a
leaver's record is no reason to leave the account enabled.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from connector.mapping.attribute_paths import Target
from connector.mapping.expressions.values import LONGEST
from connector.vocabulary import scim
from connector.vocabulary.scim import Type

BOOLEANS: Final[Mapping[str, bool]] = {
    **dict.fromkeys(("True", "true", "TRUE"), True),
    **dict.fromkeys(("False", "false", "FALSE"), False),
}
"""The usual spellings, for a dict look-up; `boolean` knows all."""

MANAGER: Final = f"{scim.ENTERPRISE_USER}:manager.value"

EXTERNAL_ID_MAX: Final = 1024
"""Ours: an identifier that is longer is a sentence that slipped a column. (Entra's employeeId takes 16: a warning.)"""

VALUE_MAX: Final = LONGEST
"""Ours: 50 people with longer values would go beyond the 4 MB that Graph takes in a request."""

UNSENDABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
"""Control characters that are no white space, and halves of a surrogate pair, which UTF-8 cannot hold."""

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f]")
_WHITE: Final = re.compile(r"\s")
MISREAD: Final = re.compile("[\x80-\x9f\ufffd]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What is wrong with a value, to be read after the name of its column ("has …", "is …"), and what to do."""

    reason: str
    advice: str = ""


def boolean(text: str) -> bool | None:
    """True and False in any case, which is how Entra's expressions write them; None for any other word."""
    return {"true": True, "false": False}.get(text.lower())


_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)


def integer(text: str) -> int | None:
    """A whole number of 64 bits without thousands, or None."""
    if _INTEGER.fullmatch(text) is None:
        return None
    number = int(text)
    return number if -(1 << 63) <= number < 1 << 63 else None


_DATETIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,12})?"
    r"(?:Z|[+-](?:0[0-9]|1[0-3]):[0-5][0-9]|[+-]14:00)?",
    re.ASCII,
)


@lru_cache(maxsize=4096)
def date_time(text: str) -> str | None:
    """The text itself if it is an xsd:dateTime with date and time (RFC 7643 section 2.3.5) that the calendar has, else
    None.
    """
    try:
        return text if _DATETIME.fullmatch(text) and datetime.fromisoformat(text) else None
    except ValueError:
        return None


def binary(text: str) -> str | None:
    """The text itself if it is base64 (RFC 7643 section 2.3.6), else None."""
    try:
        b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return text


def _as_it_is(text: str) -> str:
    return text


CONVERTERS: Final[Mapping[Type, Callable[[str], str | int | bool | None]]] = {
    Type.STRING: _as_it_is,
    Type.REFERENCE: _as_it_is,
    Type.BOOLEAN: boolean,
    Type.INTEGER: integer,
    Type.DATETIME: date_time,
    Type.BINARY: binary,
}
"""From an expression's text to the JSON value of a type; None where it is not of that type."""

TYPE_ADVICE: Final[Mapping[Type, str]] = {
    Type.BOOLEAN: 'map every word to "True" or "False", for example with Switch, or correct it in the HR system',
    Type.INTEGER: "only digits, with - in front where negative",
    Type.DATETIME: "bring it to 2026-01-31T00:00:00Z, for example with "
    'FormatDateTime([Date], , "yyyy-MM-dd", "yyyy-MM-ddTHH:mm:ssZ")',
    Type.BINARY: "base64 is needed",
}


def many(convert: Callable[[str], str | int | bool | None], value: str | list[str]) -> list[Any] | None:
    """The JSON values of a multi-valued attribute, empty ones left out; None when one is not of the type."""
    found: list[Any] = []
    for text in [value] if isinstance(value, str) else value:
        if text:
            converted = convert(text)
            if converted is None:
                return None
            found.append(converted)
    return found


def unsendable(text: str) -> Trouble | None:
    """What keeps any text from being sent."""
    if len(text) > VALUE_MAX:
        return Trouble(reason=f"is longer than {VALUE_MAX:,} characters", advice="shorten it, for example with Left")
    found = UNSENDABLE.search(text)
    if found is None:
        return None
    if _SURROGATE.match(found[0]):
        return Trouble(reason="has half a character in it", advice="export the file again, in UTF-8")
    return Trouble(reason="has a control character in it", advice="remove it in the HR system, or with Replace")


def bad_external_id(text: str) -> Trouble | None:
    if text != text.strip():
        return Trouble(reason="has white space around it", advice="use Trim, or correct it in the HR system")
    if _CONTROL.search(text):
        return Trouble(reason="has a control character in it", advice="correct it in the HR system")
    if len(text) > EXTERNAL_ID_MAX:
        return Trouble(
            reason=f"is longer than {EXTERNAL_ID_MAX:,} characters", advice="map the column with the person's id"
        )
    return None


def bad_user_name(text: str) -> Trouble | None:
    # A sign-in name with a space is refused on creation and on update (AzureActiveDirectoryInvalidUserPrincipalName).
    if _WHITE.search(text):
        return Trouble(
            reason="has white space in it", advice="use StripSpaces or Replace, or correct it in the HR system"
        )
    if _CONTROL.search(text):
        return Trouble(reason="has a control character in it", advice="correct it in the HR system")
    return None


FAULTS: Final[Mapping[str, Callable[[str], Trouble | None]]] = {
    "externalId": bad_external_id,
    "userName": bad_user_name,
}
"""By canonical path: what rejects a row beyond types and characters."""


# Graph page "user resource type", for the property that Entra's default mapping fills from each attribute.
_LONGEST: Final[Mapping[str, int]] = {
    "externalId": 16,
    "userName": 113,
    "displayName": 256,
    "name.givenName": 64,
    "name.familyName": 64,
    "title": 128,
    f"{scim.ENTERPRISE_USER}:department": 64,
    f"{scim.ENTERPRISE_USER}:organization": 64,
    "addresses.streetAddress": 1024,
    "addresses.locality": 128,
    "addresses.region": 128,
    "addresses.postalCode": 40,
    "addresses.country": 128,
    "phoneNumbers.value": 64,
}

_MAIL: Final = re.compile(r"[^\s@]{1,64}@[^\s@.]+(?:\.[^\s@.]+)+")
# RFC 5646 section 2.1: langtag without the irregular grandfathered ones.
_LANGUAGE: Final = re.compile(
    r"(?:[a-z]{2,3}(?:-[a-z]{3}){0,3}|[a-z]{4}|[a-z]{5,8})(?:-[a-z]{4})?(?:-(?:[a-z]{2}|[0-9]{3}))?"
    r"(?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*(?:-[0-9a-wy-z](?:-[a-z0-9]{2,8})+)*(?:-x(?:-[a-z0-9]{1,8})+)?"
    r"|x(?:-[a-z0-9]{1,8})+",
    re.IGNORECASE | re.ASCII,
)
# ISO 3166-1 alpha-2, officially assigned.
_COUNTRY_CODES: Final = """
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC CD
CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF
GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN
KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA
NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI
SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI
VN VU WF WS YE YT ZA ZM ZW
"""
COUNTRIES: Final = frozenset(_COUNTRY_CODES.split())


def _odd_mail(text: str) -> Trouble | None:
    if _MAIL.fullmatch(text) and len(text) <= 254:
        return None
    return Trouble(
        reason="does not look like a mail address", advice="Entra refuses such a mail when it creates the account"
    )


@lru_cache(maxsize=4096)
def _odd_language(text: str) -> Trouble | None:
    if _LANGUAGE.fullmatch(text):
        return None
    return Trouble(reason="is not a language tag (BCP 47)", advice="write en-US, not en_US or English")


@lru_cache(maxsize=4096)
def _odd_country(text: str) -> Trouble | None:
    if text in COUNTRIES:
        return None
    return Trouble(
        reason="is not a country code (ISO 3166-1 alpha-2)", advice="map it with Switch or Lookup: US, DE, GB, …"
    )


_ODD: Final[Mapping[str, Callable[[str], Trouble | None]]] = {
    "emails.value": _odd_mail,
    "preferredLanguage": _odd_language,
    "locale": _odd_language,
    "addresses.country": _odd_country,
}


def _without_filter(target: Target) -> str:
    name = target.attribute.name if target.urn == scim.CORE_USER else f"{target.urn}:{target.attribute.name}"
    return f"{name}.{target.sub.name}" if target.sub else name


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What is odd about the texts of one attribute. `longest` and `odd` are None where anything goes."""

    longest: int | None
    odd: Callable[[str], Trouble | None] | None

    def look(self, text: str) -> Trouble | None:
        if not text.isascii() and MISREAD.search(text):
            return Trouble(
                reason="has characters that look misread", advice="declare the file's encoding in the feed file"
            )
        if self.longest is not None and len(text) > self.longest:
            return Trouble(
                reason=f"is longer than the {self.longest} characters of Entra's attribute",
                advice="shorten it, for example with Left",
            )
        return self.odd(text) if self.odd else None


def watch(target: Target) -> Watch:
    path = _without_filter(target)
    return Watch(longest=_LONGEST.get(path), odd=_ODD.get(path))


def own_manager(columns: tuple[str, ...]) -> Trouble:
    """What to say of who is their own manager by those columns, as the head of a company often is in HR systems.

    Entra creates the account first and sets the manager in a step of its own, so this is no reason to reject the row.
    """
    first = columns[0]
    return Trouble(
        reason="names the person as their own manager",
        advice=f'to leave it out: IIF([{first}] = [WorkerID], "", [{first}]) with the column of externalId',
    )
