"""`python -m connector doctor`: what it says of a deployment that works, and of each thing that can be wrong."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from azure.core.credentials import AccessToken
from azure.core.pipeline.transport import HttpRequest, HttpResponse, RequestsTransport
from azure.storage.blob import AccountSasPermissions, BlobServiceClient, ResourceTypes, generate_account_sas
from hypothesis import given
from hypothesis import strategies as st

from connector.commands.doctor import doctor, relieved
from connector.outside.blobs import connect
from connector.outside.graph import Graph
from connector.outside.keys import Secrets
from connector.outside.probe import StorageProbe
from connector.outside.resource_manager import CLOUDS, ResourceManager
from connector.outside.settings import Settings
from connector.outside.store import Store
from connector.outside.system_clock import SystemClock
from connector.outside.tokens import TokenSource
from connector.planning.feeds import Feeds
from connector.sandbox.faults import Action, Endpoint, Rule, Schedule
from connector.sandbox.servers import ACCOUNT, ACCOUNT_KEY, Azurite, Sandbox
from connector.sandbox.settings import JOB, SandboxSettings
from connector.vocabulary.errors import Forbidden, Retryable, Stopped
from connector.watching.doctor_checks import DoctorChecks
from connector.watching.doctor_report import DoctorReport, code_version, identity_of
from connector.watching.findings import Finding, Result, skew
from connector.watching.permissions import permissions
from connector.watching.subscription import COMPLETED, subscription
from connector.wiring import connected, managed_identity
from tests.kit.account import Account, ended
from tests.kit.command import command
from tests.kit.people import PORTAL_ENDPOINT, csv_of, feed_file, workers
from tests.kit.servers import MakeSandbox
from tests.kit.stranger import stranger
from tools.verdict import only_the_grant

GRANT = (
    "(have an identity administrator run infra/grant-graph-roles.sh PRINCIPAL_ID, then restart the app: "
    "it keeps a token for up to a day)"
)
NO_SUBSCRIPTION = (
    "skip event subscription: not looked at: "
    "set EVENT_SUBSCRIPTION_ID to its resource id, as infra/hooks/postdeploy does"
)
BY_STRING = "skip app: with a connection string it does not examine itself: it may what you may"
CONTAINERS = ("inbox", "config", "runs", "summaries")
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def account(azurite: Azurite, containers: dict[str, str]) -> Iterator[Account]:
    """With the containers and a feed that can be used; the Graph is the test's."""
    with BlobServiceClient.from_connection_string(azurite.connection_string) as service:
        made = Account(service=service, containers=containers)
        made.environment = {**azurite.environment(), **containers}
        made.prepare()
        made.feed("people")
        yield made


