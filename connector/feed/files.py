"""The section `files`: which blobs of a feed's folder are drops."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field

from connector.feed.base import Section, Text, wrong

LEFTOVERS: Final = ("*.tmp", "*.part", "*.filepart", ".*")
"""What transfers leave behind when they break off or have not ended."""


def _ready(value: Any) -> Any:
    if not isinstance(value, str) or value.count("{name}") != 1 or value == "{name}" or "/" in value:
        raise wrong("must be the marker's name with {name} in it for the drop's", 'for example ready: "{name}.done"')
    return value


class Files(Section):
    """Which blobs of the feed's folder are drops. Patterns match the name without its folder, as in a shell."""

    match: tuple[Text, ...] = Field(default=("*",), min_length=1)
    ignore: tuple[Text, ...] = Field(
        default=(), description="Beside the leftovers of transfers, which are never drops."
    )
    ready: Annotated[str, BeforeValidator(_ready, json_schema_input_type=str)] | None = Field(
        default=None, description="The marker that a drop waits for, such as {name}.done."
    )

    def is_drop(self, name: str) -> bool:
        """Whether a blob of this name is a drop, if it is not empty; markers are none."""
        base = name.rsplit("/", 1)[-1]
        return (
            bool(base)
            and self.drop_of(name) is None
            and not _matches(base, (*LEFTOVERS, *self.ignore))
            and _matches(base, self.match)
        )

    def marker_of(self, name: str) -> str | None:
        """The name of the marker that makes the drop `name` ready; None when drops need none."""
        if self.ready is None:
            return None
        folder, slash, base = name.rpartition("/")
        return folder + slash + self.ready.replace("{name}", base)

    def drop_of(self, marker: str) -> str | None:
        """The name of the drop that this blob is the marker of; None when it is no marker."""
        if self.ready is None:
            return None
        folder, slash, base = marker.rpartition("/")
        before, _, after = self.ready.partition("{name}")
        if len(base) <= len(before) + len(after) or not (base.startswith(before) and base.endswith(after)):
            return None
        return folder + slash + base[len(before) : len(base) - len(after)]


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name.lower(), pattern.lower()) for pattern in patterns)
