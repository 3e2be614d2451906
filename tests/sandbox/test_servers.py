from __future__ import annotations

import signal
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import httpx
import orjson
import pytest
from azure.core.exceptions import HttpResponseError
from azure.identity import ManagedIdentityCredential
from azure.storage.blob import BlobServiceClient

from connector.__main__ import main
from connector.sandbox.clock import VirtualClock
from connector.sandbox.servers import PROJECT, Azurite, Sandbox, azurite_command
from connector.sandbox.settings import CONTOSO, SandboxSettings
from connector.vocabulary.errors import Fault, Unusable
from connector.vocabulary.limits import Limit
from tests.kit.account import PATIENCE, interruptible
from tests.sandbox.wire import SCIM, bulk, identity_url, person


def test_storage_by_managed_identity_over_https_needs_no_key(
    azurite_oauth: Azurite, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (azurite_oauth.environment() | sandbox.identity_environment()).items():
        monkeypatch.setenv(name, value)
    with (
        ManagedIdentityCredential(client_id="ours") as credential,
        BlobServiceClient(azurite_oauth.environment()["HR_STORAGE__blobServiceUri"], credential=credential) as service,
        service.create_container(uuid.uuid4().hex) as container,
    ):
        container.upload_blob("a.txt", b"hello")
        assert container.download_blob("a.txt").readall() == b"hello"
    assert sandbox.report.tokens_issued == 1


def test_storage_over_https_refuses_a_token_for_graph(
    azurite_oauth: Azurite, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (azurite_oauth.environment() | sandbox.identity_environment()).items():
        monkeypatch.setenv(name, value)
    with (
        ManagedIdentityCredential() as credential,
        BlobServiceClient(
            azurite_oauth.blob_service, credential=credential, audience=sandbox.base_url, retry_total=0
        ) as service,
        pytest.raises(HttpResponseError) as refused,
    ):
        service.create_container(uuid.uuid4().hex)
    assert refused.value.status_code in (401, 403)


async def test_on_one_loop_latency_on_real_sockets_passes_in_virtual_time() -> None:
    clock = VirtualClock()
    settings = SandboxSettings.immediate(latency=0.3, network_delay=0.1, token_lifetime=1e6)
    async with (
        Sandbox(settings, clock=clock) as sandbox,
        httpx.AsyncClient(verify=False) as client,
    ):
        with clock.busy():
            answer = await client.get(
                identity_url(sandbox, sandbox.base_url), headers={"x-identity-header": settings.identity_header}
            )
        headers = SCIM | {"authorization": f"Bearer {answer.json()['access_token']}"}
        statuses = []
        for number in range(20):
            await clock.sleep(3600)
            with clock.busy():
                content = orjson.dumps(bulk(person(str(number))))
                statuses.append((await client.post(sandbox.endpoint, content=content, headers=headers)).status_code)
    assert statuses == [202] * 20
    assert round(clock.monotonic(), 6) == 20 * 3600 + 21 * 0.4


def test_a_sandbox_can_be_opened_again_and_keeps_its_directory() -> None:
    sandbox = Sandbox(SandboxSettings.immediate())
    for _ in range(2):
        with sandbox:
            assert httpx.get(f"{sandbox.base_url}/sandbox/report", verify=False).json()["uploads"] == 0


def test_a_port_that_is_taken_is_said_by_whoever_opens_it() -> None:
    with Sandbox() as sandbox:
        port = httpx.URL(sandbox.base_url).port
        assert port is not None
        with pytest.raises(OSError, match="in use"), Sandbox(port=port):
            pass


def test_azurite_ends_when_its_starter_is_killed() -> None:
    program = (
        "import sys, time\n"
        "from connector.sandbox.servers import Azurite\n"
        "with Azurite() as azurite:\n"
        "    print(azurite.blob_port, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=PROJECT
    ) as starter:
        assert starter.stdout is not None
        port = int(starter.stdout.readline())
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            starter.kill()
            try:
                ended = connection.recv(1)
            except ConnectionResetError:
                ended = b""
            assert ended == b""


@pytest.mark.parametrize(
    ("with_node", "message", "advice"),
    [
        (True, "{folder}/node_modules/azurite/dist/src/azurite.js is not there", "run `make setup`, or `npm ci`"),
        (False, "there is no Node.js on this machine", "run `make setup`, install Node.js, or `pip"),
    ],
)  # fmt: skip
def test_what_is_missing_for_azurite_is_said_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_node: bool, message: str, advice: str
) -> None:
    (tmp_path / "node").write_text("#!/bin/sh\n")
    (tmp_path / "node").chmod(0o755 if with_node else 0o644)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unusable) as unusable:
        azurite_command(tmp_path)
    (fault,) = unusable.value.faults
    assert fault.message == message.format(folder=tmp_path)
    assert fault.advice.startswith(advice)


