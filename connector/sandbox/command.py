"""Runs a strict local Entra over real HTTP, in the foreground until Ctrl-C."""

from __future__ import annotations

import argparse
import os
import threading
from pathlib import Path
from typing import Any

import yaml

from connector.sandbox.faults import Schedule
from connector.sandbox.servers import Sandbox
from connector.sandbox.settings import SandboxSettings
from connector.vocabulary.errors import Fault, Unusable

PORT = 8750


EXAMPLE = "sandbox --port 0"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, default=PORT, help="port; 0 is any free one (default %(default)s)")
    parser.add_argument("--settings", type=Path, metavar="YAML", help="the sandbox's settings")
    parser.add_argument("--faults", type=Path, metavar="YAML", help="the faults, by script")
    parser.add_argument("--seed", type=int, default=0, help="for faults with a probability (default %(default)s)")


def run(options: argparse.Namespace) -> int:
    """0 after Ctrl-C. Raises Unusable where a file or the port cannot be used."""
    try:
        settings = _settings(options.settings) if options.settings else SandboxSettings()
        faults = Schedule()
        if options.faults:
            faults = Schedule.parse(_read(options.faults), seed=options.seed, name=str(options.faults))
        serve(settings, host=options.host, port=options.port, faults=faults)
    except OSError as error:
        fault = Fault(message=os.strerror(error.errno or 0), advice="choose another --port")
        raise Unusable(f"{options.host} port {options.port}", [fault]) from None
    except KeyboardInterrupt:
        return 0
    return 0


def serve(
    settings: SandboxSettings, *, host: str = "127.0.0.1", port: int = PORT, faults: Schedule | None = None
) -> None:
    """Serves until KeyboardInterrupt. Prints the environment for the connector and the endpoint for its feed files."""
    with Sandbox(settings, faults=faults, host=host, port=port) as sandbox:
        print("# the connector's environment")
        for name, value in sandbox.identity_environment().items():
            print(f"export {name}={value}")
        for principal, job in settings.jobs:
            print(f"# a feed file's endpoint: {sandbox.endpoint_of(principal, job)}")
        print(f"# what it saw: {sandbox.base_url}/sandbox/report", flush=True)
        threading.Event().wait()


def _settings(path: Path) -> SandboxSettings:
    try:
        values: Any = yaml.safe_load(_read(path))
    except yaml.YAMLError as error:
        raise Unusable(str(path), [Fault(message="not YAML")]) from error
    if not isinstance(values or {}, dict):
        raise Unusable(str(path), [Fault(message="wants setting: value")])
    return SandboxSettings.parse(values or {}, name=str(path))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unusable(str(path), [Fault(message=f"cannot be read: {error.strerror}")]) from error
