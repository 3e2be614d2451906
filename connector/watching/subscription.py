"""The Event Grid subscription that tells the function app of drops, as Resource Manager shows it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from connector.watching.findings import Finding, Result

if TYPE_CHECKING:
    from connector.outside.resource_manager import ResourceManager


EVENT_API = "2025-02-15"
FUNCTION = "Host.Functions.on_drop"
# Azure Functions, "Azure Event Grid trigger for blobs": complete writes, SFTP and Data Lake among them.
COMPLETED = frozenset({"PutBlob", "PutBlockList", "CopyBlob", "FlushWithClose", "SftpCommit"})

_SUBSCRIPTION = re.compile(
    r"/subscriptions/[0-9a-f-]{36}/resourceGroups/[\w.()-]{1,90}/providers/Microsoft\.EventGrid"
    r"/(?:systemTopics/[A-Za-z0-9-]{3,50}/)?eventSubscriptions/[A-Za-z0-9-]{3,64}",
    re.IGNORECASE | re.ASCII,
)


async def subscription(manager: ResourceManager, resource_id: str, app: str, inbox: str) -> list[Finding]:
    """The Event Grid subscription (Azure REST API, "System Topic Event Subscriptions - Get").

    `app` is the function app's name, "" where it is not known.
    """
    name = "event subscription"
    again = "run infra/hooks/postdeploy"
    if not _SUBSCRIPTION.fullmatch(resource_id):
        advice = "it is /subscriptions/…/providers/Microsoft.EventGrid/systemTopics/…/eventSubscriptions/…"
        fault = "EVENT_SUBSCRIPTION_ID is not the resource id of an Event Grid subscription"
        return [Finding(name=name, result=Result.FAIL, message=fault, advice=advice)]
    document = await manager.resource(resource_id, api_version=EVENT_API)
    if document is None:
        message = "is not there: drops wait for the tick"
        return [Finding(name=name, result=Result.FAIL, message=message, advice=again)]
    properties = _object(document.get("properties"))
    problems: list[tuple[Result, str]] = []
    state = properties.get("provisioningState")
    if state != "Succeeded":
        under_way = state in {"Creating", "Updating", "AwaitingManualAction"}
        problems.append((Result.WARN if under_way else Result.FAIL, f"its provisioning state is {state}"))
    problems += _destination_problems(_object(properties.get("destination")), app)
    problems += _filter_problems(_object(properties.get("filter")), inbox)
    if problems:
        return [Finding(name=name, result=result, message=said, advice=again) for result, said in problems]
    return [Finding(name=name, result=Result.OK, message=f"from {inbox} to on_drop")]


def _destination_problems(destination: Mapping[str, Any], app: str) -> Iterator[tuple[Result, str]]:
    if destination.get("endpointType") != "WebHook":
        yield Result.FAIL, "its destination is no webhook"
        return
    properties = _object(destination.get("properties"))
    # Resource Manager shows no more than the base: what follows has the app's key in it, and is not asked for.
    endpoint = urlsplit(str(properties.get("endpointBaseUrl") or properties.get("endpointUrl") or ""))
    function = parse_qs(endpoint.query).get("functionName", [FUNCTION])[0]
    if endpoint.scheme != "https" or endpoint.path != "/runtime/webhooks/blobs":
        yield Result.FAIL, "its destination is not the blob trigger's webhook"
    elif function.lower() != FUNCTION.lower():
        yield Result.FAIL, f"its destination is not the function {FUNCTION}"
    host = (endpoint.hostname or "").partition(".")[0]
    # A default host name is the app's name, with a hash after it where names are unique by region.
    if app and host != app.lower() and not host.startswith(f"{app.lower()}-"):
        yield Result.FAIL, f"its destination is another app than {app}"


def _filter_problems(criteria: Mapping[str, Any], inbox: str) -> Iterator[tuple[Result, str]]:
    expected = f"/blobServices/default/containers/{inbox}/blobs/"
    if criteria.get("subjectBeginsWith") != expected:
        yield Result.FAIL, f"its filter is not on the inbox: subjectBeginsWith is not {expected}"
    if criteria.get("subjectEndsWith"):
        yield Result.WARN, "it has a filter on how names end: other drops wait for the tick"
    types = criteria.get("includedEventTypes")
    if types is not None and "Microsoft.Storage.BlobCreated" not in types:
        yield Result.FAIL, "it does not include Microsoft.Storage.BlobCreated"
    calls = [
        set(only.get("values") or ())
        for only in criteria.get("advancedFilters") or ()
        if isinstance(only, dict) and str(only.get("key")).lower() == "data.api"
    ]
    if not calls:
        yield Result.WARN, "it has no filter on data.api: an SFTP upload starts a run on half a file"
    elif missing := sorted(COMPLETED - set.intersection(*calls)):
        yield Result.WARN, f"it leaves out {', '.join(missing)}: drops written so wait for the tick"


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
