"""What `/bulkUpload` accepts as a body; anything else is refused whole (Graph, "Perform bulkUpload")."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

BULK_REQUEST = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
CORE = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
MOST_OPERATIONS = 50


class InvalidBulk(Exception):
    """The body violates the schema. The message names the operation's number (from 1) and the attribute, no value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One user of a bulk request; `user` is `data` as it came."""

    bulk_id: str
    external_id: str
    user: Mapping[str, Any] = field(repr=False)


Check = Callable[[object, str], None]
"""Given a value and its path; raises InvalidBulk."""


def operations(body: bytes, custom: Mapping[str, Mapping[str, str]] | None) -> tuple[Operation, ...]:
    """The 1 to 50 operations of a body.

    `custom` is what the job's schema knows beyond SCIM (URN to name to type); None accepts any extension.
    Raises InvalidBulk at the first fault.
    """
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidBulk("the body is not JSON") from error
    if not isinstance(request, dict):
        raise InvalidBulk("the body is not an object")
    _known(request, {"schemas", "Operations", "failOnErrors"}, "the body")
    if request.get("schemas") != [BULK_REQUEST]:
        raise InvalidBulk(f"schemas must be [{BULK_REQUEST}]")
    fail_on_errors = request.get("failOnErrors")
    if isinstance(fail_on_errors, bool) or not isinstance(fail_on_errors, int | None):
        raise InvalidBulk("failOnErrors must be null or an integer")
    listed = request.get("Operations")
    if not isinstance(listed, list) or not listed:
        raise InvalidBulk("Operations must hold at least one operation")
    if len(listed) > MOST_OPERATIONS:
        raise InvalidBulk(f"Operations must hold at most {MOST_OPERATIONS} operations")
    read = tuple(_operation(entry, f"operation {number}", custom) for number, entry in enumerate(listed, 1))
    if len({operation.bulk_id for operation in read}) < len(read):
        raise InvalidBulk("bulkId must be unique in the request")
    return read


def _operation(entry: object, where: str, custom: Mapping[str, Mapping[str, str]] | None) -> Operation:
    if not isinstance(entry, dict):
        raise InvalidBulk(f"{where} is not an object")
    _known(entry, {"method", "bulkId", "path", "data"}, where)
    if entry.get("method") != "POST":
        raise InvalidBulk(f"{where}: method must be POST")
    if entry.get("path") != "/Users":
        raise InvalidBulk(f"{where}: path must be /Users")
    bulk_id = entry.get("bulkId")
    if not isinstance(bulk_id, str) or not bulk_id:
        raise InvalidBulk(f"{where}: bulkId is missing")
    user = entry.get("data")
    if not isinstance(user, dict):
        raise InvalidBulk(f"{where}: data is missing")
    external_id = user.get("externalId")
    if not isinstance(external_id, str) or not external_id.strip():
        raise InvalidBulk(f"{where}: externalId is missing")
    _user(user, where, custom)
    return Operation(bulk_id=bulk_id, external_id=external_id, user=user)


def _user(user: Mapping[str, Any], where: str, custom: Mapping[str, Mapping[str, str]] | None) -> None:
    schemas = user.get("schemas")
    if not isinstance(schemas, list) or not all(isinstance(schema, str) for schema in schemas):
        raise InvalidBulk(f"{where}: schemas must be a list of URNs")
    for required in (CORE, ENTERPRISE):
        if required not in schemas:
            raise InvalidBulk(f"{where}: schemas must hold {required}")
    for schema in schemas:
        if schema not in (CORE, ENTERPRISE) and custom is not None and schema not in custom:
            raise InvalidBulk(f"{where}: the job's schema does not know {schema}")
    for name, value in user.items():
        path = f"{where}: {name}"
        if name == "schemas":
            continue
        if not name.startswith("urn:"):
            check = _CORE.get(name)
            if check is None:
                raise InvalidBulk(f"{path} is not an attribute of {CORE}")
            check(value, path)
        elif name not in schemas:
            raise InvalidBulk(f"{path} is not listed in schemas")
        elif name == ENTERPRISE:
            _ENTERPRISE(value, path)
        else:
            _extension(value, path, None if custom is None else custom[name])


