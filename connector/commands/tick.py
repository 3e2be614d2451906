"""Settles, drains, sweeps and drains again, once, as the timer's function does; prints a line a run."""

from __future__ import annotations

import argparse
import asyncio
import signal
from contextlib import suppress

from connector.commands.printing import say
from connector.outside.settings import Monitoring, Settings
from connector.outside.telemetry.invocation import invocation
from connector.reporting.terminal import line, unplanned_lines
from connector.wiring import connected, developer_identity

EXAMPLE = "tick"


def arguments(parser: argparse.ArgumentParser) -> None:
    """None: the environment has the settings."""


def run(options: argparse.Namespace) -> int:
    """0; 143 after SIGTERM. Raises ConnectorError for a part that failed, after all the others were tried."""
    try:
        asyncio.run(_tick())
    except asyncio.CancelledError:
        return 128 + signal.SIGTERM
    return 0


async def _tick() -> None:
    task = asyncio.current_task()
    assert task is not None
    # As Ctrl-C does: what is in flight is waited for, and nothing new is begun. Windows has no such signal.
    with suppress(NotImplementedError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with (
        invocation("on_tick", Monitoring.of().connection_string),
        connected(Settings.of(), credential=developer_identity) as pipeline,
    ):
        for summary in await pipeline.on_tick():
            say(line(summary))
        for unplanned in pipeline.unplanned:
            say(*unplanned_lines(unplanned))
