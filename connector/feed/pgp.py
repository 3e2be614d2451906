"""The section `pgp`: where keys are, and whose signature counts."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field

from connector.feed.base import Section, wrong

# Azure's Key Vault DNS suffixes (Azure docs, "Azure Key Vault security worlds", "Key Vault and managed HSM DNS
# suffixes"): a token for a vault must not travel to any other host either.
_SECRET: Final = re.compile(
    r"keyvault:https://[a-z0-9-]{3,24}\.(?:vault\.azure\.net|vault\.azure\.cn|vault\.usgovcloudapi\.net)"
    r"/secrets/[A-Za-z0-9-]{1,127}(?:/[0-9a-f]{32})?",
    re.ASCII,
)
_LOCAL: Final = re.compile(r"file:[^\x00-\x1f]+")
_ARMOUR: Final = "-----BEGIN PGP PUBLIC KEY BLOCK-----"


def _secret(value: Any) -> Any:
    if not isinstance(value, str) or not (_SECRET.fullmatch(value) or _LOCAL.fullmatch(value)):
        raise wrong(
            "does not say where the key is",
            "keyvault:https://VAULT.vault.azure.net/secrets/NAME, or file:PATH for a trial on one's own machine",
        )
    return value


def _certificate(value: Any) -> Any:
    return value if isinstance(value, str) and value.lstrip().startswith(_ARMOUR) else _secret(value)


class Pgp(Section):
    """How to decrypt drops, and whose signature they must carry. Keys are named here, never written here."""

    key: Annotated[str, BeforeValidator(_secret, json_schema_input_type=str)]
    passphrase: Annotated[str, BeforeValidator(_secret, json_schema_input_type=str)] | None = Field(
        default=None, description="Where the private key's passphrase is, if it has one."
    )
    signed_by: tuple[Annotated[str, BeforeValidator(_certificate, json_schema_input_type=str)], ...] = Field(
        default=(),
        description="Public keys, one of which must have signed: keyvault:…, file:…, or the armoured text itself.",
    )