@pytest.fixture
def identity_account(
    azurite_oauth: Azurite, containers: dict[str, str], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Account]:
    """By identity, https and token, with a sandbox that gives them."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(azurite_oauth.certificate))
    with BlobServiceClient.from_connection_string(azurite_oauth.connection_string) as service:
        made = Account(service=service, containers=containers)
        made.environment = {**azurite_oauth.environment(), **sandbox.identity_environment(), **containers}
        made.prepare()
        made.feed("people")
        yield made


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, list[str]]]:
    """The doctor in this process: its exit code and its lines."""

    def asked(environment: dict[str, str], **options: Any) -> tuple[int, list[str]]:
        for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER"):
            if name in environment:
                monkeypatch.setenv(name, environment[name])
        code = asyncio.run(doctor(environment=environment, credential=managed_identity, **options))
        output = capsys.readouterr().out
        assert [secret for secret in ("eyJ", "opaque-", "AccountKey", ACCOUNT_KEY) if secret in output] == []
        return code, output.splitlines()

    return asked


Ask = Callable[..., tuple[int, list[str]]]


def bad(lines: list[str]) -> list[str]:
    """All that is not well or not looked at."""
    return [line for line in lines if not line.startswith(("ok ", "skip"))]


def with_graph(account: Account, sandbox: Sandbox) -> dict[str, str]:
    return {**account.environment, **sandbox.identity_environment()}


def probes(account: Account) -> list[str]:
    """What is left of them anywhere."""
    return [name for container in account.containers for name in account.blobs(container) if "doctor-" in name]


# what is said


def test_a_deployment_that_works_is_proven_line_by_line(account: Account, sandbox: Sandbox) -> None:
    account.drop("people/today.csv", csv_of(workers(1)))
    environment = with_graph(account, sandbox)
    done = ended(replace(account, environment=environment).start("doctor"))
    assert (done.code, done.errors) == (0, "")
    assert done.lines == [
        f"ok   settings: all are there: {sandbox.base_url} and a connection string",
        f"ok   token: for {sandbox.base_url}",
        "ok   permission SynchronizationData-User.Upload: is in the token",
        "ok   permission ProvisioningLog.Read.All: is in the token",
        "ok   permission Synchronization.Read.All: is in the token",
        "ok   storage: the account answers",
        "ok   inbox: list and read work",
        "ok   config: list and read work",
        "ok   runs: create, swap, lease, append and delete work",
        "ok   summaries: create, read and delete work",
        "ok   feeds: people",
        "ok   feed people: can be used",
        "ok   job of people: is Active",
        "ok   provisioning log: can be read",
        "ok   clock of Graph: is within a minute of ours",
        "ok   clock of storage: is within a minute of ours",
        NO_SUBSCRIPTION,
        BY_STRING,
    ]
    assert probes(account) == []
    assert account.runs() == account.summaries() == {}


def test_every_setting_that_is_wrong_is_said_and_nothing_else_is_tried(account: Account) -> None:
    done = command("doctor", environment={"INBOX_CONTAINER": "Not One", "SEND_LIMIT": "many"})
    assert (done.code, done.errors) == (1, "")
    assert done.lines == [
        "FAIL settings: the setting HR_STORAGE__blobServiceUri is missing "
        "(set it to the storage account's blob endpoint, or HR_STORAGE to a connection string)",
        "FAIL settings: the setting INBOX_CONTAINER wants a container's name: "
        "3 to 63 of lower-case letters, digits and single hyphens",
        "FAIL settings: the setting SEND_LIMIT wants calls/window, such as 40/5s",
    ]


def test_a_connection_string_that_is_none_is_not_repeated(ask: Ask) -> None:
    advice = "(copy it whole, as Azurite or the portal shows it)"
    said = f"FAIL settings: the setting HR_STORAGE is no connection string {advice}"
    assert ask({"HR_STORAGE": "Password=hunter2"}) == (1, [said])


def test_permissions_that_are_missing_fail_with_the_script_that_grants_them(
    account: Account, make_sandbox: MakeSandbox, ask: Ask
) -> None:
    sandbox = make_sandbox(SandboxSettings.immediate(roles=frozenset({"Synchronization.ReadWrite.All"})))
    code, lines = ask(with_graph(account, sandbox))
    assert code == 1
    assert bad(lines) == [
        f"FAIL permission SynchronizationData-User.Upload: is not in the token: nobody is sent {GRANT}",
        f"FAIL permission ProvisioningLog.Read.All: is not in the token: nobody's outcome is known {GRANT}",
        "FAIL provisioning log: Graph answered 403 Authorization_RequestDenied "
        "(grant ProvisioningLog.Read.All to the connector's identity (infra/grant-graph-roles.sh))",
    ]


def test_the_optional_permission_is_a_warning_and_no_failure(
    account: Account, make_sandbox: MakeSandbox, ask: Ask
) -> None:
    roles = frozenset({"SynchronizationData-User.Upload.OwnedBy", "AuditLog.Read.All"})
    code, lines = ask(with_graph(account, make_sandbox(SandboxSettings.immediate(roles=roles))))
    assert code == 0
    assert bad(lines) == [
        "warn permission Synchronization.Read.All: is not in the token: "
        f"a paused or quarantined job is not noticed {GRANT}",
        "warn job of people: its status may not be asked for "
        "(grant Synchronization.Read.All to the connector's identity, or leave it: it is optional)",
    ]


def test_a_token_that_cannot_be_read_leaves_the_answer_to_graph(account: Account, ask: Ask) -> None:
    with stranger() as graph:
        code, lines = ask({**account.environment, **graph.environment()})
    assert code == 0
    assert bad(lines) == [
        f"warn token: for {graph.url}; its permissions are not to be read, so they are not known",
        "warn job of people: its status may not be asked for "
        "(grant Synchronization.Read.All to the connector's identity, or leave it: it is optional)",
    ]
    assert "ok   provisioning log: can be read" in lines
    assert graph.paths("POST") == []


def test_no_identity_means_no_token_and_the_rest_is_checked_all_the_same(
    account: Account, make_sandbox: MakeSandbox, ask: Ask
) -> None:
    environment = with_graph(account, make_sandbox()) | {"IDENTITY_HEADER": "wrong"}
    code, lines = ask(environment)
    assert code == 1
    assert lines[1:] == [
        f"FAIL token: there is none for {environment['GRAPH_BASE_URL']} "
        "(sign in: az login; in a national cloud, az cloud set before)",
        "ok   storage: the account answers",
        "ok   inbox: list and read work",
        "ok   config: list and read work",
        "ok   runs: create, swap, lease, append and delete work",
        "ok   summaries: create, read and delete work",
        "ok   feeds: people",
        "ok   feed people: can be used",
        "skip job of people: there is no token to ask with",
        "skip provisioning log: there is no token to ask with",
        "skip clock of Graph: there was no answer with a Date",
        "ok   clock of storage: is within a minute of ours",
        NO_SUBSCRIPTION,
        BY_STRING,
    ]


def test_a_job_that_is_not_at_work_is_said_with_what_to_do(account: Account, sandbox: Sandbox, ask: Ask) -> None:
    [job] = sandbox.entra.jobs.values()
    sandbox.entra.pause(job)
    code, lines = ask(with_graph(account, sandbox))
    assert (code, bad(lines)) == (
        1,
        [
            "FAIL job of people: is Paused "
            "(start provisioning in the portal: until then Entra accepts everybody and processes nobody)"
        ],
    )
    sandbox.entra.quarantine(job, datetime.now(UTC))
    code, lines = ask(with_graph(account, sandbox))
    assert (code, bad(lines)) == (
        1,
        [
            "FAIL job of people: is Quarantine: EncounteredQuarantineException "
            "(open the job's quarantine reason in the portal, mend it and restart provisioning)"
        ],
    )


def test_a_job_that_is_not_there_fails_and_one_that_graph_will_not_tell_of_warns(
    account: Account, make_sandbox: MakeSandbox, ask: Ask
) -> None:
    account.feed("people", feed_file(PORTAL_ENDPOINT.replace(JOB, "API2AAD.another")))
    code, lines = ask(with_graph(account, make_sandbox()))
    assert (code, bad(lines)) == (
        1,
        [
            "FAIL job of people: Graph answered 404 ResourceNotFound (compare the feed's endpoint with "
            "Provisioning API Endpoint in the portal: the app or its job is not there)"
        ],
    )
    refusing = Schedule([Rule(on=Endpoint.JOB, do=Action.STATUS, status=400, code="BadRequest")])
    code, lines = ask(with_graph(account, make_sandbox(faults=refusing)))
    assert (code, bad(lines)) == (
        0,
        ["warn job of people: Graph refuses to say how it is (BadRequest) (look it up in the portal)"],
    )


def test_a_feed_file_fails_with_each_fault_and_its_line_and_the_others_are_asked_for(
    account: Account, sandbox: Sandbox, ask: Ask
) -> None:
    account.feed("broken", "endpoint: x\nmapping: {}\n")
    code, lines = ask(with_graph(account, sandbox))
    assert code == 1
    assert bad(lines) == [
        "FAIL feed broken: line 1, column 11: 'endpoint' is not an https:// address of Microsoft Graph "
        "(paste the Provisioning API Endpoint from the app's overview page in the Entra portal, whole and unchanged)",
        "FAIL feed broken: line 2, column 10: 'mapping' must not be empty",
    ]
    assert {"ok   feeds: broken, people", "ok   feed people: can be used", "ok   job of people: is Active"} < set(lines)


def test_no_feed_file_is_a_warning(account: Account, sandbox: Sandbox, ask: Ask) -> None:
    account.service.get_blob_client(account.containers["CONFIG_CONTAINER"], "feeds/people.yaml").delete_blob()
    code, lines = ask(with_graph(account, sandbox))
    assert (code, bad(lines)) == (
        0,
        [
            "warn feeds: there is no feed file "
            "(write config/feeds/NAME.yaml: without it each drop of the feed is rejected)"
        ],
    )
    assert "skip provisioning log: there is no usable feed whose job to ask for" in lines


def test_a_container_that_is_not_there_fails(account: Account, sandbox: Sandbox, ask: Ask) -> None:
    account.service.delete_container(account.containers["INBOX_CONTAINER"])
    code, lines = ask(with_graph(account, sandbox))
    assert (code, bad(lines)) == (
        1,
        ["FAIL inbox: the container is not there (deploy the infrastructure, or correct the container's setting)"],
    )


def examined(
    settings: Settings, transport: RequestsTransport | None = None, *, retries: int = 4, **options: Any
) -> list[str]:
    """The lines of the checks alone, by whatever way to storage, with whatever secrets; Graph is a sandbox's."""

    async def all_of() -> list[str]:
        tokens = TokenSource(lambda: managed_identity(""), f"{settings.graph}/.default")
        graph = Graph(settings.graph, tokens, SystemClock())
        service = connect(settings, retries=retries, transport=transport or RequestsTransport())
        store = Store(service, settings)
        feeds = Feeds(store, settings)
        probe = StorageProbe(service, settings)
        checks = DoctorChecks(store, probe, graph, tokens, SystemClock(), settings, feeds=feeds, **options)
        try:
            return [str(finding) async for finding in checks.examine()]
        finally:
            await graph.close()

    return asyncio.run(all_of())


