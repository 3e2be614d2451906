"""Row to person: a feed file's mapping, checked once and compiled into one function."""

from connector.mapping.as_it_stands import AsItStands
from connector.mapping.bound_mapping import BoundMapping, Mapping
from connector.mapping.load import LoadedFeed, load_feed
from connector.mapping.rules import FILTERED, Filtered, Rejected

__all__ = ["FILTERED", "AsItStands", "BoundMapping", "Filtered", "LoadedFeed", "Mapping", "Rejected", "load_feed"]
