"""Keys that a feed file names and never holds: from Key Vault by the managed identity, or from a file on a developer's
machine."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from connector.vocabulary.errors import Fault, Retryable, Stopped, Unusable

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

KEY_VAULT = "keyvault:"
FILE = "file:"


class Secrets:
    """Reads secrets by reference. `credential` makes the credential for Key Vault; None: there is none to be had.

    `files` says whether `file:` references are read: on the machine of whoever tries a feed out, and nowhere else.
    `options` go to the SDK's pipeline.
    """

    def __init__(self, credential: Callable[[], TokenCredential] | None, *, files: bool, **options: Any) -> None:
        self._credential = credential
        self._files = files
        self._options = options

    def read(self, reference: str) -> bytes:
        """What is behind `keyvault:https://…/secrets/NAME[/VERSION]` or `file:PATH`; an armoured key as it stands.

        Raises Stopped when it is not to be had, Retryable when it may be later, Unusable for a `file:` in Azure.
        """
        if reference.startswith(KEY_VAULT):
            return self._from_vault(reference.removeprefix(KEY_VAULT))
        if reference.startswith(FILE):
            return self._from_file(reference.removeprefix(FILE))
        return reference.encode()

    def text(self, reference: str) -> str:
        """What `read` gives, as text without the line end that editors put there. Raises Unusable where it is none."""
        try:
            return self.read(reference).decode().rstrip("\r\n")
        except UnicodeDecodeError:
            # Not from the error, which holds the secret.
            raise Unusable("pgp", [Fault(message=f"what {reference} names is no UTF-8 text")]) from None

    def _from_vault(self, url: str) -> bytes:
        from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
        from azure.keyvault.secrets import SecretClient

        if self._credential is None:
            raise Unusable(
                url, [Fault(message="Key Vault is not asked here", advice="name the key with file: instead")]
            )
        parts = urlsplit(url)
        name, _, version = parts.path.removeprefix("/secrets/").partition("/")
        # The SDK's ten retries take minutes, and the next tick is the longer wait. A redirect is another host.
        options = {"retry_total": 2, "permit_redirects": False, "logging_enable": False, **self._options}
        client = SecretClient(f"https://{parts.hostname}", self._credential(), **options)
        try:
            value = client.get_secret(name, version or None).value
        except ValueError as error:
            # How the SDK says that the vault's challenge names the resource of another domain.
            raise Stopped(
                f"{parts.hostname} does not answer as a key vault of its cloud does",
                advice="see whether pgp: in the feed file names the right vault, and who answers in its place",
            ) from error
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
            raise Unusable("pgp", [Fault(message=f"{FILE}{path} cannot be read: {error.strerror}")]) from None


def no_secrets() -> Secrets:
    """For a preview: files alone."""
    return Secrets(None, files=True)


def vault_secrets(credential: Callable[[str], TokenCredential], client_id: str, *, files: bool) -> Secrets:
    """By the identity of `client_id`."""
    return Secrets(partial(credential, client_id), files=files)