@pytest.fixture
def identity(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A sandbox's, for the credential to find."""
    environment = sandbox.identity_environment()
    for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER"):
        monkeypatch.setenv(name, environment[name])
    return environment


def test_a_storage_account_that_does_not_answer_is_asked_once(
    containers: dict[str, str], identity: dict[str, str]
) -> None:
    nobody = f"AccountName=a;AccountKey={ACCOUNT_KEY};BlobEndpoint=http://127.0.0.1:9/a;"
    settings = Settings.of({"HR_STORAGE": nobody, **identity, **containers})
    lines = examined(settings, retries=0, own=True)
    assert lines[4:] == [
        "FAIL storage: the storage account: the storage account could not be reached (ServiceRequestError) "
        "(assign the managed identity, and set AZURE_CLIENT_ID and HR_STORAGE__clientId to its client id)",
        *(f"skip {name}: the storage account has not answered" for name in (*CONTAINERS, "feeds")),
        "skip provisioning log: there is no usable feed whose job to ask for",
        "skip clock of Graph: there was no answer with a Date",
        "skip clock of storage: there was no answer with a Date",
    ]


class Careless(RequestsTransport):  # type: ignore[misc]  # azure.core exports it untyped, by __getattr__
    """The way to a storage service that takes any ETag."""

    def send(self, request: HttpRequest, **options: Any) -> HttpResponse:
        request.headers.pop("If-Match", None)
        response: HttpResponse = super().send(request, **options)
        return response


def test_storage_that_does_not_arbitrate_between_two_instances_fails(
    account: Account, azurite: Azurite, identity: dict[str, str]
) -> None:
    # A shared access signature, unlike a key, signs no headers.
    everything = AccountSasPermissions.from_string("rwdlacup")  # type: ignore[no-untyped-call]  # the SDK left it untyped
    settings = Settings.of(account.environment | identity | {"HR_STORAGE": signed(azurite, everything)})
    lines = examined(settings, Careless(), own=False)
    assert bad(lines) == [
        f"FAIL runs: {account.containers['RUNS_CONTAINER']}: a compare-and-swap with an old ETag was accepted "
        "(use Azure Blob Storage or Azurite: nothing else keeps two instances from sending the same twice)"
    ]
    assert probes(account) == []


class Vault(Secrets):
    """A key vault that gives one secret to the app, and to nobody any other."""

    def __init__(self) -> None:
        super().__init__(None, files=False)
        self.asked: list[str] = []

    def read(self, reference: str) -> bytes:
        self.asked.append(reference)
        if reference.endswith("/key"):
            return b"key"
        raise Stopped("the key vault hr answered 403 to the secret phrase", advice="give it the role")


def test_the_app_tries_the_keys_that_its_feeds_name_and_a_visitor_does_not(
    account: Account, identity: dict[str, str]
) -> None:
    secret = "keyvault:https://hr-vault.vault.azure.net/secrets"
    account.feed("people", feed_file() + f"pgp: {{key: '{secret}/key', passphrase: '{secret}/phrase'}}\n")
    settings, vault = Settings.of(account.environment | identity), Vault()
    assert bad(examined(settings, own=False)) == []
    lines = examined(settings, own=True, secrets=vault)
    assert bad(lines) == ["FAIL feed people: the key vault hr answered 403 to the secret phrase (give it the role)"]
    assert vault.asked == [f"{secret}/key", f"{secret}/phrase"]
    assert "ok   job of people: is Active" in lines


class Off(SystemClock):
    """A clock that is wrong."""

    def __init__(self, by: timedelta) -> None:
        self._by = by

    def now(self) -> datetime:
        return super().now() + self._by


def test_a_clock_that_is_off_warns_and_then_fails(account: Account, sandbox: Sandbox, ask: Ask) -> None:
    advice = "(set this machine's clock by NTP: outcomes and the quota go by the time)"
    code, lines = ask(with_graph(account, sandbox), clock=Off(timedelta(minutes=2)))
    assert (code, bad(lines)) == (
        0,
        [f"warn clock of {whose}: is 2 min behind ours {advice}" for whose in ("Graph", "storage")],
    )
    with stranger() as graph:
        graph.slow_clock = timedelta(minutes=-10)
        code, lines = ask({**account.environment, **graph.environment()})
    assert (code, [line for line in bad(lines) if "clock" in line]) == (
        1,
        [f"FAIL clock of Graph: is 10 min ahead of ours {advice}"],
    )


@pytest.mark.parametrize(
    ("seconds", "result"),
    [(0, "ok"), (60, "ok"), (-60, "ok"), (61, "warn"), (-300, "warn"), (301, "FAIL"), (-301, "FAIL")],
)
def test_a_minute_is_well_and_more_than_five_are_too_many(seconds: int, result: str) -> None:
    assert skew("clock", timedelta(seconds=seconds)).result == result


# the caller who may not, and the app that may


def signed(azurite: Azurite, permissions: AccountSasPermissions) -> str:
    """A connection string that lets its holder do this and no more."""
    sas = generate_account_sas(
        ACCOUNT,
        ACCOUNT_KEY,
        ResourceTypes(service=True, container=True, object=True),
        permissions,
        datetime.now(UTC) + timedelta(hours=1),
    )
    return f"BlobEndpoint={azurite.blob_service};SharedAccessSignature={sas}"


def visitor(account: Account, azurite: Azurite) -> dict[str, str]:
    """The settings of somebody whom the storage account lets read and list, and answers 403 to all else."""
    return account.environment | {"HR_STORAGE": signed(azurite, AccountSasPermissions(read=True, list=True))}


def examination(*checks: Finding, at: datetime | None = None, version: str | None = None) -> DoctorReport:
    return DoctorReport(at=at or datetime.now(UTC), version=version or code_version(), identity="i", checks=checks)


def leave(account: Account, found: DoctorReport) -> None:
    container = account.service.get_container_client(account.containers["SUMMARIES_CONTAINER"])
    if not container.exists():
        container.create_container()
    container.upload_blob("doctor.json", found.as_json(), overwrite=True)


def test_what_the_caller_may_not_do_fails_unless_the_app_says_that_it_may(
    account: Account, azurite: Azurite, sandbox: Sandbox, ask: Ask
) -> None:
    environment = visitor(account, azurite) | sandbox.identity_environment()
    for name in ("RUNS_CONTAINER", "SUMMARIES_CONTAINER"):
        account.service.create_container(account.containers[name])
    code, lines = ask(environment)
    role = (
        "the storage account answered 403 AuthorizationPermissionMismatch "
        "(give whoever asks the role Storage Blob Data Contributor on this container; "
        "a new one takes some minutes to work)"
    )
    names = {name: account.containers[f"{name.upper()}_CONTAINER"] for name in ("runs", "summaries")}
    assert (code, bad(lines)) == (1, [f"FAIL {name}: {container}: {role}" for name, container in names.items()])

    good = [Finding(name=name, result=Result.OK, message="all works") for name in names]
    leave(account, examination(*good))
    code, lines = ask(environment)
    assert (code, bad(lines)) == (0, [])
    assert [line for line in lines if "may not" in line] == [
        f"ok   {name}: the app may, you may not; it says: all works" for name in names
    ]
    assert lines[-2:] == [f"ok   app {name}: all works" for name in names]

    leave(
        account, examination(good[0], replace(good[1], result=Result.FAIL, message="nothing works", advice="mend it"))
    )
    code, lines = ask(environment)
    assert (code, [line.split(": ")[0] for line in bad(lines)]) == (1, ["FAIL summaries", "FAIL app summaries"])
    assert lines[-1] == "FAIL app summaries: nothing works (mend it)"


def test_an_app_that_has_not_looked_for_long_vouches_for_nothing(
    account: Account, azurite: Azurite, sandbox: Sandbox, ask: Ask
) -> None:
    long_ago = datetime.now(UTC) - timedelta(hours=27)
    works = [Finding(name=name, result=Result.OK, message="all works") for name in ("runs", "summaries")]
    leave(account, examination(*works, at=long_ago))
    code, lines = ask(visitor(account, azurite) | sandbox.identity_environment())
    assert (code, [line.split(": ")[0] for line in bad(lines)]) == (1, ["FAIL runs", "FAIL summaries", "warn app"])
    said = f"warn app: it has not examined itself since {long_ago:%Y-%m-%d %H:%M} UTC (see whether on_tick runs)"
    assert said in lines


def test_findings_of_other_code_are_shown_and_said_to_be(account: Account, sandbox: Sandbox, ask: Ask) -> None:
    found = examination(Finding(name="runs", result=Result.OK, message="all works"), version="older")
    leave(account, found)
    code, lines = ask(with_graph(account, sandbox), app_only=True)
    assert (code, lines) == (
        0,
        [
            f"warn app: it examined itself at {found.at:%Y-%m-%d %H:%M} UTC, with other code than this "
            "(wait for its next tick, and ask again)",
            "ok   app runs: all works",
        ],
    )


def test_the_app_alone_is_asked_for_and_has_nothing_to_say(account: Account, sandbox: Sandbox, ask: Ask) -> None:
    line = "FAIL app: with a connection string it does not examine itself: it may what you may"
    assert ask(with_graph(account, sandbox), app_only=True) == (1, [line])


def test_only_what_is_denied_is_relieved() -> None:
    down = Finding(name="runs", result=Result.FAIL, message="could not be reached")
    works = examination(Finding(name="runs", result=Result.OK, message="all works"))
    assert relieved(down, works) == down
    denied = replace(down, denied=True)
    assert relieved(denied, None) == denied
    assert relieved(denied, replace(works, checks=())) == denied
    assert relieved(denied, works).result is Result.OK


# the app examines itself


def tick(environment: dict[str, str], **options: Any) -> None:
    async def once() -> None:
        async with connected(Settings.of(environment), credential=managed_identity, **options) as pipeline:
            await pipeline.on_tick()

    asyncio.run(once())


@pytest.fixture
def as_app(identity_account: Account, monkeypatch: pytest.MonkeyPatch) -> Account:
    for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER"):
        monkeypatch.setenv(name, identity_account.environment[name])
    return identity_account


def found_by(account: Account) -> Any:
    return json.loads(account.summaries()["doctor.json"])


def test_the_app_examines_itself_once_a_day_and_the_doctor_reads_it(as_app: Account, ask: Ask) -> None:
    tick(as_app.environment, examines=True)
    found = found_by(as_app)
    reader = "leave the connector's identity Storage Blob Data Reader alone"
    too_much = "list and read work; writing would too, which the connector never does"
    assert {name: found[name] for name in ("schema", "version", "identity")} == {
        "schema": 1,
        "version": code_version(),
        "identity": identity_of(Settings.of(as_app.environment)),
    }
    assert [(check["name"], check["result"], check["message"], check["advice"]) for check in found["checks"]] == [
        ("token", "ok", f"for {as_app.environment['GRAPH_BASE_URL']}", ""),
        ("permission SynchronizationData-User.Upload", "ok", "is in the token", ""),
        ("permission ProvisioningLog.Read.All", "ok", "is in the token", ""),
        ("permission Synchronization.Read.All", "ok", "is in the token", ""),
        ("storage", "ok", "the account answers", ""),
        # Azurite knows no roles: whoever has a token may do everything.
        ("inbox", "warn", too_much, reader),
        ("config", "warn", too_much, reader),
        ("runs", "ok", "create, swap, lease, append and delete work", ""),
        ("summaries", "ok", "create, read and delete work", ""),
        ("feeds", "ok", "people", ""),
        ("feed people", "ok", "can be used", ""),
        ("job of people", "ok", "is Active", ""),
        ("provisioning log", "ok", "can be read", ""),
        ("clock of Graph", "ok", "is within a minute of ours", ""),
        ("clock of storage", "ok", "is within a minute of ours", ""),
    ]
    assert probes(as_app) == []

    before = as_app.versions()
    tick(as_app.environment, examines=True)
    assert as_app.versions() == before

    code, lines = ask(as_app.environment, wait=timedelta(minutes=10))
    assert code == 0
    assert "ok   app job of people: is Active" in lines
    assert bad(lines) == [
        f"warn inbox: {too_much} "
        "(fine for an administrator; the connector's own identity is to have Storage Blob Data Reader alone)",
        f"warn app inbox: {too_much} ({reader})",
        f"warn app config: {too_much} ({reader})",
    ]


def test_the_app_looks_again_after_a_day_and_when_it_is_another(as_app: Account) -> None:
    tick(as_app.environment, examines=True)
    day_old = {**found_by(as_app), "at": (datetime.now(UTC) - timedelta(hours=25)).isoformat()}
    for left in (day_old, {**found_by(as_app), "version": "older"}, {**found_by(as_app), "identity": "other"}, "junk"):
        container = as_app.service.get_container_client(as_app.containers["SUMMARIES_CONTAINER"])
        container.upload_blob("doctor.json", json.dumps(left), overwrite=True)
        tick(as_app.environment, examines=True)
        found = found_by(as_app)
        assert (found["version"], datetime.now(UTC) - datetime.fromisoformat(found["at"]) < timedelta(minutes=5)) == (
            code_version(),
            True,
        )


def test_a_tick_that_is_not_the_apps_examines_nobody(as_app: Account) -> None:
    tick(as_app.environment)
    assert as_app.summaries() == {}


@pytest.mark.parametrize("feeds", [True, False], ids=["a feed", "no feed yet"])
def test_an_app_that_waits_for_its_permissions_lacks_nothing_else(
    as_app: Account, make_sandbox: MakeSandbox, ask: Ask, monkeypatch: pytest.MonkeyPatch, feeds: bool
) -> None:
    """What infra/hooks/postdeploy goes by: a first deployment ends green then."""
    sandbox = make_sandbox(SandboxSettings.immediate(roles=frozenset()))
    environment = as_app.environment | sandbox.identity_environment()
    monkeypatch.setenv("IDENTITY_ENDPOINT", environment["IDENTITY_ENDPOINT"])
    if not feeds:
        config = as_app.containers["CONFIG_CONTAINER"]
        as_app.service.get_blob_client(config, "feeds/people.yaml").delete_blob()
    tick(environment, examines=True)
    code, lines = ask(environment, wait=timedelta(minutes=10))
    assert (code, only_the_grant(lines)) == (1, True)


def test_more_permissions_than_needed_are_told_to_the_app(
    as_app: Account, make_sandbox: MakeSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    roles = SandboxSettings().roles | {"User.ReadWrite.All"}
    sandbox = make_sandbox(SandboxSettings.immediate(roles=roles))
    environment = as_app.environment | sandbox.identity_environment()
    monkeypatch.setenv("IDENTITY_ENDPOINT", environment["IDENTITY_ENDPOINT"])
    tick(environment, examines=True)
    tokens = [check for check in found_by(as_app)["checks"] if check["name"] == "token"]
    assert tokens[-1] == {
        "name": "token",
        "result": "warn",
        "message": "more than needed: User.ReadWrite.All",
        "advice": "take them from the identity",
    }


async def test_an_examination_that_cannot_be_kept_is_no_failure_of_the_tick(
    as_app: Account, caplog: pytest.LogCaptureFixture
) -> None:
    leave(as_app, examination(version="older"))
    container = as_app.service.get_container_client(as_app.containers["SUMMARIES_CONTAINER"])
    container.get_blob_client("doctor.json").acquire_lease()
    async with connected(Settings.of(as_app.environment), credential=managed_identity, examines=True) as pipeline:
        assert await pipeline.on_tick() == []
    assert found_by(as_app)["version"] == "older"
    events = [record for record in caplog.records if record.name == "connector.watching.doctor_checks"]
    assert [(record.getMessage(), vars(record)["error"]) for record in events] == [("examination failed", "Conflict")]


@pytest.mark.parametrize(
    ("age", "failed", "due"),
    [
        (timedelta(minutes=59), True, False),
        (timedelta(minutes=61), True, True),
        (timedelta(hours=23), False, False),
        (timedelta(hours=24), False, True),
        (timedelta(minutes=-10), False, True),
    ],
)
def test_what_is_well_holds_for_a_day_and_what_failed_for_an_hour(age: timedelta, failed: bool, due: bool) -> None:
    result = Result.FAIL if failed else Result.WARN
    found = DoctorReport(at=NOW, version="v", identity="i", checks=(Finding(name="runs", result=result, message="m"),))
    assert found.due(NOW + age, version="v", identity="i") is due


FINDINGS = st.builds(
    Finding,
    name=st.text(),
    result=st.sampled_from(Result),
    message=st.text(),
    advice=st.text(),
)


@given(st.lists(FINDINGS), st.integers(0, 10**9).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)), st.text())
def test_what_was_written_is_read(checks: list[Finding], at: datetime, version: str) -> None:
    found = DoctorReport(at=at, version=version, identity="i", checks=tuple(checks))
    assert DoctorReport.parse(found.as_json()) == found


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
        max_leaves=4,
    )
)
def test_a_report_of_whatever_shape_is_none(document: Any) -> None:
    assert DoctorReport.parse(json.dumps(document).encode()) is None


