"""The whole managed-identity path, once: https, tokens for storage and for Graph, and no key anywhere."""

from __future__ import annotations

from azure.storage.blob import BlobServiceClient

from connector.sandbox.faults import Endpoint
from connector.sandbox.servers import ACCOUNT_KEY, Azurite
from connector.sandbox.settings import SandboxSettings
from tests.kit.account import Account, outcomes, rows
from tests.kit.people import csv_of, ids, workers
from tests.kit.servers import MakeSandbox

CLIENT_ID = "4c3f2f0e-6f43-4b5a-9d0c-0d6a3a0f9b11"


def test_a_drop_comes_home_by_managed_identity_over_https_without_any_key(
    azurite_oauth: Azurite, containers: dict[str, str], make_sandbox: MakeSandbox
) -> None:
    # The identity endpoint knows this one identity, so each credential must have named it.
    entra = make_sandbox(SandboxSettings.immediate(client_id=CLIENT_ID))
    with BlobServiceClient.from_connection_string(
        azurite_oauth.connection_string, connection_verify=str(azurite_oauth.certificate)
    ) as service:
        account = Account(service=service, containers=containers)
        account.environment = {
            "HR_STORAGE__blobServiceUri": azurite_oauth.blob_service,
            "HR_STORAGE__queueServiceUri": azurite_oauth.queue_service,
            "HR_STORAGE__credential": "managedidentity",
            "HR_STORAGE__clientId": CLIENT_ID,
            "AZURE_CLIENT_ID": CLIENT_ID,
            "REQUESTS_CA_BUNDLE": str(azurite_oauth.certificate),
            **entra.identity_environment(),
            **containers,
        }
        told = " ".join(account.environment.values())
        assert (azurite_oauth.blob_service.startswith("https://"), ACCOUNT_KEY in told, "AccountKey" in told) == (
            True,
            False,
            False,
        )
        account.prepare()
        account.feed("people")
        account.drop("people/today.csv", csv_of(workers(60)))

        ticked = account.tick_until_settled("people")

        summary = account.summary("people")
        assert {(tick.code, tick.errors) for tick in ticked} == {(0, "")}
        assert (summary["state"], summary["rows"], summary["outcomes"]) == (
            "settled",
            rows(sent=60),
            outcomes(created=60),
        )
        assert sorted(entra.report.people_received) == ids(workers(60))
        # One for storage and one for Graph, in each process.
        assert entra.report.statuses(Endpoint.TOKEN) == {200: 2 * len(ticked)}
