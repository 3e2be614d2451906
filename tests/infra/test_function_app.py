"""The app's settings, triggers and limits against the code that reads them."""

from __future__ import annotations

import importlib
import json
import re
from datetime import timedelta
from typing import Any

import pytest

from connector.outside import settings
from connector.outside.settings import DEFAULTS
from connector.settling.settler import SETTLE_TIME_LIMIT
from connector.vocabulary.limits import duration
from tests.infra.bicep import ROOT, body, modules, parsed, resources, source

APP = "modules/function-app.bicep"
SUBSCRIPTION = "event-subscription.bicep"

# Read by the Functions host and the Azure Monitor distribution, not by the connector.
HOSTS_OWN = {
    "AzureWebJobsStorage__credential",
    "AzureWebJobsStorage__clientId",
    "AzureWebJobsStorage__blobServiceUri",
    "AzureWebJobsStorage__queueServiceUri",
    "AzureWebJobsStorage__tableServiceUri",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY",
}


def app_settings() -> dict[str, Any]:
    [config] = resources(APP, "Microsoft.Web/sites/config").values()
    assert config["name"] == "appsettings"
    found: dict[str, Any] = config["properties"]
    return found


def site() -> dict[str, Any]:
    return resources(APP, "Microsoft.Web/sites")["app"]


def main_parameter(name: str) -> Any:
    return parsed("main.bicep")["parameters"][name]["default"]


def test_no_setting_is_set_that_nothing_reads() -> None:
    assert set(app_settings()) - settings.NAMES - HOSTS_OWN == set()


def test_each_setting_that_the_code_reads_is_set_or_has_a_default() -> None:
    # HR_STORAGE is a connection string, for developers: an app with one would have a secret.
    assert settings.NAMES - set(app_settings()) - set(settings.DEFAULTS) == {"HR_STORAGE"}


def test_everything_is_reached_by_identity() -> None:
    values = app_settings()
    assert {name: value for name, value in values.items() if name.endswith("__credential")} == {
        "AzureWebJobsStorage__credential": "managedidentity",
        "HR_STORAGE__credential": "managedidentity",
    }
    assert {value for name, value in values.items() if "CLIENT" in name.upper()} == {"identityClientId"}
    assert values["APPLICATIONINSIGHTS_AUTHENTICATION_STRING"] == "ClientId=${identityClientId};Authorization=AAD"
    assert "AccountKey" not in source(APP)


@pytest.mark.parametrize(
    ("parameter", "setting"),
    [
        ("tickSchedule", "TICK_SCHEDULE"),
        ("sendLimit", "SEND_LIMIT"),
        ("sendQuota", "SEND_QUOTA"),
        ("sendTimeLimit", "SEND_TIME_LIMIT"),
        ("settleDeadline", "SETTLE_DEADLINE"),
    ],
)
def test_a_parameters_default_is_the_codes(parameter: str, setting: str) -> None:
    assert main_parameter(parameter) == settings.DEFAULTS[setting]
    assert app_settings()[setting] == parameter
    assert body(modules("main.bicep")["functionApp"])["params"][parameter] == parameter


def test_each_cloud_has_a_graph_that_the_code_accepts() -> None:
    by_cloud = parsed("main.bicep")["variables"]["graphByCloud"]["value"]
    assert set(by_cloud) == {"AzureCloud", "AzureUSGovernment", "AzureChinaCloud"}
    assert by_cloud["AzureCloud"] == settings.DEFAULTS["GRAPH_BASE_URL"]
    assert [settings.graph_base_url(url) for url in by_cloud.values()] == list(by_cloud.values())


def test_the_app_is_what_the_issue_says() -> None:
    config = site()["properties"]["functionAppConfig"]
    assert config["runtime"] == {"name": "python", "version": "3.13"}
    assert config["scaleAndConcurrency"] == {
        "maximumInstanceCount": "maximumInstanceCount",
        "instanceMemoryMB": "instanceMemoryMB",
    }
    assert (main_parameter("maximumInstanceCount"), main_parameter("instanceMemoryMB")) == (2, 2048)
    assert resources(APP, "Microsoft.Web/serverfarms")["plan"]["sku"] == {"name": "FC1", "tier": "FlexConsumption"}


def test_nobody_deploys_with_a_password_or_talks_in_clear() -> None:
    policies = resources(APP, "Microsoft.Web/sites/basicPublishingCredentialsPolicies").values()
    assert {policy["name"]: policy["properties"] for policy in policies} == {
        "scm": {"allow": False},
        "ftp": {"allow": False},
    }
    assert site()["properties"]["httpsOnly"] is True
    assert site()["properties"]["siteConfig"]["minTlsVersion"] == "1.2"


