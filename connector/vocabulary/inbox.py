"""A blob of the inbox as storage tells of it, before anybody knows whether it is a drop."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from connector.vocabulary.run import Drop

# HTTP clients resolve the segments "." and ".." before they send a URL: it would name another blob. Control characters
# are not allowed in a URL's path ("Naming and referencing containers, blobs, and metadata"), nor half a character.
_UNREADABLE = re.compile(r"(?:^|/)\.{1,2}(?:/|$)|[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxBlob:
    """`seen` is when this was so, by the storage account's clock; None where it did not say.

    `grows` is said of a blob that is not written as a whole: its readers see it at any length. `copy` is the state of
    the copy that makes it ("pending", "success", "aborted", "failed"; "": none does).
    """

    drop: Drop
    seen: datetime | None = None
    folder: bool = False
    grows: bool = False
    copy: str = ""
    archived: bool = False
    rehydrating: bool = False


def readable(path: str) -> bool:
    """Whether a blob of this name can be asked for at all."""
    return _UNREADABLE.search(path) is None
