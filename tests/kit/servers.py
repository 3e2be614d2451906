"""Servers for tests: one Azurite a worker, a sandbox a test."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from connector.sandbox.clock import VirtualClock
from connector.sandbox.faults import Schedule
from connector.sandbox.servers import Azurite, Sandbox
from connector.sandbox.settings import SandboxSettings
from connector.vocabulary.clock import Clock

MakeSandbox = Callable[..., Sandbox]


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """Storage by connection string, shared by a worker's tests: use `containers` for names of your own."""
    with Azurite() as server:
        yield server


@pytest.fixture(scope="session")
def azurite_oauth() -> Iterator[Azurite]:
    """Storage over https that takes access tokens."""
    with Azurite(oauth=True) as server:
        yield server


@pytest.fixture
def containers() -> dict[str, str]:
    """The four container settings, with names that no other test has. The containers are not made."""
    mark = uuid.uuid4().hex[:12]
    return {f"{name.upper()}_CONTAINER": f"{name}-{mark}" for name in ("inbox", "config", "runs", "summaries")}


@pytest.fixture
def virtual_clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def make_sandbox() -> Iterator[MakeSandbox]:
    """Makes running sandboxes (threads, real HTTP) that stop with the test; immediate unless settings say else."""
    with ExitStack() as stack:

        def make(
            settings: SandboxSettings | None = None,
            *,
            clock: Clock | None = None,
            faults: Schedule | None = None,
        ) -> Sandbox:
            chosen = settings if settings is not None else SandboxSettings.immediate()
            return stack.enter_context(Sandbox(chosen, clock=clock, faults=faults))

        yield make


@pytest.fixture
def sandbox(make_sandbox: MakeSandbox) -> Sandbox:
    """A strict Entra whose outcomes are in the log as soon as the upload is answered."""
    return make_sandbox()