@given(FINDINGS)
def test_a_finding_is_one_line(finding: Finding) -> None:
    assert len(str(finding).splitlines()) == 1


# tokens


def jwt(claims: object) -> str:
    part = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"{part}.{part}.signature"


def test_permissions_are_read_of_both_kinds() -> None:
    assert permissions(jwt({"roles": ["A", "B"], "scp": "C D"})) == frozenset({"A", "B", "C", "D"})
    assert permissions(jwt({})) == frozenset()


@pytest.mark.parametrize("token", ["", "opaque", "a.b.c", "..", jwt([]), jwt({"roles": "A"}), jwt({"scp": ["A"]})])
def test_what_is_no_readable_token_has_unknown_permissions(token: str) -> None:
    assert permissions(token) is None


@given(st.text())
def test_no_token_makes_it_fail(token: str) -> None:
    assert permissions(token) is None or isinstance(permissions(token), frozenset)


# Event Grid

ARM = "https://management.azure.com"
ID = (
    "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-x/providers/Microsoft.EventGrid"
    "/systemTopics/egst-x/eventSubscriptions/drops"
)
AGAIN = "(run infra/hooks/postdeploy)"


def properties(**changes: Any) -> dict[str, Any]:
    return {
        "provisioningState": "Succeeded",
        "destination": {
            "endpointType": "WebHook",
            "properties": {"endpointBaseUrl": "https://func-x.azurewebsites.net/runtime/webhooks/blobs"},
        },
        "filter": {
            "subjectBeginsWith": "/blobServices/default/containers/inbox/blobs/",
            "includedEventTypes": ["Microsoft.Storage.BlobCreated"],
            "advancedFilters": [{"key": "data.api", "operatorType": "StringIn", "values": sorted(COMPLETED)}],
        },
    } | changes


