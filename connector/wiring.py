"""What is plugged into what: the pipeline over a real storage account, Graph, identity and clock."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from connector.outside.blobs import connect
from connector.outside.graph import Graph
from connector.outside.keys import vault_secrets
from connector.outside.poison_queue import poison_count
from connector.outside.settings import Settings
from connector.outside.store import Store
from connector.outside.system_clock import SystemClock
from connector.outside.tokens import TokenSource
from connector.pipeline import Pipeline
from connector.vocabulary.clock import Clock

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential


@asynccontextmanager
async def connected(
    settings: Settings,
    *,
    credential: Callable[[str], TokenCredential],
    clock: Clock | None = None,
    examines: bool = False,
) -> AsyncIterator[Pipeline]:
    """A pipeline over the storage account and the Graph of the settings.

    `credential` makes the credential of a client id ("": the system-assigned identity), anew at every call. With
    `examines` a tick proves once a day, for the doctor, what that identity may; a connection string has none to prove.
    """
    clock = clock or SystemClock()
    storage = None if settings.connection_string else credential(settings.storage_client_id)
    service = connect(settings, storage)
    store = Store(service, settings)
    tokens = TokenSource(lambda: credential(settings.graph_client_id), f"{settings.graph}/.default")
    graph = Graph(settings.graph, tokens, clock)
    try:
        secrets = vault_secrets(credential, settings.graph_client_id, files=bool(settings.connection_string))
        examine = None
        if examines and not settings.connection_string:
            # Here and not above: no drop and no command but the doctor needs them.
            from connector.outside.probe import StorageProbe
            from connector.planning.feeds import Feeds
            from connector.watching.doctor_checks import DoctorChecks

            probe = StorageProbe(service, settings)
            checks = DoctorChecks(
                store, probe, graph, tokens, clock, settings, feeds=Feeds(store, settings), own=True, secrets=secrets
            )
            examine = checks.examine_if_due
        yield Pipeline(
            store, graph, clock, settings, secrets=secrets, poison=poison_count(settings, storage), examine=examine
        )
    finally:
        await graph.close()


def managed_identity(client_id: str) -> TokenCredential:
    """The function app's identity."""
    from azure.identity import ManagedIdentityCredential

    return ManagedIdentityCredential(client_id=client_id or None)


def developer_identity(client_id: str) -> TokenCredential:
    """On the command line: a managed identity where there is one, else the developer's own sign-in."""
    from azure.identity import DefaultAzureCredential

    return DefaultAzureCredential(managed_identity_client_id=client_id or None)
