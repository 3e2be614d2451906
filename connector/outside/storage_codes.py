"""What an error code of Blob Storage means, and what to do about it ("Blob service error codes", "Common REST API error
codes", Microsoft Learn). Plain data: the status alone says too little, as a 409 may be a lease, a tier or a legal hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

SOMEBODY_ELSE: Final = frozenset(
    {
        "AppendPositionConditionNotMet",
        "BlobAlreadyExists",
        "BlobModifiedWhileReading",
        "BlobOverwritten",
        "ConditionNotMet",
        "ContainerAlreadyExists",
        # The blocks that were staged are gone: another instance has committed its own.
        "InvalidBlockList",
        "LeaseAlreadyBroken",
        "LeaseAlreadyPresent",
        "LeaseIdMismatchWithBlobOperation",
        "LeaseIdMismatchWithLeaseOperation",
        "LeaseIdMissing",
        "LeaseIsBreakingAndCannotBeAcquired",
        "LeaseIsBreakingAndCannotBeChanged",
        "LeaseIsBrokenAndCannotBeRenewed",
        "LeaseLost",
        "LeaseNotPresentWithBlobOperation",
        "LeaseNotPresentWithLeaseOperation",
        "PendingCopyOperation",
        "ResourceAlreadyExists",
    }
)
"""Another instance, or a person, changed or holds the blob: read again."""

ACCOUNT_BUSY: Final = frozenset(
    {"AccountBeingCreated", "ContainerBeingDeleted", "OperationTimedOut", "ServerBusy", "TooManyRequests"}
)
"""Passes by itself, whatever the status."""

ACCOUNT_REFUSES: Final[Mapping[str, str]] = {
    "AccountIsDisabled": "find out why the storage account is disabled (its page in the portal says so)",
    "AccountRequiresHttps": "write the blob endpoint with https",
    "ContainerDisabled": "enable the container again",
}
"""Nothing of one blob, but of the account or a container, until a person acts; with what to do."""

ONE_BLOB: Final[Mapping[str, tuple[str, str]]] = {
    "BlobArchived": (
        "is in the archive tier, where nothing can be read",
        "bring it online: `az storage blob set-tier --tier Hot`, which takes hours",
    ),
    "BlobBeingRehydrated": (
        "is being brought online from the archive tier",
        "nothing: that takes up to 15 hours",
    ),
    "BlobImmutableDueToLegalHold": (
        "is under a legal hold",
        "take the hold from the container, or from the blob",
    ),
    "BlobImmutableDueToPolicy": (
        "is under an immutability policy",
        "take the policy from the container: the connector has to change and delete its blobs there",
    ),
    "BlockCountExceedsLimit": (
        "has as many blocks as storage allows",
        "move it away: it is then begun anew",
    ),
    "InvalidBlobType": (
        "is of another type than the connector writes there, as after a restore or a copy",
        "move it away: the connector then makes it as it needs it",
    ),
}
"""What storage refuses about one blob, with what to do."""

OTHER_BLOB: Final = "move the blob away, or give it another name"

_ROLE: Final = "give the connector's identity its role on this container (infra/README.md)"
_KEYS: Final = "set HR_STORAGE__blobServiceUri in place of HR_STORAGE"
_KEY: Final = "set HR_STORAGE anew from the account's access keys, or check the identity's tenant"
_FIREWALL: Final = (
    "let the connector's network through the storage account's firewall (Networking, or a private endpoint); "
    f"if it has none, {_ROLE}"
)

_SAS: Final = "use a managed identity or the account's key: a shared access signature allows too little"

FORBIDDEN: Final[Mapping[str, tuple[str, str]]] = {
    "AuthenticationFailed": ("the key or token is not accepted", _KEY),
    "AuthorizationFailure": ("nobody is let in from this network", _FIREWALL),
    "AuthorizationPermissionMismatch": ("", _ROLE),
    "AuthorizationProtocolMismatch": ("the shared access signature does not allow this", _SAS),
    "AuthorizationResourceTypeMismatch": ("the shared access signature does not allow this", _SAS),
    "AuthorizationServiceMismatch": ("the shared access signature does not allow this", _SAS),
    "AuthorizationSourceIPMismatch": ("nobody is let in from this network", _FIREWALL),
    "InsufficientAccountPermissions": ("", _ROLE),
    "KeyBasedAuthenticationNotPermitted": ("the account takes no keys", _KEYS),
}
"""Each 403 by its code: what it means where the code does not say it, and what to do about it."""

OTHER_403: Final = ("", _ROLE)

CLOCK: Final = ("this machine's clock is {off} {way} the account's", "set this machine's clock by NTP")
CLOCK_TOLERANCE: Final = timedelta(minutes=14)
"""Storage refuses what is more than 15 minutes old ("Authorize with Shared Key")."""