def _known(entry: Mapping[str, object], names: set[str], where: str) -> None:
    for name in entry:
        if name not in names:
            raise InvalidBulk(f"{where} has the unknown member {name}")


def _string(value: object, path: str) -> None:
    if not isinstance(value, str | None):
        raise InvalidBulk(f"{path} must be a string")


def _boolean(value: object, path: str) -> None:
    if not isinstance(value, bool | None):
        raise InvalidBulk(f"{path} must be a boolean")


def _integer(value: object, path: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | None):
        raise InvalidBulk(f"{path} must be an integer")


def _date_time(value: object, path: str) -> None:
    _string(value, path)
    if value:
        try:
            datetime.fromisoformat(str(value))
        except ValueError as error:
            raise InvalidBulk(f"{path} must be a date and time as ISO 8601 writes it") from error


def _ignored(value: object, path: str) -> None:
    """A read-only attribute: RFC 7643 section 7 has a server ignore it."""


def _complex(attributes: Mapping[str, Check]) -> Check:
    def check(value: object, path: str) -> None:
        if value is None:
            return
        if not isinstance(value, dict):
            raise InvalidBulk(f"{path} must be an object")
        for name, inner in value.items():
            if name not in attributes:
                raise InvalidBulk(f"{path}.{name} is not an attribute that its schema knows")
            attributes[name](inner, f"{path}.{name}")

    return check


def _many(attributes: Mapping[str, Check]) -> Check:
    each = _complex(attributes)

    def check(value: object, path: str) -> None:
        if value is None:
            return
        if not isinstance(value, list):
            raise InvalidBulk(f"{path} must be a list")
        for item in value:
            if not isinstance(item, dict):
                raise InvalidBulk(f"{path} must hold objects")
            each(item, path)
        if sum(item.get("primary") is True for item in value) > 1:
            raise InvalidBulk(f"{path} must have one primary value at most")

    return check


def _extension(value: object, path: str, attributes: Mapping[str, str] | None) -> None:
    if not isinstance(value, dict | None):
        raise InvalidBulk(f"{path} must be an object")
    for name, inner in (value or {}).items():
        if attributes is None:
            continue
        if name not in attributes:
            raise InvalidBulk(f"{path}:{name} is not an attribute that the job's schema knows")
        _BY_TYPE[attributes[name]](inner, f"{path}:{name}")


def _strings(*names: str) -> dict[str, Check]:
    return dict.fromkeys(names, _string)


_BY_TYPE: Mapping[str, Check] = {
    "String": _string,
    "DateTime": _date_time,
    "Integer": _integer,
    "Boolean": _boolean,
    "Reference": _string,
    "Binary": _string,
}

_PLURAL = {**_strings("value", "display", "type"), "primary": _boolean}

# RFC 7643, section 8.7.1: the attributes of User.
_CORE: Mapping[str, Check] = {
    **_strings("userName", "displayName", "nickName", "profileUrl", "title", "userType"),
    **_strings("preferredLanguage", "locale", "timezone", "password", "externalId"),
    "active": _boolean,
    "name": _complex(
        _strings("formatted", "familyName", "givenName", "middleName", "honorificPrefix", "honorificSuffix")
    ),
    "emails": _many(_PLURAL),
    "phoneNumbers": _many(_PLURAL),
    "ims": _many(_PLURAL),
    "photos": _many(_PLURAL),
    "entitlements": _many(_PLURAL),
    "roles": _many(_PLURAL),
    "x509Certificates": _many(_PLURAL),
    "addresses": _many(
        {
            **_strings("formatted", "streetAddress", "locality", "region", "postalCode", "country", "type"),
            "primary": _boolean,
        }
    ),
    "id": _ignored,
    "meta": _ignored,
    "groups": _ignored,
}

# RFC 7643, section 4.3.
_ENTERPRISE = _complex(
    {
        **_strings("employeeNumber", "costCenter", "organization", "division", "department"),
        "manager": _complex(_strings("value", "$ref", "displayName")),
    }
)
