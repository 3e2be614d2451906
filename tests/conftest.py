"""Fixtures for every test: storage, a local Entra, and names that no other test uses."""

from __future__ import annotations

import gc
import os

from hypothesis import HealthCheck, settings

from tests.kit.privacy import collected, log_is_clean
from tests.kit.servers import azurite, azurite_oauth, containers, make_sandbox, sandbox, virtual_clock

# The same examples in every run, and nothing that a busy machine could be too slow for.
settings.register_profile("steady", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")

# A developer's proxy has no business between a test and its servers; that said, nobody looks for one at each request.
os.environ["NO_PROXY"] = "127.0.0.1,localhost"


def pytest_collection_finish() -> None:
    # What was imported stays to the end: without this the collector would go through all of it again and again.
    gc.collect()
    gc.freeze()


__all__ = [
    "azurite",
    "azurite_oauth",
    "collected",
    "containers",
    "log_is_clean",
    "make_sandbox",
    "sandbox",
    "virtual_clock",
]