def webhook(url: str) -> dict[str, Any]:
    return {"endpointType": "WebHook", "properties": {"endpointBaseUrl": url}}


class Credential:
    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        return AccessToken(f"for {' '.join(scopes)}", 4102444800)


class Azure:
    """Resource Manager: one answer, and what was asked."""

    def __init__(self, status: int = 200, document: object = None) -> None:
        self.answer = httpx.Response(status, json=document, headers={"Location": "https://elsewhere.example"})
        self.asked: list[tuple[str, str | None]] = []

    def manager(self) -> ResourceManager:
        return ResourceManager(ARM, TokenSource(Credential, f"{ARM}/.default"), httpx.MockTransport(self._handle))

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.asked.append((str(request.url), request.headers.get("Authorization")))
        return self.answer


async def looked_at(azure: Azure, *, resource_id: str = ID, app: str = "func-x") -> list[str]:
    return [str(finding) for finding in await subscription(azure.manager(), resource_id, app, "inbox")]


async def test_a_subscription_as_the_hook_makes_it_is_well() -> None:
    azure = Azure(document={"properties": properties()})
    assert await looked_at(azure) == ["ok   event subscription: from inbox to on_drop"]
    assert azure.asked == [(f"{ARM}{ID}?api-version=2025-02-15", f"Bearer for {ARM}/.default")]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"provisioningState": "Failed"}, "FAIL event subscription: its provisioning state is Failed"),
        ({"provisioningState": "Updating"}, "warn event subscription: its provisioning state is Updating"),
        ({"destination": {"endpointType": "EventHub"}}, "FAIL event subscription: its destination is no webhook"),
        (
            {"destination": webhook("https://func-x.azurewebsites.net/elsewhere")},
            "FAIL event subscription: its destination is not the blob trigger's webhook",
        ),
        (
            {
                "destination": webhook(
                    "https://func-x.azurewebsites.net/runtime/webhooks/blobs?functionName=Host.Functions.other&code=K"
                )
            },
            "FAIL event subscription: its destination is not the function Host.Functions.on_drop",
        ),
        (
            {"destination": webhook("https://func-old.azurewebsites.net/runtime/webhooks/blobs")},
            "FAIL event subscription: its destination is another app than func-x",
        ),
    ],
)
async def test_a_subscription_that_leads_elsewhere_is_said(changes: dict[str, Any], said: str) -> None:
    assert await looked_at(Azure(document={"properties": properties(**changes)})) == [f"{said} {AGAIN}"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"subjectBeginsWith": "/blobServices/default/containers/runs/blobs/"},
            "FAIL event subscription: its filter is not on the inbox: "
            "subjectBeginsWith is not /blobServices/default/containers/inbox/blobs/",
        ),
        (
            {"subjectEndsWith": ".csv"},
            "warn event subscription: it has a filter on how names end: other drops wait for the tick",
        ),
        (
            {"includedEventTypes": ["Microsoft.Storage.BlobDeleted"]},
            "FAIL event subscription: it does not include Microsoft.Storage.BlobCreated",
        ),
        (
            {"advancedFilters": []},
            "warn event subscription: it has no filter on data.api: an SFTP upload starts a run on half a file",
        ),
        (
            {"advancedFilters": [{"key": "data.api", "values": ["PutBlob", "PutBlockList", "CopyBlob"]}]},
            "warn event subscription: it leaves out FlushWithClose, SftpCommit: drops written so wait for the tick",
        ),
    ],
)
async def test_a_filter_that_lets_too_little_or_too_much_through_is_said(changes: dict[str, Any], said: str) -> None:
    document = properties()
    document["filter"] |= changes
    assert await looked_at(Azure(document={"properties": document})) == [f"{said} {AGAIN}"]


