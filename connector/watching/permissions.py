"""Graph's permissions: which the connector needs, and which a token has."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

import orjson


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """One of Graph's: `instead` are those that include it, `without` says what does not work without it."""

    name: str
    instead: frozenset[str]
    without: str
    needed: bool = True


PERMISSIONS = (
    Permission(
        name="SynchronizationData-User.Upload",
        instead=frozenset({"SynchronizationData-User.Upload.OwnedBy"}),
        without="nobody is sent",
    ),
    Permission(
        name="ProvisioningLog.Read.All",
        instead=frozenset({"AuditLog.Read.All"}),
        without="nobody's outcome is known",
    ),
    Permission(
        name="Synchronization.Read.All",
        instead=frozenset({"Synchronization.ReadWrite.All"}),
        without="a paused or quarantined job is not noticed",
        needed=False,
    ),
)


def permissions(token: str) -> frozenset[str] | None:
    """The permissions in an access token, application and delegated; None where it is not to be read.

    Not verified: this is to know what to advise, and Graph decides. (Microsoft identity platform, "Access token claims
    reference": `roles`, `scp`.)
    """
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = orjson.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error):
        return None
    if not isinstance(claims, dict):
        return None
    roles, scopes = claims.get("roles", []), claims.get("scp", "")
    if not isinstance(roles, list) or not isinstance(scopes, str):
        return None
    return frozenset(role for role in roles if isinstance(role, str)) | frozenset(scopes.split())
