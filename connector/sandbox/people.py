"""A SCIM user as the directory keeps it: flat, one value a SCIM path."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from connector.sandbox.bulk import ENTERPRISE

MANAGER = f"{ENTERPRISE}:manager.value"
"""The path that holds the manager's externalId."""


def record(user: Mapping[str, Any]) -> dict[str, Any]:
    """SCIM paths to values, `userName` among them; without `externalId`, `active` and the read-only attributes.

    An attribute that is there as null or "" stays as that; an absent one is absent.
    """
    flat: dict[str, Any] = {}
    for name, value in user.items():
        if name in {"schemas", "externalId", "active", "id", "meta", "groups"}:
            continue
        if isinstance(value, list):
            for item in value:
                kind = item.get("type")
                prefix = f'{name}[type eq "{kind}"]' if kind else name
                flat |= {f"{prefix}.{inner}": part for inner, part in item.items() if inner not in {"type", "primary"}}
        elif isinstance(value, dict):
            separator = ":" if name.startswith("urn:") else "."
            for inner, part in value.items():
                if inner == "manager" and name == ENTERPRISE:
                    flat[MANAGER] = part.get("value") if isinstance(part, dict) else part
                else:
                    flat[f"{name}{separator}{inner}"] = part
        else:
            flat[name] = value
    return flat


def is_principal_name(text: str) -> bool:
    """Whether Entra could take it as a userPrincipalName: name@domain, of a small set of characters."""
    return re.fullmatch(r"[A-Za-z0-9'._!#^~+-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", text) is not None


def domain(principal_name: str) -> str:
    """The part after the @, in lower case."""
    return principal_name.rpartition("@")[2].lower()
