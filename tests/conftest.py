"""Fixtures for every test: storage, a local Entra, and names that no other test uses."""

from __future__ import annotations

from tests.servers import azurite, azurite_oauth, containers, make_sandbox, sandbox, virtual_clock

__all__ = ["azurite", "azurite_oauth", "containers", "make_sandbox", "sandbox", "virtual_clock"]
