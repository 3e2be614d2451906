"""Alerts and workbook against what the connector says: a renamed event breaks the build, and not the alert.

The Kusto language service (npm, `@kusto/language-service-next`) analyses every query as the portal would.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from connector.outside.telemetry.names import EVENTS, METRICS, SPANS
from tests.infra.bicep import INFRA, ROOT, decorators, parsed, resources

QUERIES = {path.stem: path.read_text(encoding="utf-8") for path in sorted((INFRA / "queries").glob("*.kql"))}
RUNBOOKS = ROOT / "docs" / "runbooks"

# Azure Monitor reference, "Tables": what all of them have, then each one's own.
COMMON = (
    "TenantId: string, TimeGenerated: datetime, OperationName: string, OperationId: string, ParentId: string, "
    "SyntheticSource: string, SessionId: string, UserId: string, UserAuthenticatedId: string, UserAccountId: string, "
    "AppVersion: string, AppRoleName: string, AppRoleInstance: string, ClientType: string, ClientModel: string, "
    "ClientOS: string, ClientIP: string, ClientCity: string, ClientStateOrProvince: string, "
    "ClientCountryOrRegion: string, ClientBrowser: string, ResourceGUID: string, IKey: string, SDKVersion: string, "
    "SourceSystem: string, Type: string, Properties: dynamic, ItemCount: int, _ResourceId: string, _IsBillable: string"
)
TABLES = {
    name: f"({COMMON}, {own})"
    for name, own in {
        "AppTraces": "Message: string, SeverityLevel: int, Measurements: dynamic",
        "AppRequests": (
            "Id: string, Source: string, Name: string, Url: string, Success: bool, ResultCode: string, "
            "DurationMs: real, PerformanceBucket: string, Measurements: dynamic"
        ),
        "AppDependencies": (
            "Id: string, Target: string, DependencyType: string, Name: string, Data: string, Success: bool, "
            "ResultCode: string, DurationMs: real, PerformanceBucket: string, Measurements: dynamic"
        ),
        "AppExceptions": (
            "ProblemId: string, HandledAt: string, ExceptionType: string, Assembly: string, Method: string, "
            "OuterType: string, OuterMessage: string, OuterAssembly: string, OuterMethod: string, "
            "InnermostType: string, InnermostMessage: string, InnermostAssembly: string, InnermostMethod: string, "
            "SeverityLevel: int, Details: dynamic, Measurements: dynamic"
        ),
        "AppMetrics": "Name: string, Sum: real, Min: real, Max: real",
    }.items()
}
# What is said of a run, whatever it is, and of a call to Graph.
ANYWHERE = {"feed", "run", "request-id", "client-request-id"}
PLACEHOLDERS = {"ApplicationInsights", "Run", "Feed"}
# Documentation of scheduledQueryRules: frequencies and windows that it takes.
PERIODS = ("PT5M", "PT10M", "PT15M", "PT30M", "PT45M", "PT1H", "PT2H", "PT3H", "PT4H", "PT5H", "PT6H", "P1D", "P2D")


BROKEN = {
    "event": 'AppTraces | where Message == "run setled"',
    "events": 'AppTraces | where Message in ("run settled", "run gone")',
    "field": 'AppTraces | where Message == "run settled" | project tostring(Properties.second)',
    "key": 'AppTraces | where Message == "run settled" | project tostring(Properties["second"])',
    "other event's field": 'AppTraces | where Message == "run settled" | project tostring(Properties.job)',
    "metric": 'AppMetrics | where Name == "connector.row"',
    "attribute": 'AppMetrics | where Name == "connector.rows" | project tostring(Properties.status)',
    "span": 'AppDependencies | where Name in ("plan", "planned")',
    "keys": 'AppTraces | where Message == "run sent" | mv-expand K = bag_keys(Properties) | where K startswith "rows_"',
}
WRONG = {"column": "AppTraces | where Mesage == 1", "table": "AppTrace", "syntax": "AppTraces | where ("}
ALL = {"ours": QUERIES, "broken": BROKEN, "wrong": WRONG}


def analysed(queries: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """What the language service says of each query: diagnostics, result columns, and what it reads."""
    node = shutil.which("node")
    if node is None or not (ROOT / "node_modules" / "@kusto" / "language-service-next").exists():
        pytest.skip("Node.js or @kusto/language-service-next is not installed: npm ci")
    done = subprocess.run(
        [node, str(Path(__file__).with_name("kusto.js"))],
        input=json.dumps({"tables": TABLES, "queries": dict(queries)}),
        # The package's own search starts at the script, which may be a link to somewhere else.
        env={**os.environ, "NODE_PATH": str(ROOT / "node_modules")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found


@cache
def all_analysed() -> dict[str, dict[str, Any]]:
    # In one process: to load the language service takes most of its time.
    return analysed({f"{kind}/{name}": text for kind, texts in ALL.items() for name, text in texts.items()})


def reads_of(kind: str) -> dict[str, dict[str, Any]]:
    found = all_analysed()
    return {name: found[f"{kind}/{name}"] for name in ALL[kind]}


def ours() -> dict[str, dict[str, Any]]:
    return reads_of("ours")


def strangers(reads: Mapping[str, Any]) -> list[str]:
    """What a query names that nobody says."""
    fields = set(ANYWHERE)
    unknown: list[str] = []
    for message in reads["messages"]:
        fields |= EVENTS.get(message, set())
        unknown += [] if message in EVENTS else [f"event {message}"]
    for name in reads["names"]:
        if name in METRICS:
            fields |= METRICS[name].attributes
        elif name in SPANS:
            fields |= SPANS[name]
        else:
            unknown.append(f"name {name}")
    unknown += [f"field {name}" for name in reads["properties"] if name not in fields]
    unknown += [
        f"fields {key}…" for key in reads["keys"] if key[-1:] == "_" and not any(f.startswith(key) for f in fields)
    ]
    return unknown


@cache
def alerts() -> list[dict[str, Any]]:
    """The list in alerts.bicep."""
    found: list[dict[str, Any]] = parsed("modules/alerts.bicep")["variables"]["alerts"]["value"]
    return found


def query_of(alert: Mapping[str, Any]) -> str:
    return Path(alert["query"]["function"]["parameters"]["file_path"]).stem


@cache
def build() -> Any:
    specification = importlib.util.spec_from_file_location("workbook_build", INFRA / "workbook" / "build.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_is_what_kusto_takes(name: str) -> None:
    assert ours()[name]["diagnostics"] == []
    assert ours()[name]["tables"] != []


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_reads_only_what_the_connector_says(name: str) -> None:
    assert strangers(ours()[name]) == []


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_reads_the_records_of_its_own_app_and_has_known_placeholders(name: str) -> None:
    text = re.sub(r"(?m)^\s*//.*$", "", QUERIES[name])
    tables = re.findall(rf"\b({'|'.join(TABLES)})\b", text)
    assert text.count('_ResourceId =~ "{ApplicationInsights}"') == len(tables)
    assert set(re.findall(r"\{(\w+)\}", text)) <= PLACEHOLDERS
    assert QUERIES[name].startswith("// ")


def test_what_nobody_says_is_noticed() -> None:
    found = {name: strangers(reads) for name, reads in reads_of("broken").items()}
    assert found == {
        "event": ["event run setled"],
        "events": ["event run gone"],
        "field": ["field second"],
        "key": ["field second"],
        "other event's field": ["field job"],
        "metric": ["name connector.row"],
        "attribute": ["field status"],
        "span": ["name planned"],
        "keys": ["fields rows_…"],
    }


def test_a_wrong_query_is_noticed() -> None:
    assert [name for name, reads in reads_of("wrong").items() if not reads["diagnostics"]] == []


def test_every_query_is_an_alerts_or_a_part_of_the_workbook() -> None:
    shown = {part[0] for _, parts in build().TABS.values() for part in parts} | {"run-list", "feed-list"}
    asked = [query_of(alert) for alert in alerts()]
    assert sorted(asked) == sorted(name for name in QUERIES if name.startswith("alert-"))
    assert shown | set(asked) == set(QUERIES)


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["name"])
def test_an_alert_is_complete(alert: dict[str, Any]) -> None:
    name = alert["name"]
    assert query_of(alert) == f"alert-{name}"
    columns = ours()[f"alert-{name}"]["columns"]
    by = [dimension.removeprefix("by") for dimension in alert["dimensions"]]
    assert columns == {**dict.fromkeys(by, "string"), "Value": "real"}
    assert alert["severity"] in range(5)
    assert PERIODS.index(alert["frequency"]) <= PERIODS.index(alert["window"])
    if isinstance(alert["threshold"], str):
        parameter = parsed("modules/alerts.bicep")["parameters"][alert["threshold"]]
        assert {"description", "min_value", "max_value"} <= set(decorators(parameter))


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["name"])
def test_an_alert_has_a_runbook(alert: dict[str, Any]) -> None:
    text = (RUNBOOKS / f"{alert['name']}.md").read_text(encoding="utf-8")
    assert re.findall(r"(?m)^## (.*)$", text) == ["What you see", "What to do first", "How to prove that it is over"]
    assert re.search(r"(?m)^# ", text)
    assert f"`{alert['name']}`" in text and f"severity {alert['severity']}" in text.lower()


def test_every_runbook_has_an_alert_and_is_in_the_list() -> None:
    pages = {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"}
    assert pages == {alert["name"] for alert in alerts()}
    listed = re.findall(r"\]\(([\w-]+)\.md\)", (RUNBOOKS / "README.md").read_text(encoding="utf-8"))
    assert sorted(listed) == sorted(pages)


def test_dimensions_split_by_the_column_of_their_name() -> None:
    variables = parsed("modules/alerts.bicep")["variables"]
    used = {dimension for alert in alerts() for dimension in alert["dimensions"]}
    assert {name: variables[name]["value"] for name in used} == {
        name: {"name": name.removeprefix("by"), "operator": "Include", "values": ["*"]} for name in used
    }


def test_rules_compare_the_value_column_and_resolve_by_themselves() -> None:
    [rule] = resources("modules/alerts.bicep", "Microsoft.Insights/scheduledQueryRules").values()
    [criterion] = rule["properties"]["criteria"]["allOf"]
    assert {name: criterion[name] for name in ("metricMeasureColumn", "timeAggregation", "operator")} == {
        "metricMeasureColumn": "Value",
        "timeAggregation": "Maximum",
        "operator": "GreaterThan",
    }
    assert rule["properties"]["autoMitigate"] is True


def test_the_workbook_is_made_of_the_queries_as_they_are() -> None:
    current = (INFRA / "workbook" / "workbook.json").read_text(encoding="utf-8")
    assert current == build().text(), "run: python infra/workbook/build.py"
    # loadTextContent takes no more (Bicep documentation, "File functions").
    assert len(current) < 131_072


def test_the_workbook_shows_now_a_run_failures_and_trends() -> None:
    items = build().workbook()["items"]
    shown = [item for item in items if item["type"] == 3]
    assert {item["conditionalVisibility"]["value"] for item in shown} == {"now", "run", "failures", "trends"}
    assert {item["content"]["query"] for item in shown} <= {text.strip() for text in QUERIES.values()}
    chosen = {p["name"] for item in items if item["type"] == 9 for p in item["content"]["parameters"]}
    assert chosen == {"TimeRange", "Feed", "Tab", "Run"}
    assert len({item["name"] for item in items}) == len(items)
