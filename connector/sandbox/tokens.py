"""Access tokens as a managed identity gets them: JWT-shaped, signed so that only the sandbox's own are accepted."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import datetime
from typing import Any

import orjson

STORAGE = "https://storage.azure.com"
"""The audience of Azure Storage, and what Azurite's `--oauth basic` checks."""


class TokenRefused(Exception):
    """The token is none, not ours, expired, or for another audience; the message is what Graph would say."""


class Tokens:
    """Issues and reads the tokens of one tenant."""

    def __init__(self, *, tenant_id: str, secret: bytes) -> None:
        self._tenant_id = tenant_id
        self._secret = secret

    def issue(self, *, audience: str, roles: frozenset[str], now: datetime, lifetime: float, token_id: str) -> str:
        """A token from `now` for `lifetime` seconds; a negative lifetime gives one that has expired already."""
        issued = int(now.timestamp())
        claims = {
            "aud": audience,
            # Azurite accepts this issuer of v1 tokens alone; Graph's tokens carry it as well.
            "iss": f"https://sts.windows.net/{self._tenant_id}/",
            # Some slack before: the reader's clock may be a little behind ours.
            "iat": issued - 300 + min(0, int(lifetime)),
            "nbf": issued - 300 + min(0, int(lifetime)),
            "exp": issued + int(lifetime),
            "tid": self._tenant_id,
            "oid": "6e0f3a52-0d5c-4a0e-8a2b-1f1d3c9b7e44",
            "roles": sorted(roles),
            "uti": token_id,
            "ver": "1.0",
        }
        signed = f"{_encode({'typ': 'JWT', 'alg': 'HS256'})}.{_encode(claims)}"
        return f"{signed}.{self._sign(signed)}"

    def read(self, authorization: str | None, *, audience: str, now: datetime) -> dict[str, Any]:
        """The claims of an `Authorization` header's token. Raises TokenRefused."""
        if not authorization:
            raise TokenRefused("Access token is empty.")
        scheme, _, token = authorization.partition(" ")
        signed, _, signature = token.strip().rpartition(".")
        if scheme.lower() != "bearer" or signed.count(".") != 1:
            raise TokenRefused("CompactToken parsing failed with error code: 80049217")
        if not hmac.compare_digest(signature.encode(), self._sign(signed).encode()):
            raise TokenRefused("Access token validation failure. Signature validation failed.")
        claims: dict[str, Any] = orjson.loads(_decode(signed.partition(".")[2]))
        if claims["aud"].rstrip("/") != audience.rstrip("/"):
            raise TokenRefused("Access token validation failure. Invalid audience.")
        if not claims["nbf"] <= now.timestamp() < claims["exp"]:
            raise TokenRefused("Access token has expired or is not yet valid.")
        return claims

    def _sign(self, signed: str) -> str:
        digest = hmac.new(self._secret, signed.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _encode(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(part)).rstrip(b"=").decode()


def _decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