async def test_a_subscription_that_is_not_there_is_said() -> None:
    assert await looked_at(Azure(404)) == [f"FAIL event subscription: is not there: drops wait for the tick {AGAIN}"]


async def test_whoever_may_not_look_is_told_the_role() -> None:
    with pytest.raises(Forbidden, match=r"answered 403 \(ask with the role Reader on the resource group\)"):
        await looked_at(Azure(403))


async def test_a_redirect_takes_no_token_along() -> None:
    azure = Azure(302)
    with pytest.raises(Retryable, match="answered 302"):
        await looked_at(azure)
    assert [url for url, _ in azure.asked] == [f"{ARM}{ID}?api-version=2025-02-15"]


@pytest.mark.parametrize(
    "resource_id", ["drops", "//evil.example/x", f"{ID}/../../x", f"{ID}?x=1", f"https://evil.example{ID}"]
)
async def test_what_is_no_resource_id_is_not_asked_for(resource_id: str) -> None:
    azure = Azure()
    [line] = await looked_at(azure, resource_id=resource_id)
    assert line.startswith("FAIL event subscription: EVENT_SUBSCRIPTION_ID is not the resource id of an Event Grid sub")
    assert azure.asked == []


def test_each_public_cloud_has_its_resource_manager() -> None:
    from connector.vocabulary.origin import PUBLIC_CLOUDS

    assert set(CLOUDS) == {f"https://{host}" for host in PUBLIC_CLOUDS}


def test_a_private_graph_has_no_resource_manager_that_a_token_could_go_to(
    account: Account, sandbox: Sandbox, ask: Ask
) -> None:
    _, lines = ask(with_graph(account, sandbox) | {"EVENT_SUBSCRIPTION_ID": ID})
    assert lines[-2] == (
        f"skip event subscription: not looked at: {sandbox.base_url} is no public cloud's, "
        "so its Resource Manager is not known"
    )
