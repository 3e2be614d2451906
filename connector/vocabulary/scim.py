"""The SCIM user as data: the Core User and Enterprise User schemas of RFC 7643 (sections 2.4, 3.1, 4.1, 4.3, 8.7.1).

Only what decides how a value is written is here: names, types, which attributes hold several values, what may be
written.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

CORE_USER: Final = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE_USER: Final = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
BULK_REQUEST: Final = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"


class Type(enum.StrEnum):
    """RFC 7643 section 2.3; the first four are also what Entra's schema editor offers for a custom attribute."""

    STRING = "String"
    BOOLEAN = "Boolean"
    INTEGER = "Integer"
    DATETIME = "DateTime"
    REFERENCE = "Reference"
    BINARY = "Binary"
    COMPLEX = "Complex"


class Mutability(enum.StrEnum):
    """RFC 7643 section 7. What is `READ_ONLY` belongs to the service provider and cannot be sent."""

    READ_WRITE = "readWrite"
    READ_ONLY = "readOnly"
    WRITE_ONLY = "writeOnly"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """One attribute in the schema's spelling. `sub_attributes` are there if and only if the type is complex."""

    name: str
    type: Type = Type.STRING
    multi_valued: bool = False
    mutability: Mutability = Mutability.READ_WRITE
    sub_attributes: tuple[Attribute, ...] = ()

    def sub(self, name: str) -> Attribute | None:
        """The sub-attribute of that name; case does not matter (RFC 7643 section 2.1)."""
        wanted = name.lower()
        return next((sub for sub in self.sub_attributes if sub.name.lower() == wanted), None)


def _complex(name: str, *subs: Attribute) -> Attribute:
    return Attribute(name=name, type=Type.COMPLEX, sub_attributes=subs)


def _strings(*names: str) -> tuple[Attribute, ...]:
    return tuple(Attribute(name=name) for name in names)


def _multi(name: str, *subs: Attribute, value: Type = Type.STRING, mutability: Mutability | None = None) -> Attribute:
    """A multi-valued complex attribute: its own sub-attributes, then the default ones that it lacks (section 2.4)."""
    defaults = (
        Attribute(name="value", type=value),
        Attribute(name="display"),
        Attribute(name="type"),
        Attribute(name="primary", type=Type.BOOLEAN),
        Attribute(name="$ref", type=Type.REFERENCE),
    )
    own = {sub.name for sub in subs}
    return Attribute(
        name=name,
        type=Type.COMPLEX,
        multi_valued=True,
        mutability=mutability or Mutability.READ_WRITE,
        sub_attributes=(*subs, *(sub for sub in defaults if sub.name not in own)),
    )


_CORE: Final = (
    # Common attributes, section 3.1.
    Attribute(name="id", mutability=Mutability.READ_ONLY),
    Attribute(name="externalId"),
    Attribute(
        name="meta",
        type=Type.COMPLEX,
        mutability=Mutability.READ_ONLY,
        sub_attributes=(
            Attribute(name="resourceType"),
            Attribute(name="created", type=Type.DATETIME),
            Attribute(name="lastModified", type=Type.DATETIME),
            Attribute(name="location", type=Type.REFERENCE),
            Attribute(name="version"),
        ),
    ),
    # Singular attributes, section 4.1.1.
    Attribute(name="userName"),
    _complex(
        "name", *_strings("formatted", "familyName", "givenName", "middleName", "honorificPrefix", "honorificSuffix")
    ),
    *_strings("displayName", "nickName"),
    Attribute(name="profileUrl", type=Type.REFERENCE),
    *_strings("title", "userType", "preferredLanguage", "locale", "timezone"),
    Attribute(name="active", type=Type.BOOLEAN),
    Attribute(name="password", mutability=Mutability.WRITE_ONLY),
    # Multi-valued attributes, section 4.1.2.
    _multi("emails"),
    _multi("phoneNumbers"),
    _multi("ims"),
    _multi("photos", value=Type.REFERENCE),
    _multi("addresses", *_strings("formatted", "streetAddress", "locality", "region", "postalCode", "country")),
    _multi("groups", mutability=Mutability.READ_ONLY),
    _multi("entitlements"),
    _multi("roles"),
    _multi("x509Certificates", value=Type.BINARY),
)

_ENTERPRISE: Final = (
    *_strings("employeeNumber", "costCenter", "organization", "division", "department"),
    _complex(
        "manager",
        Attribute(name="value"),
        Attribute(name="$ref", type=Type.REFERENCE),
        # The RFC has it readOnly; Microsoft's quickstart for API-driven provisioning sends it.
        Attribute(name="displayName"),
    ),
)


def _by_name(attributes: tuple[Attribute, ...]) -> Mapping[str, Attribute]:
    return MappingProxyType({attribute.name.lower(): attribute for attribute in attributes})


SCHEMAS: Final[Mapping[str, Mapping[str, Attribute]]] = MappingProxyType(
    {CORE_USER: _by_name(_CORE), ENTERPRISE_USER: _by_name(_ENTERPRISE)}
)
"""URN -> lower-case attribute name -> attribute."""


def known_schema(urn: str) -> str | None:
    """The URN of one of `SCHEMAS` in its own spelling, or None; case does not matter (RFC 8141 section 3.1, RFC 7643
    2.1).
    """
    wanted = urn.lower()
    return next((known for known in SCHEMAS if known.lower() == wanted), None)
