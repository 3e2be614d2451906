"""How many messages the blob trigger gave up on (Azure Functions, "Azure Blob storage trigger": poison blobs)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import AzureError, ResourceNotFoundError

from connector.outside.blobs import SILENT
from connector.outside.settings import Settings

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

QUEUE = "webjobs-blobtrigger-poison"


def poison_count(settings: Settings, credential: TokenCredential | None) -> Callable[[], int | None]:
    """A function that asks for the approximate number; None from it: unknown, since the queues were not to be read.

    What is in the queue harms nothing, as every tick finds the drops that have no run: it is a sign, and no work.
    """

    def count() -> int | None:
        # Here and not above: an idle function that exports nothing needs no queues.
        from azure.storage.queue import QueueClient

        options: dict[str, Any] = {"retry_total": 1, "logging_enable": False, "logger": SILENT}
        try:
            if settings.connection_string:
                client = QueueClient.from_connection_string(settings.connection_string, QUEUE, **options)
            elif settings.queue_service:
                client = QueueClient(settings.queue_service, QUEUE, credential=credential, **options)
            else:
                return None
            with client:
                return int(client.get_queue_properties().approximate_message_count or 0)
        except ResourceNotFoundError:
            # The host makes it for the first poison message.
            return 0
        except (AzureError, ValueError):
            return None

    return count
