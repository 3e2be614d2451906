"""The feed files of the config container: loaded and checked, or their rules on which blobs are drops alone."""

from __future__ import annotations

import logging

from connector.feed.files import Files
from connector.feed.parse import parse
from connector.mapping import LoadedFeed, load_feed
from connector.outside.settings import Settings
from connector.outside.store import Store
from connector.vocabulary.errors import ConnectorError, Fault, FeedUnusable

log = logging.getLogger(__name__)


class Feeds:
    """What config/feeds holds now; nothing is kept between calls."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    def load(self, feed: str) -> tuple[LoadedFeed, str]:
        """The feed's file, checked, and its ETag. Raises FeedUnusable."""
        found = self._store.feed_file(feed)
        path = f"{self._settings.config}/feeds/{feed}.yaml"
        if found is None:
            advice = "write one, or move the drop to the folder of a feed that has one"
            raise FeedUnusable(path, [Fault(message="the feed has no feed file", advice=advice)])
        text, etag = found
        try:
            return load_feed(text, name=path, files=self._beside, graph=self._settings.graph), etag
        except ConnectorError:
            raise
        except Exception as error:
            raise FeedUnusable(path, [unforeseen(error, "the feed file")]) from error

    def files(self, feed: str, good: str) -> Files:
        """The feed's rules on which blobs are drops.

        They count whatever else is wrong with the feed file, lest markers and what is to be ignored become runs; while
        they cannot be made out, the last good ones do. `good` is the ETag of the file that these were in, "" for none.
        """
        text, etag = self._store.feed_file(feed) or (b"", "")
        rules = self._rules(feed, text) if etag else None
        if rules is not None:
            if etag != good:
                self._store.index.keep_feed_file(feed, text, etag)
            return rules
        before = self._store.index.good_feed_file(feed) if good else None
        return (self._rules(feed, before) if before else None) or Files()

    def _rules(self, feed: str, text: bytes) -> Files | None:
        try:
            parsed = parse(text, name=feed, graph=self._settings.graph)
        except Exception as error:
            if not isinstance(error, FeedUnusable):
                log.error(
                    "step failed", extra={"step": "feed file", "feed": feed, "run": "", "error": type(error).__name__}
                )
            return None
        return None if any(place[:1] == ("files",) for place in parsed.unjudged) else parsed.feed.files

    def _beside(self, name: str) -> bytes:
        """A file beside the feed files, such as a lookup table."""
        data = self._store.config_file(f"feeds/{name}")
        if data is None:
            raise FileNotFoundError(name)
        return data


def unforeseen(error: Exception, what: str) -> Fault:
    """Of an exception that is not ours: its class alone, since its words may be a person's."""
    return Fault(
        message=f"{what} made the connector fail ({type(error).__name__})",
        advice="please report it with this message: nothing of it was sent, and nothing else is held up by it",
    )
