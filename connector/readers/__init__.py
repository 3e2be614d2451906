"""Bytes to rows: what HR systems export, as tables. `open_drop` is the way in."""

from connector.readers.drop import open_drop
from connector.readers.table import BadRow, Cell, Cells, ScimTable, Table, User

__all__ = ["BadRow", "Cell", "Cells", "ScimTable", "Table", "User", "open_drop"]
