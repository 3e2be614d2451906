"""Keys that a feed file names and never holds: from Key Vault by the managed identity, or from a file on a developer's
machine."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from connector.errors import Fault, Retryable, Stopped, Unusable

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

KEY_VAULT = "keyvault:"
FILE = "file:"


class Secrets:
    """Reads secrets by reference. `credential` makes the credential for Key Vault; None: there is none to be had.

    `files` says whether `file:` references are read: on the machine of whoever tries a feed out, and nowhere else.
    """

    def __init__(self, credential: Callable[[], TokenCredential] | None, *, files: bool) -> None:
        self._credential = credential
        self._files = files

    def read(self, reference: str) -> bytes:
        """What is behind `keyvault:https://…/secrets/NAME[/VERSION]` or `file:PATH`; an armoured key as it stands.

        Raises Stopped when it is not to be had, Retryable when it may be later, Unusable for a `file:` in Azure.
        """
        if reference.startswith(KEY_VAULT):
            return self._from_vault(reference.removeprefix(KEY_VAULT))
        if reference.startswith(FILE):
            return self._from_file(reference.removeprefix(FILE))
        return reference.encode()

    def _from_vault(self, url: str) -> bytes:
        from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
        from azure.keyvault.secrets import SecretClient

        if self._credential is None:
            raise Unusable(
                url, [Fault(message="Key Vault is not asked here", advice="name the key with file: instead")]
            )
        parts = urlsplit(url)
        name, _, version = parts.path.removeprefix("/secrets/").partition("/")
        client = SecretClient(f"https://{parts.hostname}", self._credential())
        try:
            value = client.get_secret(name, version or None).value
        except ClientAuthenticationError as error:
            raise Retryable(f"no token for the key vault {parts.hostname}") from error
        except HttpResponseError as error:
            if error.status_code in {403, 404}:
                raise Stopped(
                    f"the key vault {parts.hostname} answered {error.status_code} to the secret {name}",
                    advice="make the secret, and give the connector's identity the role Key Vault Secrets User",
                ) from error
            raise Retryable(f"the key vault {parts.hostname} answered {error.status_code}") from error
        except AzureError as error:
            raise Retryable(f"the key vault {parts.hostname} could not be reached") from error
        finally:
            client.close()
        return (value or "").encode()

    def _from_file(self, path: str) -> bytes:
        if not self._files:
            fault = Fault(
                message="file: names a key on this machine, where there is none", advice="name it with keyvault:"
            )
            raise Unusable(f"{FILE}{path}", [fault])
        try:
            return Path(path).read_bytes()
        except OSError as error:
            raise Unusable(f"{FILE}{path}", [Fault(message=f"cannot be read: {error.strerror}")]) from None


def no_secrets() -> Secrets:
    """For a preview: files alone."""
    return Secrets(None, files=True)


def vault_secrets(credential: Callable[[str], TokenCredential], client_id: str, *, files: bool) -> Secrets:
    """By the identity of `client_id`."""
    return Secrets(partial(credential, client_id), files=files)
