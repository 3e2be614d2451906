"""What the sandbox's tests send: people, bulk requests, and a caller with a token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import orjson

from connector.sandbox.bulk import BULK_REQUEST, CORE, ENTERPRISE
from connector.sandbox.servers import Sandbox

SCIM = {"content-type": "application/scim+json"}


def person(external_id: str, **attributes: Any) -> dict[str, Any]:
    """A complete user; `manager` is an externalId. An attribute given as ... (Ellipsis) is left out."""
    manager = attributes.pop("manager", "")
    user: dict[str, Any] = {
        "schemas": [CORE, ENTERPRISE],
        "externalId": external_id,
        "userName": f"user{external_id}@contoso.com",
        "displayName": f"User {external_id}",
        "active": True,
    }
    if manager:
        user[ENTERPRISE] = {"manager": {"value": manager}}
    user |= attributes
    return {name: value for name, value in user.items() if value is not ...}


def operation(user: dict[str, Any], **members: Any) -> dict[str, Any]:
    """An operation for one user."""
    bulk_id = str(user.get("externalId", "none"))
    return {"method": "POST", "bulkId": bulk_id, "path": "/Users", "data": user} | members


def bulk(*users: dict[str, Any]) -> dict[str, Any]:
    """A bulk request for these users."""
    return {"schemas": [BULK_REQUEST], "Operations": [operation(user) for user in users], "failOnErrors": None}


def identity_url(sandbox: Sandbox, resource: str, **changes: str) -> httpx.URL:
    """The identity endpoint's URL for a resource."""
    return httpx.URL(sandbox.identity_endpoint, params={"api-version": "2019-08-01", "resource": resource} | changes)


def token(sandbox: Sandbox, resource: str = "") -> str:
    """An access token as the managed identity gets it; for the sandbox's Graph unless told otherwise."""
    answer = httpx.get(
        identity_url(sandbox, resource or sandbox.base_url),
        headers={"x-identity-header": sandbox.settings.identity_header},
        verify=False,
    )
    return str(answer.raise_for_status().json()["access_token"])


@contextmanager
def caller(sandbox: Sandbox) -> Iterator[httpx.Client]:
    """A client with a token of the sandbox's Graph."""
    with httpx.Client(
        base_url=sandbox.base_url, headers={"authorization": f"Bearer {token(sandbox)}"}, verify=False
    ) as client:
        yield client


def upload(client: httpx.Client, sandbox: Sandbox, *users: dict[str, Any]) -> httpx.Response:
    return client.post(sandbox.endpoint, content=orjson.dumps(bulk(*users)), headers=SCIM)
