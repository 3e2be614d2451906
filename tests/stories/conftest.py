"""What most stories have: a storage account, and a Graph that is a stranger to the sandbox."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from azure.storage.blob import BlobServiceClient

from connector.sandbox.servers import Azurite
from tests.kit.account import Account
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
