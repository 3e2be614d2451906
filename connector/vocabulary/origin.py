"""The origin of a URL, which decides who receives a token, and the hosts that may: parsed here and nowhere else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

# Graph page "Microsoft Graph national cloud deployments", service root endpoints.
PUBLIC_CLOUDS: Final = frozenset(
    {"graph.microsoft.com", "graph.microsoft.us", "dod-graph.microsoft.us", "microsoftgraph.chinacloudapi.cn"}
)

_PORTS: Final = {"https": 443, "http": 80}
_ORIGIN: Final = re.compile(r"(https?)://([A-Za-z0-9.-]+|\[::1\])(?::([0-9]{1,5}))?", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Scheme, host (lower case, IPv6 in brackets) and port."""

    scheme: str
    host: str
    port: int

    @property
    def public(self) -> bool:
        """Whether it is a public Graph cloud's."""
        return self.scheme == "https" and self.port == _PORTS["https"] and self.host in PUBLIC_CLOUDS

    @property
    def loopback(self) -> bool:
        """Whether it is this machine: `http` is for these alone."""
        return is_loopback(self.host.strip("[]"))


def is_loopback(host: str) -> bool:
    """True of `localhost` and of loopback IP addresses."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def origin(url: str) -> Origin:
    """Of `https://host` or `https://host:port`, with or without a slash at the end. Raises ValueError otherwise."""
    match = _ORIGIN.fullmatch(url.rstrip("/"))
    if match is None:
        raise ValueError("wants scheme and host alone, such as https://graph.microsoft.com")
    scheme = match[1].lower()
    return Origin(scheme=scheme, host=match[2].lower(), port=int(match[3]) if match[3] else _PORTS[scheme])