def test_the_command_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("cycle_delay: 0\n")
    command = interruptible("sandbox", "--port", "0", "--settings", str(tmp_path / "settings.yaml"))
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=PROJECT, text=True) as process:
        assert process.stdout is not None
        try:
            lines = [process.stdout.readline().rstrip() for _ in range(6)]
            base = lines[3].removeprefix("export GRAPH_BASE_URL=")
            report = httpx.get(f"{base}/sandbox/report", verify=False).json()
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
    sandbox = SandboxSettings()
    principal, job = sandbox.jobs[0]
    assert lines == [
        "# the connector's environment",
        f"export IDENTITY_ENDPOINT={base}/msi/token",
        f"export IDENTITY_HEADER={sandbox.identity_header}",
        f"export GRAPH_BASE_URL={base}",
        f"# a feed file's endpoint: {base}/v1.0/servicePrincipals/{principal}/synchronization/jobs/{job}/bulkUpload",
        f"# what it saw: {base}/sandbox/report",
    ]
    assert report["uploads"] == 0


@pytest.mark.parametrize(
    ("option", "text", "message"),
    [
        ("--settings", None, "{path}: cannot be read: No such file or directory\n"),
        ("--settings", "{", "{path}: not YAML\n"),
        ("--settings", "[1]", "{path}: wants setting: value\n"),
        ("--settings", "cycle: 1", "{path}: unknown setting 'cycle'\n"),
        ("--faults", "a: 1", "{path}: wants a list of rules\n"),
    ],
)
def test_the_command_says_which_file_is_unusable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, text: str | None, message: str
) -> None:
    path = tmp_path / "file.yaml"
    if text is not None:
        path.write_text(text)
    assert main(["sandbox", "--port", "0", option, str(path)]) == 2
    assert capsys.readouterr() == ("", message.format(path=path))


def test_the_command_says_that_the_port_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with Sandbox() as sandbox:
        port = httpx.URL(sandbox.base_url).port
        assert main(["sandbox", "--port", str(port)]) == 2
    assert capsys.readouterr() == ("", f"127.0.0.1 port {port}: Address already in use (choose another --port)\n")


def test_settings_are_read_from_a_mapping() -> None:
    assert SandboxSettings.parse(
        {
            "send_limit": "4/500ms",
            "report_limit": "5/10s",
            "cycle_delay": "2m",
            "latency": 0.3,
            "custom_attributes": {CONTOSO: {"Level": "Integer"}},
            "verified_domains": ["fabrikam.com"],
            "out_of_scope": {"userType": ["Contractor"]},
            "flow_null_values": ["title"],
            "roles": ["AuditLog.Read.All"],
            "jobs": [["principal", "job"]],
            "reference_delay": [1, "2s"],
            "seed": 7,
        }
    ) == SandboxSettings(
        send_limit=Limit(4, 0.5),
        report_limit=Limit(5, 10.0),
        cycle_delay=120.0,
        latency=0.3,
        custom_attributes={CONTOSO: {"Level": "Integer"}},
        verified_domains=("fabrikam.com",),
        out_of_scope={"userType": ("Contractor",)},
        flow_null_values=frozenset({"title"}),
        roles=frozenset({"AuditLog.Read.All"}),
        jobs=(("principal", "job"),),
        reference_delay=(1.0, 2.0),
        seed=7,
    )


def test_every_fault_of_the_settings_is_reported_at_once() -> None:
    with pytest.raises(Unusable) as unusable:
        SandboxSettings.parse(
            {
                "latency": -1,
                "quota": "many",
                "retry_after": "soon",
                "log_late_share": 2,
                "custom_attributes": {"urn:x": {"A": "Text"}},
                "count_throttled": "yes",
                "what": 1,
            }
        )
    types = "Binary, Boolean, DateTime, Integer, Reference, String"
    assert list(unusable.value.faults) == [
        Fault(message="the setting latency wants a number of seconds, 0 or more, or a duration such as 5m",
              column="latency"),
        Fault(message="the setting quota wants calls/window, such as 40/5s", column="quota"),
        Fault(message="the setting retry_after wants seconds, date or none", column="retry_after"),
        Fault(message="the setting log_late_share wants a number between 0 and 1", column="log_late_share"),
        Fault(message=f"the setting custom_attributes wants a type of {types} for each attribute",
              column="custom_attributes"),
        Fault(message="the setting count_throttled wants true or false", column="count_throttled"),
        Fault(message="unknown setting 'what'", column="what"),
    ]  # fmt: skip
