"""Where schedules come from, and the verdict on each; in a module of its own so that other processes can import it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.chaos.checks import violations
from tests.chaos.schedule import Schedule, drawn
from tests.chaos.world import World


class Source:
    """Where schedules come from: drawn whole, or around a feed and drops that were given."""

    def __init__(self, feed: Path | None, drops: Path | None) -> None:
        self._feeds: dict[str, str] | None = None
        self._drops: list[tuple[str, str, bytes]] = []
        self.arguments = ""
        if feed is not None and drops is not None:
            self._feeds = {feed.stem: _at_home(feed.read_text())}
            files = sorted(path for path in drops.iterdir() if path.is_file())
            self._drops = [(feed.stem, path.name, path.read_bytes()) for path in files]
            self.arguments = f" --feed {feed} --drops {drops}"

    def schedule(self, seed: int) -> Schedule:
        return drawn(seed, feeds=self._feeds, drops=self._drops)

    def judged(self, seed: int) -> tuple[int, list[str]]:
        return seed, judged(self.schedule(seed))


def judged(schedule: Schedule, **options: Any) -> list[str]:
    """The violations of a schedule, after it has happened. `options` are the world's."""
    world = World(schedule, **options)
    try:
        world.run()
        return violations(world)
    except Exception as error:
        return [f"the schedule itself broke: {type(error).__name__}: {error}"]


def _at_home(feed: str) -> str:
    """The feed file with the sandbox's endpoint for its own."""
    lines = feed.splitlines()
    return "\n".join("endpoint: {endpoint}" if line.startswith("endpoint:") else line for line in lines) + "\n"
