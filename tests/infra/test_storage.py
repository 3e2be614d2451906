"""Containers, who may do what in each, and how long each keeps what."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from connector.outside import settings
from connector.outside.store import UPLINK
from connector.vocabulary.run import Drop
from tests.infra.bicep import body, decorators, modules, parsed, resources, role_assignments, source

DATA = "modules/storage-data.bicep"
HOST = "modules/storage-host.bicep"


def main_default(parameter: str) -> Any:
    return parsed("main.bicep")["parameters"][parameter]["default"]


def containers() -> dict[str, str]:
    found: dict[str, str] = parsed("main.bicep")["variables"]["containers"]["value"]
    return found


def test_the_containers_are_those_that_the_code_uses_and_one_for_dead_letters() -> None:
    defaults = {
        name.removesuffix("_CONTAINER").lower(): value
        for name, value in settings.DEFAULTS.items()
        if "_CONTAINER" in name
    }
    assert containers() == {**defaults, "deadLetters": "deadletters"}
    made = resources(DATA, "Microsoft.Storage/storageAccounts/blobServices/containers")
    assert set(made) == set(containers())


def test_roles_are_exactly_these_and_the_identity_owns_nothing_of_hr() -> None:
    assert sorted(role_assignments()) == sorted(
        [
            ("storage-data:inbox", "connectorPrincipalId", "storageBlobDataReader"),
            ("storage-data:config", "connectorPrincipalId", "storageBlobDataReader"),
            ("storage-data:runs", "connectorPrincipalId", "storageBlobDataContributor"),
            ("storage-data:summaries", "connectorPrincipalId", "storageBlobDataContributor"),
            ("storage-data:account", "connectorPrincipalId", "storageQueueDataContributor"),
            # With a condition: doctor.json alone.
            ("storage-data:summaries", "deployerPrincipalId", "storageBlobDataReader"),
            ("storage-data:summaries", "opsGroupId", "storageBlobDataReader"),
            ("storage-data:config", "deployerPrincipalId", "storageBlobDataContributor"),
            ("storage-data:inbox", "deployerPrincipalId", "storageBlobDataOwner"),
            ("storage-host:account", "hostPrincipalId", "storageBlobDataOwner"),
            ("storage-host:account", "hostPrincipalId", "storageQueueDataContributor"),
            ("storage-host:account", "hostPrincipalId", "storageTableDataContributor"),
            ("events:deadLetters", "topic.identity.principalId", "storageBlobDataContributor"),
            ("monitoring:applicationInsights", "publisherPrincipalId", "monitoringMetricsPublisher"),
            ("key-access:key", "principalId", "keyVaultCryptoServiceEncryptionUser"),
        ]
    )


def test_role_ids_are_azures() -> None:
    known = {
        "storageBlobDataOwner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
        "storageBlobDataContributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
        "storageBlobDataReader": "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
        "storageQueueDataContributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
        "storageTableDataContributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
        "monitoringMetricsPublisher": "3913510d-42f4-4e42-8a64-420c390055eb",
        "keyVaultCryptoServiceEncryptionUser": "e147488a-f6f5-4113-8e2d-b22465e65bf6",
    }
    files = [DATA, HOST, "modules/events.bicep", "modules/monitoring.bicep", "modules/key-access.bicep"]
    written = {
        (name, variable["value"])
        for file in files
        for name, variable in parsed(file)["variables"].items()
        if name in known
    }
    assert written == set(known.items())


def test_an_assignments_name_follows_from_scope_principal_and_role() -> None:
    """Otherwise a second deployment makes a second assignment, or fails on the first."""
    for file in [DATA, HOST, "modules/monitoring.bicep", "modules/key-access.bicep"]:
        for assignment in resources(file, "Microsoft.Authorization/roleAssignments").values():
            of = assignment["name"]["function"]["parameters"]
            properties = assignment["properties"]
            assert of["base_string"]["operator"]["operands"] == {"operand_1": assignment["scope"], "operand_2": "id"}
            assert of["extra_string_1"] == properties["principalId"]
            assert of["extra_string_2"] == properties["roleDefinitionId"]["function"]["parameters"]["resource_name_1"]


@pytest.mark.parametrize("file", [DATA, HOST])
def test_no_account_has_a_usable_key_or_an_anonymous_reader(file: str) -> None:
    properties = resources(file, "Microsoft.Storage/storageAccounts")["account"]["properties"]
    wanted = {
        "allowSharedKeyAccess": False,
        "allowBlobPublicAccess": False,
        "allowCrossTenantReplication": False,
        "defaultToOAuthAuthentication": True,
        "minimumTlsVersion": "TLS1_2",
        "supportsHttpsTrafficOnly": True,
    }
    assert {name: properties[name] for name in wanted} == wanted


def rules() -> dict[str, dict[str, Any]]:
    variables = parsed(DATA)["variables"]
    fixed = [*variables["lifecycleOfContainers"]["value"], *variables["lifecycleOfVersions"]["value"]]
    return {rule["name"]: rule["definition"] for rule in [*fixed, variables["lifecycleOfRuns"]["value"]["config"]]}


def test_each_container_with_personal_data_is_cleaned_up() -> None:
    prefixes = {name: rule["filters"].get("prefixMatch") for name, rule in rules().items()}
    assert prefixes == {
        "inbox": ["${containers.inbox}/"],
        "summaries": ["${containers.summaries}/"],
        "deadletters": ["${containers.deadLetters}/"],
        "runs-${feedName}": ["${containers.runs}/${feedName}/2"],
        "versions": None,
    }
    days = {name: rule["actions"].get("baseBlob", {}).get("delete") for name, rule in rules().items()}
    assert days == {
        "inbox": {"daysAfterModificationGreaterThan": "inboxDays"},
        "summaries": {"daysAfterModificationGreaterThan": "summariesDays"},
        "deadletters": {"daysAfterModificationGreaterThan": "deadLettersDays"},
        "runs-${feedName}": {"daysAfterModificationGreaterThan": "runsDays"},
        "versions": None,
    }


def test_a_run_outlives_its_drop_whatever_the_parameters() -> None:
    """A drop in the inbox without a run gets one at the next tick: an old file would be sent again."""
    parameters = body(modules("main.bicep")["dataStorage"])["params"]
    assert parameters["inboxDays"] == "inboxDays"
    assert parameters["runsDays"]["operator"] == {
        "type": "add",
        "operands": {"operand_1": "inboxDays", "operand_2": "runsExtraDays"},
    }
    extra = decorators(parsed("main.bicep")["parameters"]["runsExtraDays"])
    assert extra["min_value"] >= 7
    assert main_default("runsExtraDays") >= extra["min_value"]


def test_the_rule_for_runs_meets_every_run_and_no_state_of_the_feed() -> None:
    """Run ids start with the year. A feed's snapshot and the uplink's count are worth keeping however old they are."""
    [rule] = rules()["runs-${feedName}"]["filters"]["prefixMatch"]
    prefix = rule.removeprefix("${containers.runs}/").replace("${feedName}", "employees")
    drop = Drop(feed="employees", name="a.csv", etag="0x1", bytes=1, landed=datetime(2026, 11, 24, tzinfo=UTC))
    blobs = [f"employees/{drop.run_id}/run.json", "employees/snapshot.jsonl.gz", UPLINK]
    assert [blob.startswith(prefix) for blob in blobs] == [True, False, False]


def test_versions_are_kept_where_the_account_can_have_them() -> None:
    properties = resources(DATA, "Microsoft.Storage/storageAccounts/blobServices")["blobs"]["properties"]
    assert properties["isVersioningEnabled"] == {"operator": {"type": "not", "operands": {"bool_value": "sftp"}}}
    assert properties["deleteRetentionPolicy"] == {"enabled": True, "days": "recoveryDays"}
    assert "sftp ? [] : lifecycleOfVersions" in source(DATA)


def test_an_sftp_user_has_a_key_no_password_and_no_right_on_a_whole_container() -> None:
    user = resources("modules/sftp.bicep", "Microsoft.Storage/storageAccounts/localUsers")["users"]["properties"]
    assert {name: value for name, value in user.items() if name != "sshAuthorizedKeys"} == {
        "homeDirectory": "${inboxContainer}/${feed.name}",
        "allowAclAuthorization": True,
        "permissionScopes": [],
        "hasSharedKey": False,
        "hasSshKey": True,
        "hasSshPassword": False,
    }
