"""Azure Resource Manager, as much of it as the doctor asks: one resource by its id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import orjson

from connector.outside.bounded_http import BoundedHttp
from connector.outside.tokens import TokenSource
from connector.vocabulary.errors import Forbidden, Retryable, Stopped

CLOUDS: Mapping[str, str] = {
    "https://graph.microsoft.com": "https://management.azure.com",
    "https://graph.microsoft.us": "https://management.usgovcloudapi.net",
    "https://dod-graph.microsoft.us": "https://management.usgovcloudapi.net",
    "https://microsoftgraph.chinacloudapi.cn": "https://management.chinacloudapi.cn",
}
"""Graph's service root to Resource Manager's (Azure docs, "Azure Resource Manager" of each national cloud)."""


class ResourceManager:
    """Reads. The token goes to `base_url` and nowhere else: redirects are not followed."""

    def __init__(self, base_url: str, tokens: TokenSource, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._base = base_url
        self._tokens = tokens
        self._transport = transport

    async def resource(self, resource_id: str, *, api_version: str) -> dict[str, Any] | None:
        """The resource's document; None where there is none. Raises Forbidden, Stopped and Retryable.

        `resource_id` begins with `/` and is the caller's to check.
        """
        try:
            token = await self._tokens.token()
        except Retryable as error:
            raise Stopped("there is no token for Azure Resource Manager", advice="sign in: az login") from error
        http = BoundedHttp("Azure Resource Manager", transport=self._transport)
        try:
            answer = await http.send(
                "GET",
                self._base + resource_id,
                params={"api-version": api_version},
                headers={"Authorization": f"Bearer {token}"},
            )
        finally:
            await http.close()
        said = f"Azure Resource Manager answered {answer.status}"
        if answer.status == 404:
            return None
        if answer.status == 403:
            raise Forbidden(said, advice="ask with the role Reader on the resource group")
        if answer.status == 401:
            raise Stopped(said, advice="sign in to the right tenant and cloud: az cloud set, az login")
        if not answer.successful:
            raise Retryable(said)
        if answer.fault:
            raise Retryable(f"Azure Resource Manager's answer {answer.fault}")
        try:
            document = orjson.loads(answer.content)
        except orjson.JSONDecodeError as error:
            raise Retryable(f"{said} with something that is not JSON") from error
        return document if isinstance(document, dict) else {}