# Resource Manager's error 51021, "site configuration properties for Flex Consumption sites", word for word in
# Azure/azure-cli#31414 and Azure/terraform-azurerm-avm-res-web-site#283, #345. Older regions ignore them.
REFUSED = {
    "alwaysOn",
    "ftpsState",
    "functionsRuntimeScaleMonitoringEnabled",
    "linuxFxVersion",
    "netFrameworkVersion",
    "preWarmedInstanceCount",
    "use32BitWorkerProcess",
    "windowsFxVersion",
}
# What other tools send to Flex Consumption (Terraform's azurerm_function_app_flex_consumption, `site_config`).
TAKEN = {
    "http20Enabled",
    "ipSecurityRestrictions",
    "ipSecurityRestrictionsDefaultAction",
    "minTlsVersion",
    "scmIpSecurityRestrictions",
    "scmIpSecurityRestrictionsDefaultAction",
    "scmIpSecurityRestrictionsUseMain",
}
# "Flex Consumption plan deprecations": moved to functionAppConfig, set by the platform, or without a meaning there.
DEPRECATED = {
    "ENABLE_ORYX_BUILD",
    "FUNCTIONS_EXTENSION_VERSION",
    "FUNCTIONS_WORKER_RUNTIME",
    "FUNCTIONS_WORKER_RUNTIME_VERSION",
    "FUNCTIONS_MAX_HTTP_CONCURRENCY",
    "FUNCTIONS_WORKER_PROCESS_COUNT",
    "FUNCTIONS_WORKER_DYNAMIC_CONCURRENCY_ENABLED",
    "SCM_DO_BUILD_DURING_DEPLOYMENT",
    "WEBSITE_CONTENTAZUREFILECONNECTIONSTRING",
    "WEBSITE_CONTENTOVERVNET",
    "WEBSITE_CONTENTSHARE",
    "WEBSITE_DNS_SERVER",
    "WEBSITE_MAX_DYNAMIC_APPLICATION_SCALE_OUT",
    "WEBSITE_NODE_DEFAULT_VERSION",
    "WEBSITE_RUN_FROM_PACKAGE",
    "WEBSITE_SKIP_CONTENTSHARE_VALIDATION",
    "WEBSITE_VNET_ROUTE_ALL",
}


def test_the_app_has_no_property_that_flex_consumption_refuses() -> None:
    given = set(site()["properties"]["siteConfig"])
    assert (given & REFUSED, given - TAKEN) == (set(), set())
    assert set(app_settings()) & DEPRECATED == set()


@pytest.fixture
def bindings(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """By function: its trigger as function_app.py declares it, with the settings of the infrastructure."""
    names = parsed("main.bicep")["variables"]["containers"]["value"]
    monkeypatch.setenv("INBOX_CONTAINER", names["inbox"])
    monkeypatch.setenv("TICK_SCHEDULE", main_parameter("tickSchedule"))
    monkeypatch.syspath_prepend(str(ROOT))
    module = importlib.reload(importlib.import_module("function_app"))
    return {
        function.get_function_name(): next(binding.get_dict_repr() for binding in function.get_bindings())
        for function in module.app.get_functions()
    }


def test_the_triggers_connection_has_the_two_endpoints_that_it_needs(bindings: dict[str, dict[str, Any]]) -> None:
    connection = bindings["on_drop"]["connection"]
    assert {f"{connection}__blobServiceUri", f"{connection}__queueServiceUri"} <= set(app_settings())


def test_the_event_subscription_calls_the_function_that_watches_the_inbox(bindings: dict[str, dict[str, Any]]) -> None:
    parameters = parsed(SUBSCRIPTION)["parameters"]
    trigger = bindings[parameters["functionName"]["default"]]
    assert trigger["type"] == "blobTrigger"
    assert trigger["path"] == f"{parameters['inboxContainer']['default']}/{{feed}}/{{name}}"
    assert bindings["on_tick"]["schedule"] == main_parameter("tickSchedule")


def test_the_event_subscription_takes_complete_files_of_the_inbox_and_gives_up_late() -> None:
    [subscription] = resources(SUBSCRIPTION, "Microsoft.EventGrid/systemTopics/eventSubscriptions").values()
    properties = subscription["properties"]
    assert properties["filter"] == {
        "subjectBeginsWith": "/blobServices/default/containers/${inboxContainer}/blobs/",
        "includedEventTypes": ["Microsoft.Storage.BlobCreated"],
        "advancedFilters": [
            {
                "key": "data.api",
                "operatorType": "StringIn",
                "values": ["PutBlob", "PutBlockList", "CopyBlob", "FlushWithClose", "SftpCommit"],
            }
        ],
    }
    assert properties["retryPolicy"] == {"maxDeliveryAttempts": 30, "eventTimeToLiveInMinutes": 1440}
    dead_letters = properties["deadLetterWithResourceIdentity"]
    assert dead_letters["identity"] == {"type": "SystemAssigned"}
    assert dead_letters["deadLetterDestination"]["properties"]["blobContainerName"] == "deadLetterContainer"
    names = parsed("main.bicep")["variables"]["containers"]["value"]
    assert parsed(SUBSCRIPTION)["parameters"]["deadLetterContainer"]["default"] == names["deadLetters"]


def test_the_time_limits_together_end_five_minutes_before_the_host_would_kill() -> None:
    host = json.loads((ROOT / "host.json").read_text(encoding="utf-8"))
    hours, minutes, seconds = map(int, host["functionTimeout"].split(":"))
    sending, planning = duration(main_parameter("sendTimeLimit")), duration(DEFAULTS["PLAN_TIME_LIMIT"])
    assert main_parameter("sendTimeLimit") == DEFAULTS["SEND_TIME_LIMIT"]
    # Planning twice: side by side, and what is tried alone.
    longest = SETTLE_TIME_LIMIT + sending + 2 * planning + timedelta(minutes=5)
    assert longest <= timedelta(hours=hours, minutes=minutes, seconds=seconds)


def test_telemetry_has_no_key() -> None:
    insights = resources("modules/monitoring.bicep", "Microsoft.Insights/components")["applicationInsights"][
        "properties"
    ]
    assert insights["DisableLocalAuth"] is True
    assert insights["IngestionMode"] == "LogAnalytics"


def test_azd_finds_the_app_by_its_tag() -> None:
    [service] = re.findall(r"(?m)^services:\n  (\w+):", (ROOT / "azure.yaml").read_text(encoding="utf-8"))
    assert site()["tags"]["function"]["parameters"]["arg_2"] == {"'azd-service-name'": service}
