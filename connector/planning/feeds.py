"""The feed files of the config container: loaded and checked, or their rules on which blobs are drops alone."""

from __future__ import annotations

from connector.feed.files import Files
from connector.feed.parse import parse
from connector.mapping import LoadedFeed, load_feed
from connector.outside.settings import Settings
from connector.outside.store import Store
from connector.vocabulary.errors import Fault, FeedUnusable


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
        return load_feed(text, name=path, files=self._beside, graph=self._settings.graph), etag

    def files(self, feed: str) -> Files:
        """The feed's rules on which blobs are drops; the defaults while these cannot be made out.

        They count whatever else is wrong with the feed file, lest markers and what is to be ignored become runs.
        """
        found = self._store.feed_file(feed)
        if found is None:
            return Files()
        try:
            return parse(found[0], name=feed, graph=self._settings.graph).feed.files
        except FeedUnusable:
            return Files()

    def _beside(self, name: str) -> bytes:
        """A file beside the feed files, such as a lookup table."""
        data = self._store.config_file(f"feeds/{name}")
        if data is None:
            raise FileNotFoundError(name)
        return data
