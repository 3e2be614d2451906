"""What to do about an error of Entra's provisioning log, where the log itself recommends nothing.

Facts: Microsoft's articles "Troubleshoot issues with inbound provisioning API", "Troubleshoot HR user creation issues",
"… user update issues", "… manager update issues", "Troubleshoot insufficient access rights error", and the error code
table of "How to analyze the Microsoft Entra provisioning logs".
"""

from __future__ import annotations

import re
from typing import Final

LOOK_IT_UP: Final = "Open this person's entry in Entra's provisioning log: its steps show where it stopped and why."

_TRANSIENT: Final = (
    "Nothing: Entra repeats this attempt by itself in its next cycle. Act only if the error stays for a day."
)
_RIGHTS: Final = "Give the provisioning app the rights to change this account in the target directory."
_CONFLICT: Final = (
    "Another account already holds a value that must be unique. Either it is the same person: set its employeeId to "
    "this externalId, so that it is matched; or change the value in the HR system."
)
_DUPLICATE_NAME: Final = (
    "Another account already has this sign-in name. If it is the same person, set that account's employeeId to this "
    "externalId, so that it is matched and not created again; if not, give the new person another userName."
)
_INVALID_NAME: Final = (
    "Make the feed's userName a valid sign-in name: letters, digits and . - _ ' before a single @, then a domain of "
    "the tenant (NormalizeDiacritics and StripSpaces help)."
)
_DOMAIN: Final = (
    "Use a domain that is verified in this tenant in the feed's userName, or let the app's userPrincipalName mapping "
    "end in DefaultDomain()."
)
_EMPTY: Final = (
    "Active Directory takes no empty strings. In the provisioning app, wrap the attribute's mapping in "
    "IgnoreFlowIfNullOrEmpty, or give it a value for the empty case with Switch."
)
_MISSING: Final = (
    "Fill the missing values in the HR system, or map the required attribute in the feed file and in the app."
)
_UNKNOWN_ATTRIBUTE: Final = (
    "Correct or remove the app's mapping to an attribute that the target directory does not have."
)
_OUT_OF_SCOPE: Final = (
    "The app's scoping filter leaves this person out. If that is not intended, widen the filter in the provisioning "
    "app."
)
UNREADABLE: Final = (
    "Graph could not read this person's record: compare its attributes with the SCIM user schema and with the custom "
    "attributes that the provisioning app declares."
)
_MANAGER: Final = (
    "The manager is not known yet: the manager must be in a drop and in the app's scope. "
    "Entra sets the manager by itself once that person is there."
)

_BY_CODE: Final[dict[str, str]] = {
    code.casefold(): text
    for codes, text in (
        ("AzureActiveDirectoryInvalidUserPrincipalName", _INVALID_NAME),
        ("AzureActiveDirectoryDuplicateUserPrincipalName", _DUPLICATE_NAME),
        ("InvalidDomain", _DOMAIN),
        ("InvalidAttributeSyntax-LdapErr InvalidAttributeSyntax", _EMPTY),
        (
            "HybridSynchronizationActiveDirectoryCannotFindAttribute",
            "Active Directory does not know an attribute of the app's mapping. If it was added lately, restart the "
            "provisioning agent, which reads the schema only when it starts.",
        ),
        (
            "HybridSynchronizationActiveDirectoryInsufficientAccessRights InsufficientAccessRights-SecErr",
            "The provisioning agent may not change this account: turn permission inheritance on for its OU and those "
            "above, and check whether the account is in a protected group of Active Directory.",
        ),
        ("InsufficientRights MethodNotAllowed NotPermitted Unauthorized", _RIGHTS),
        ("Conflict EntryConflict", _CONFLICT),
        (
            "DuplicateTargetEntries",
            "More than one account matches this person. Leave the externalId in the employeeId of one account only, "
            "or choose another matching attribute in the app.",
        ),
        (
            "DuplicateSourceEntries",
            "More than one HR record matches the same account: give each person an externalId of their own.",
        ),
        (
            "InvalidAnchor",
            "The account that was matched before is gone. Restore it, or have an administrator restart the "
            "provisioning job, which matches everybody anew.",
        ),
        ("InvalidDataFormat", UNREADABLE),
        ("MandatoryFieldsMissing MissingValues", _MISSING),
        ("SchemaAttributeNotFound", _UNKNOWN_ATTRIBUTE),
        (
            "SchemaPropertyCanOnlyAcceptValue",
            "The target attribute takes one value and several were sent: map a single value to it, in the feed file "
            "or in the app.",
        ),
        (
            "AzureActiveDirectoryCannotUpdateObjectsOriginatedInExternalService",
            "An attribute of this account, such as mail, is mastered elsewhere: change it there (Exchange Online, "
            "say) and take it out of the app's update mapping.",
        ),
        (
            "AzureActiveDirectoryQuotaLimitExceeded",
            "The tenant holds as many objects as it may: remove some or have its directory quota raised.",
        ),
        ("LicenseLimitExceeded", "No licence is left for this person: get more, or send fewer people."),
        ("InternalError InternalServerError Timeout TooManyRequests WebExceptionProtocolError", _TRANSIENT),
        (
            "ImportSkipped",
            "The person has no value in the app's matching attribute: map externalId, and match it with employeeId in "
            "the app.",
        ),
        ("RedundantExport", "Nothing: the account is already up to date."),
        ("NotEffectivelyEntitled", _OUT_OF_SCOPE),
        (
            "EntrySynchronizationSkipped",
            "Nothing, if the account is already up to date; otherwise check the scoping filter of the provisioning "
            "app.",
        ),
        ("UnableToResolveReferenceAttributeValue", _MANAGER),
    )
    for code in codes.split()
}

# Entra puts some of what it knows only into the reason's sentence; the most telling phrase comes first.
_BY_PHRASE: Final[tuple[tuple[str, str], ...]] = (
    ("domain does not exist", _DOMAIN),
    ("invalidattributesyntax", _EMPTY),
    ("insuff_access_rights", _BY_CODE["insufficientaccessrights-secerr"]),
    ("as the manager of", _MANAGER),
    ("invalid data format", UNREADABLE),
)

_WHITE: Final = re.compile(r"\s+")
_QUOTED: Final = re.compile(r"(?<!\w)'[^']*'(?!\w)|\"[^\"]*\"|\[[^\[\]]*\]")
_TELLING: Final = re.compile(r"[@\d]")


def advise(code: str, reason: str) -> str:
    """What to do about an error code or a skip reason of the provisioning log, in a sentence or two.

    An unknown code gets no guess but the place to look; two empty strings get "".
    """
    code, reason = _WHITE.sub("", code), _WHITE.sub(" ", reason).strip()
    if known := _BY_CODE.get(code.casefold()):
        return known
    said = f"{code} {reason}".casefold()
    for phrase, text in _BY_PHRASE:
        if phrase in said:
            return text
    return LOOK_IT_UP if code or reason else ""


def without_values(reason: str) -> str:
    """Entra's reason with "…" for what is in quotes or brackets and for words that hold a digit or an "@".

    People with the same trouble mostly get the same text. A bare name stays: this is no anonymiser.
    """
    return " ".join("…" if _TELLING.search(word) else word for word in _QUOTED.sub("…", reason).split())
