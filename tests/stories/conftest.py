"""What most stories have: a storage account, and a Graph that is a stranger to the sandbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient

from connector.sandbox.faults import Rule, Schedule
from connector.sandbox.servers import Azurite
from connector.sandbox.settings import SandboxSettings
from connector.vocabulary.limits import Limit
from tests.kit.account import Account
from tests.kit.house import House
from tests.kit.servers import MakeSandbox
from tests.kit.stranger import Stranger, stranger


@pytest.fixture
def graph() -> Iterator[Stranger]:
    with stranger() as running:
        yield running


@pytest.fixture
def account(azurite: Azurite, containers: dict[str, str], graph: Stranger) -> Iterator[Account]:
    with BlobServiceClient.from_connection_string(azurite.connection_string) as service:
        made = Account(service=service, containers=containers)
        made.environment = {**azurite.environment(), **graph.environment(), **containers}
        made.prepare()
        yield made


@pytest.fixture
def house(azurite: Azurite, containers: dict[str, str], make_sandbox: MakeSandbox) -> Iterator[Callable[..., House]]:
    with BlobServiceClient.from_connection_string(azurite.connection_string) as service:
        account = Account(service=service, containers=containers)

        def make(*faults: Rule, **changes: Any) -> House:
            options = {"send_limit": Limit(1000, 1.0), **changes}
            entra = make_sandbox(SandboxSettings.immediate(**options), faults=Schedule(faults))
            account.environment = {**azurite.environment(), **entra.identity_environment(), **containers}
            account.environment["SEND_LIMIT"] = "40/500ms"
            account.prepare()
            account.feed("people")
            return House(account, entra)

        yield make
