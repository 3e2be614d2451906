"""Makes workbook.json of ../queries: `python infra/workbook/build.py`. A test holds the file against what this gives.

`{Workspace}` and `{ApplicationInsights}` are put in by workbook.bicep; `{Run}` and `{Feed}` are the reader's choice.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

QUERIES = Path(__file__).resolve().parents[1] / "queries"
TARGET = Path(__file__).with_name("workbook.json")
WORKSPACE = "microsoft.operationalinsights/workspaces"

# Tab, then its parts: query, title, how it is shown, width in percent.
TABS: dict[str, tuple[str, tuple[tuple[str, str, str, int], ...]]] = {
    "now": (
        "Now",
        (
            ("now-connector", "The connector", "table", 100),
            ("now-feeds", "Feeds and their jobs", "table", 100),
            ("now-waiting", "Runs that wait, and for what", "table", 100),
            ("trends-quota", "Calls left of the quota", "linechart", 50),
            ("trends-backlog", "Bulk requests still to be sent", "linechart", 50),
        ),
    ),
    "run": (
        "A run",
        (
            ("run-plan", "Plan: rows by decision", "table", 50),
            ("run-outcomes", "Outcomes: people", "table", 50),
            ("run-steps", "Steps", "table", 100),
            ("run-calls", "Calls to Graph: the ids that Microsoft's support asks for", "table", 100),
            ("run-events", "Everything, in order", "table", 100),
        ),
    ),
    "failures": (
        "Failures",
        (
            ("failures-causes", "People, by Entra's code", "table", 100),
            ("failures-drops", "Files and runs", "table", 100),
            ("failures-calls", "Calls to Graph", "table", 50),
            ("failures-invocations", "Invocations", "table", 50),
            ("failures-exceptions", "What the Functions host saw", "table", 100),
        ),
    ),
    "trends": (
        "Trends",
        (
            ("trends-people", "People by outcome and day", "barchart", 50),
            ("trends-rows", "Rows by decision and day", "barchart", 50),
            ("trends-duration", "Minutes from landing to settled", "table", 50),
            ("trends-requests", "Calls to Graph by status", "linechart", 50),
            ("trends-throttled", "Throttling, and use of the send limit", "linechart", 100),
        ),
    ),
}


def query(name: str) -> str:
    return (QUERIES / f"{name}.kql").read_text(encoding="utf-8").strip()


def _id(name: str) -> str:
    """The same at every build."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"entrainbound/workbook/{name}"))


def _parameter(name: str, kind: int, **more: Any) -> dict[str, Any]:
    return {"id": _id(name), "version": "KqlParameterItem/1.0", "name": name, "type": kind, "isRequired": True, **more}


def _choice(name: str, source: str) -> dict[str, Any]:
    return _parameter(
        name,
        2,
        query=query(source),
        crossComponentResources=["{Workspace}"],
        queryType=0,
        resourceType=WORKSPACE,
        timeContextFromParameter="TimeRange",
        typeSettings={"showDefault": False},
    )


def _shown_on(tab: str) -> dict[str, str]:
    return {"parameterName": "Tab", "comparison": "isEqualTo", "value": tab}


def _parameters(name: str, parameters: Iterable[dict[str, Any]], *, tab: str = "") -> dict[str, Any]:
    item: dict[str, Any] = {
        "type": 9,
        "name": name,
        "content": {
            "version": "KqlParameterItem/1.0",
            "parameters": list(parameters),
            "style": "pills",
            "queryType": 0,
            "resourceType": WORKSPACE,
        },
    }
    return {**item, "conditionalVisibility": _shown_on(tab)} if tab else item


def _part(tab: str, name: str, title: str, shown: str, width: int) -> dict[str, Any]:
    return {
        "type": 3,
        "name": name,
        "customWidth": str(width),
        "conditionalVisibility": _shown_on(tab),
        "content": {
            "version": "KqlItem/1.0",
            "query": query(name),
            "size": 0,
            "title": title,
            "noDataMessage": "Nothing in this time.",
            "timeContextFromParameter": "TimeRange",
            "queryType": 0,
            "resourceType": WORKSPACE,
            "crossComponentResources": ["{Workspace}"],
            "visualization": shown,
        },
    }


def _tabs() -> dict[str, Any]:
    links = [
        {
            "id": _id(f"tab-{tab}"),
            "cellValue": "Tab",
            "linkTarget": "parameter",
            "linkLabel": label,
            "subTarget": tab,
            "style": "link",
        }
        for tab, (label, _) in TABS.items()
    ]
    return {"type": 11, "name": "tabs", "content": {"version": "LinkItem/1.0", "style": "tabs", "links": links}}


def workbook() -> dict[str, Any]:
    """The notebook, in Azure Monitor's own format (Notebook/1.0)."""
    hours = (1, 4, 24, 72, 168, 720, 2160)
    time_range = _parameter(
        "TimeRange",
        4,
        label="Time",
        value={"durationMs": 168 * 3_600_000},
        typeSettings={"selectableValues": [{"durationMs": hour * 3_600_000} for hour in hours], "allowCustom": True},
    )
    tab = _parameter("Tab", 1, isHiddenWhenLocked=True, value=next(iter(TABS)))
    feed = _choice("Feed", "feed-list") | {"value": "*"}
    return {
        "version": "Notebook/1.0",
        "items": [
            _parameters("choices", [time_range, feed, tab]),
            _tabs(),
            _parameters("run", [_choice("Run", "run-list")], tab="run"),
            *(_part(tab, *part) for tab, (_, parts) in TABS.items() for part in parts),
        ],
        "fallbackResourceIds": ["{ApplicationInsights}"],
        "$schema": "https://github.com/Microsoft/Application-Insights-Workbooks/blob/master/schema/workbook.json",
    }


def text() -> str:
    return json.dumps(workbook(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
