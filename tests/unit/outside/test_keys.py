"""Keys from Key Vault: the real SecretClient against a vault of our own, so that what is sent where can be seen."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pysequoia
import pytest
import requests
import urllib3
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import BlobServiceClient
from requests.adapters import BaseAdapter, HTTPAdapter

from connector.outside.graph import Graph
from connector.outside.keys import Secrets, vault_secrets
from connector.outside.settings import Settings
from connector.outside.store import Store
from connector.outside.system_clock import SystemClock
from connector.outside.tokens import TokenSource
from connector.pipeline import Pipeline
from connector.sandbox.servers import Azurite, Sandbox
from connector.vocabulary.errors import ConnectorError, Retryable, Stopped, Unusable
from tests.kit.account import PATIENCE, Account, outcomes, rows
from tests.kit.people import csv_of, feed_file, ids, workers
from tests.kit.privacy import Collector, text_of

TOKEN = "token-for-key-vault"
VERSION = "0123456789abcdef0123456789abcdef"
OURS = pysequoia.Tsk.generate("Connector <connector@example.org>")
CHALLENGE = 'Bearer authorization="https://login.microsoftonline.com/tenant-1", resource="{resource}"'


@dataclass(slots=True)
class Vault(BaseAdapter):
    """A host that asks for a token as Key Vault does, and answers with `status`, or with the secret of that path."""

    secrets: dict[str, str] = field(default_factory=dict)
    status: int = 200
    resource: str = "https://vault.azure.net"
    headers: dict[str, str] = field(default_factory=dict)
    broken: bool = False
    seen: list[tuple[str, str, str]] = field(default_factory=list)
    """(host, path, token) of every request."""

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        url = urlsplit(request.url or "")
        authorization = str(request.headers.get("Authorization", ""))
        self.seen.append((url.netloc, url.path, authorization.removeprefix("Bearer ")))
        if self.broken:
            raise requests.ConnectionError("no route to host")
        status: int = self.status
        document: dict[str, Any] = {"error": {"code": "Whatever", "message": "No."}}
        headers = {"Content-Type": "application/json", **self.headers}
        if not authorization:
            status, headers = 401, {"WWW-Authenticate": CHALLENGE.format(resource=self.resource)}
        elif status == 200 and (value := self.secrets.get(url.path.rstrip("/"))) is not None:
            document = {"value": value, "id": f"https://{url.netloc}/secrets/{url.path.split('/')[2]}/{VERSION}"}
        elif status == 200:
            status = 404
        body = io.BytesIO(json.dumps(document).encode())
        raw = urllib3.HTTPResponse(body=body, headers=headers, status=status, preload_content=False)
        return HTTPAdapter().build_response(request, raw)

    def close(self) -> None:
        """Nothing is open."""

    def transport(self) -> RequestsTransport:
        session = requests.Session()
        session.mount("https://", self)
        session.mount("http://", self)
        return RequestsTransport(session=session, session_owner=False)


@dataclass(slots=True)
class Identity:
    """A managed identity that notes what it is asked for; without a token, it says so as the real one does."""

    has_token: bool = True
    scopes: list[tuple[str, ...]] = field(default_factory=list)

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        self.scopes.append(scopes)
        if not self.has_token:
            raise ClientAuthenticationError("no identity is assigned")
        return AccessToken(TOKEN, 4_000_000_000)


@pytest.fixture
def host(request: pytest.FixtureRequest) -> str:
    """A vault of this test alone: the SDK remembers, for the process, how each host wants to be asked."""
    return f"v{sha256(request.node.nodeid.encode()).hexdigest()[:16]}.vault.azure.net"


def secrets_of(vault: Vault, identity: Identity, *, files: bool = False) -> Secrets:
    return Secrets(lambda: identity, files=files, transport=vault.transport(), retry_total=0)


def failure(read: Callable[[], object], kind: type[ConnectorError]) -> str:
    with pytest.raises(kind) as caught:
        read()
    assert type(caught.value) is kind
    return str(caught.value)


def test_a_secret_is_read_whole_in_its_newest_version_or_the_pinned_one(host: str) -> None:
    armour = str(OURS)
    vault = Vault({"/secrets/hr-key": armour, f"/secrets/hr-key/{VERSION}": "older"})
    secrets = secrets_of(vault, Identity())
    assert secrets.read(f"keyvault:https://{host}/secrets/hr-key") == armour.encode()
    assert secrets.read(f"keyvault:https://{host}/secrets/hr-key/{VERSION}") == b"older"
    paths = [path.rstrip("/") for _, path, token in vault.seen if token]
    assert paths == ["/secrets/hr-key", f"/secrets/hr-key/{VERSION}"]


def test_what_is_no_reference_stands_for_itself() -> None:
    certificate = str(OURS.extract_certificate())
    assert Secrets(None, files=False).read(certificate) == certificate.encode()


def test_text_loses_the_line_end_and_nothing_else(host: str) -> None:
    secrets = secrets_of(Vault({"/secrets/phrase": " correct  horse \r\n"}), Identity())
    assert secrets.text(f"keyvault:https://{host}/secrets/phrase") == " correct  horse "


def test_the_token_is_asked_for_key_vault_and_sent_to_the_vault_alone(host: str) -> None:
    vault, identity = Vault({"/secrets/hr-key": "k"}), Identity()
    secrets_of(vault, identity).read(f"keyvault:https://{host}/secrets/hr-key")
    assert identity.scopes == [("https://vault.azure.net/.default",)]
    assert [(at, token) for at, _, token in vault.seen] == [(host, ""), (host, TOKEN)]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(host: str, status: int) -> None:
    vault = Vault(status=status, headers={"Location": "https://other.vault.azure.net/secrets/hr-key"})
    said = failure(lambda: secrets_of(vault, Identity()).read(f"keyvault:https://{host}/secrets/hr-key"), Retryable)
    assert said == f"the key vault {host} answered {status}"
    assert {at for at, _, _ in vault.seen} == {host}


@pytest.mark.parametrize("resource", ["https://graph.microsoft.com", "https://evil.example", "nonsense"])
def test_a_vault_that_asks_for_a_token_of_something_else_gets_none(host: str, resource: str) -> None:
    vault, identity = Vault({"/secrets/hr-key": "k"}, resource=resource), Identity()
    said = failure(lambda: secrets_of(vault, identity).read(f"keyvault:https://{host}/secrets/hr-key"), Stopped)
    assert said == (
        f"{host} does not answer as a key vault of its cloud does "
        "(see whether pgp: in the feed file names the right vault, and who answers in its place)"
    )
    assert (identity.scopes, {token for _, _, token in vault.seen}) == ([], {""})


@pytest.mark.parametrize("status", [403, 404])
def test_what_an_administrator_must_mend_stops_with_what_to_do(host: str, status: int) -> None:
    vault = Vault(status=status)
    said = failure(lambda: secrets_of(vault, Identity()).read(f"keyvault:https://{host}/secrets/hr-key"), Stopped)
    assert said == (
        f"the key vault {host} answered {status} to the secret hr-key "
        "(make the secret, and give the connector's identity the role Key Vault Secrets User)"
    )


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_passes_by_itself_is_tried_again_later(host: str, status: int) -> None:
    vault = Vault(status=status)
    said = failure(lambda: secrets_of(vault, Identity()).read(f"keyvault:https://{host}/secrets/hr-key"), Retryable)
    assert said == f"the key vault {host} answered {status}"


def test_a_vault_out_of_reach_and_an_identity_without_a_token_are_tried_again_later(host: str) -> None:
    reference = f"keyvault:https://{host}/secrets/hr-key"
    unreachable = secrets_of(Vault(broken=True), Identity())
    assert failure(lambda: unreachable.read(reference), Retryable) == f"the key vault {host} could not be reached"
    tokenless = secrets_of(Vault(), Identity(has_token=False))
    assert failure(lambda: tokenless.read(reference), Retryable) == f"no token for the key vault {host}"


def test_the_sdk_tries_again_a_bounded_number_of_times(host: str) -> None:
    vault = Vault(status=500)
    # Without a wait between them, which is the SDK's and not ours to test.
    secrets = Secrets(Identity, files=False, transport=vault.transport(), retry_backoff_factor=0)
    failure(lambda: secrets.read(f"keyvault:https://{host}/secrets/hr-key"), Retryable)
    assert [token for _, _, token in vault.seen] == ["", TOKEN, TOKEN, TOKEN]


def test_a_file_is_read_for_a_trial_and_refused_in_azure(tmp_path: Path) -> None:
    (tmp_path / "key.asc").write_bytes(b"key")
    reference = f"file:{tmp_path / 'key.asc'}"
    identity = Identity()
    assert vault_secrets(lambda _: identity, "", files=True).read(reference) == b"key"
    assert failure(lambda: vault_secrets(lambda _: identity, "", files=False).read(reference), Unusable) == (
        f"{reference}: file: names a key on this machine, where there is none (name it with keyvault:)"
    )
    assert identity.scopes == []


def test_a_preview_asks_no_vault() -> None:
    reference = "keyvault:https://contoso.vault.azure.net/secrets/hr-key"
    assert failure(lambda: Secrets(None, files=True).read(reference), Unusable) == (
        "https://contoso.vault.azure.net/secrets/hr-key: Key Vault is not asked here (name the key with file: instead)"
    )


@pytest.fixture
def account(azurite: Azurite, containers: dict[str, str], sandbox: Sandbox) -> Iterator[Account]:
    with BlobServiceClient.from_connection_string(azurite.connection_string) as service:
        made = Account(service=service, containers=containers)
        made.environment = {**azurite.environment(), **sandbox.identity_environment(), **containers}
        made.prepare()
        yield made


def encrypted() -> bytes:
    return bytes(pysequoia.encrypt(recipients=[OURS.extract_certificate()], bytes=csv_of(workers(2))))


async def _tick(account: Account, sandbox: Sandbox, secrets: Secrets) -> ConnectorError | None:
    """A tick of a pipeline with these secrets; gives what it raised."""
    settings = Settings.of(account.environment)
    clock = SystemClock()
    tokens = TokenSource(lambda: SandboxIdentity(account), f"{settings.graph}/.default")
    graph = Graph(settings.graph, tokens, clock)
    try:
        await Pipeline(Store.connect(settings), graph, clock, settings, secrets=secrets).on_tick()
    except ConnectorError as error:
        return error
    finally:
        await graph.close()
    return None


@dataclass(frozen=True, slots=True)
class SandboxIdentity:
    """The sandbox's identity endpoint, without the environment that the SDK's credential reads."""

    account: Account

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        environment = self.account.environment
        answer = requests.get(
            environment["IDENTITY_ENDPOINT"],
            params={"api-version": "2019-08-01", "resource": scopes[0].removesuffix("/.default")},
            headers={"X-IDENTITY-HEADER": environment["IDENTITY_HEADER"]},
            timeout=PATIENCE,
        ).json()
        return AccessToken(answer["access_token"], int(answer["expires_on"]))


async def test_a_drop_waits_in_planning_for_a_key_that_is_not_to_be_had_and_then_comes_home(
    account: Account, sandbox: Sandbox, host: str, collected: Collector
) -> None:
    account.feed("people", f"{feed_file()}pgp: {{key: 'keyvault:https://{host}/secrets/hr-key'}}\n")
    account.drop("people/today.csv.pgp", encrypted())
    vault = Vault({"/secrets/hr-key": str(OURS)}, status=403)
    secrets = secrets_of(vault, Identity())

    error = await _tick(account, sandbox, secrets)

    assert isinstance(error, Stopped)
    summary = account.summary("people")
    assert (summary["state"], summary["rows"], summary["problem"]) == (
        "planning",
        rows(),
        {
            "code": "planning",
            "message": f"the key vault {host} answered 403 to the secret hr-key",
            "advice": "make the secret, and give the connector's identity the role Key Vault Secrets User",
        },
    )
    vault.status = 429
    assert isinstance(await _tick(account, sandbox, secrets), Retryable)
    summary = account.summary("people")
    assert (summary["state"], summary["problem"]["message"]) == ("planning", f"the key vault {host} answered 429")

    vault.status = 200
    # A tick sends it, and the next one settles it.
    assert [await _tick(account, sandbox, secrets) for _ in range(2)] == [None, None]
    summary = account.summary("people")
    assert (summary["state"], summary["outcomes"], summary["problem"]) == ("settled", outcomes(created=2), None)
    assert sorted(sandbox.report.people_received) == ids(workers(2))
    # The drop is read twice, its key once.
    assert len([path for _, path, token in vault.seen if token]) == 3
    records = "\n".join(text_of(record) for record in collected.records)
    lines = [line for line in str(OURS).splitlines() if len(line) == 64]
    kept = b"".join((account.runs() | account.summaries()).values()).decode("latin-1")
    assert [secret for secret in (*lines, TOKEN) if secret in records or secret in kept] == []


def test_a_key_file_is_refused_where_storage_is_reached_by_identity(
    azurite_oauth: Azurite,
    containers: dict[str, str],
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with BlobServiceClient.from_connection_string(
        azurite_oauth.connection_string, connection_verify=str(azurite_oauth.certificate)
    ) as service:
        account = Account(service=service, containers=containers)
        account.environment = {
            "HR_STORAGE__blobServiceUri": azurite_oauth.blob_service,
            "HR_STORAGE__credential": "managedidentity",
            **sandbox.identity_environment(),
            **containers,
        }
        account.prepare()
        (tmp_path / "key.asc").write_text(str(OURS))
        account.feed("people", f"{feed_file()}pgp: {{key: 'file:{tmp_path / 'key.asc'}'}}\n")
        account.drop("people/today.csv.pgp", encrypted())
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(azurite_oauth.certificate))
        account.tick_here()
        summary = account.summary("people")
        assert (summary["state"], summary["rows"], summary["problem"]) == (
            "rejected",
            rows(),
            {
                "code": "drop",
                "message": "file: names a key on this machine, where there is none",
                "advice": "name it with keyvault:",
            },
        )
        assert sandbox.report.uploads == 0
