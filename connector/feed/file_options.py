"""The section `file`: how to read a feed's drops."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, PlainValidator, StrictInt, model_validator

from connector.feed.base import Section, Text, as_text, wrong


def _single(value: Any) -> Any:
    if value in {"tab", "\\t"}:
        return "\t"
    if not isinstance(value, str) or len(value) != 1 or value in "\r\n\0":
        raise wrong("must be a single character, or tab", 'for example delimiter: ";"')
    return value


def _quote(value: Any) -> Any:
    return "" if value in {"none", ""} else _single(value)


# Of Python's codecs from bytes to text, those in which no file is written: parts of other notations, what depends on
# the machine, and utf-7, which can smuggle in anything.
_NO_FILES: Final = frozenset(
    {"utf-7", "idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined", "charmap", "mbcs", "oem"}
)


def decodes_files(encoding: str) -> bool:
    """Whether files are written in an encoding of that name: one of Python's own, from bytes to text, and no other."""
    try:
        # Bytes to bytes, "rot13", and what another package registers are codecs too.
        found = codecs.lookup(encoding)
        own = str(getattr(found.incrementaldecoder, "__module__", "")).startswith("encodings.")
        return found._is_text_encoding and own and found.name.replace("_", "-") not in _NO_FILES
    except (LookupError, ValueError):
        return False


def _encoding(value: Any) -> Any:
    if not isinstance(value, str) or not decodes_files(value):
        raise wrong("is not an encoding that is known here", "for example utf-8, utf-16, windows-1252, iso-8859-1")
    return value


def _header(value: Any) -> Any:
    if isinstance(value, bool | tuple):
        return value
    if not isinstance(value, list) or not value or not all(isinstance(as_text(name), str) for name in value):
        raise wrong("must be true, false or a list of column names")
    names = tuple(str(name) for name in value)
    _no_repeats(names)
    return names


def _no_repeats(names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise wrong(f"names the column {name!r} twice")
        seen.add(name)


def _pattern(value: Any) -> Any:
    try:
        groups = re.compile(value).groups if isinstance(value, str) and len(value) <= 500 else 0
    except (re.error, RecursionError, OverflowError):
        groups = 0
    if groups != 1:
        raise wrong("must be a pattern with one group, the number", "for example count: 'TRAILER;([0-9]+)'")
    return value


class Footer(Section):
    """The last lines of a text file that are no rows.

    `count` is a regular expression, searched in these lines, whose one group is the number of rows that the file should
    have.
    """

    lines: Annotated[StrictInt, Field(ge=0, le=1000)] = 1
    count: Annotated[str, BeforeValidator(_pattern, json_schema_input_type=str)] | None = None


def _footer(value: Any) -> Any:
    return {"lines": value} if isinstance(value, int) and not isinstance(value, bool) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedColumn:
    """A column of a fixed-width file: `width` characters from character `start`, counted from 1."""

    name: str
    start: int
    width: int


_SPAN: Final = re.compile(r"([0-9]{1,5})\s*-\s*([0-9]{1,5})", re.ASCII)


def _fixed_columns(value: Any) -> tuple[FixedColumn, ...]:
    if isinstance(value, tuple):
        return value
    advice = "for example {WorkerID: 1-10, Name: 11-40} (characters, from 1) or {WorkerID: 10, Name: 30} (widths)"
    if not isinstance(value, dict) or not value:
        raise wrong("must give each column's characters", advice)
    columns: list[FixedColumn] = []
    next_start = 1
    for name, span in value.items():
        match = _SPAN.fullmatch(span.strip()) if isinstance(span, str) else None
        if match is not None:
            start, width = int(match[1]), int(match[2]) - int(match[1]) + 1
        elif isinstance(span, int) and not isinstance(span, bool):
            start, width = next_start, span
        else:
            start, width = 0, 0
        if start < 1 or not 1 <= width <= 99_999:
            raise wrong(f"does not say which characters {name!r} has", advice)
        columns.append(FixedColumn(name=name, start=start, width=width))
        next_start = start + width
    return tuple(columns)


def _columns_text(columns: tuple[FixedColumn, ...]) -> dict[str, str]:
    return {column.name: f"{column.start}-{column.start + column.width - 1}" for column in columns}


_SIZE: Final = re.compile(r"([1-9][0-9]{0,5})\s*(MB|GB)", re.IGNORECASE | re.ASCII)
_BYTES: Final = {"MB": 1 << 20, "GB": 1 << 30}


def _size(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise wrong("must be a size", "for example max_expanded: 8GB")
    return int(match[1]) * _BYTES[match[2].upper()]


def _size_text(size: int) -> str:
    return f"{size >> 20}MB" if size % _BYTES["GB"] else f"{size >> 30}GB"


Format = Literal["csv", "tsv", "json", "jsonl", "xlsx", "xml", "fixed", "scim"]

_FORMATS_OF_OPTION: Final[Mapping[str, frozenset[str]]] = {
    "delimiter": frozenset({"csv", "tsv"}),
    "quote": frozenset({"csv", "tsv"}),
    "header": frozenset({"csv", "tsv", "xlsx"}),
    "sheet": frozenset({"xlsx"}),
    "record": frozenset({"json", "jsonl", "xml", "scim"}),
    "namespaces": frozenset({"xml"}),
    "skip": frozenset({"csv", "tsv", "xlsx", "fixed", "jsonl"}),
    "footer": frozenset({"csv", "tsv", "xlsx", "fixed", "jsonl"}),
    "columns": frozenset({"fixed"}),
}


class FileOptions(Section):
    """How to read a feed's drops. None or the default means: found out from the drop itself."""

    format: Format | None = None
    encoding: Annotated[str, BeforeValidator(_encoding, json_schema_input_type=str)] | None = None
    delimiter: Annotated[str, BeforeValidator(_single, json_schema_input_type=str)] | None = None
    quote: Annotated[str, BeforeValidator(_quote, json_schema_input_type=str)] | None = Field(
        default=None, description="The quote character; none when fields are never quoted."
    )
    header: Annotated[bool | tuple[str, ...], PlainValidator(_header, json_schema_input_type=bool | list[str])] = Field(
        default=True, description="Whether the first row names the columns; a list names them for a file without."
    )
    sheet: Text | None = Field(default=None, description="XLSX: the sheet's name; the first one by default.")
    record: Text | None = Field(default=None, description="JSON, XML: the path to the records.")
    namespaces: dict[str, str] = Field(default={}, description="XML: prefix to namespace, as used in paths.")
    skip: Annotated[StrictInt, Field(ge=0, le=1000)] = Field(default=0, description="Lines before the header.")
    footer: Annotated[Footer, BeforeValidator(_footer, json_schema_input_type=int | Footer)] = Field(
        default=Footer(lines=0), description="Lines at the end that are no rows."
    )
    columns: Annotated[
        tuple[FixedColumn, ...],
        PlainValidator(_fixed_columns, json_schema_input_type=dict[str, str | int]),
        PlainSerializer(_columns_text, return_type=dict[str, str]),
    ] = Field(default=(), description="Fixed width: column to its characters, from 1 (1-10), or to its width.")
    max_expanded: Annotated[int, PlainValidator(_size, json_schema_input_type=str), PlainSerializer(_size_text)] = (
        Field(default=4 << 30, description="What a compressed drop may become at most: 4GB.")
    )

    @model_validator(mode="after")
    def _options_of_the_format(self) -> FileOptions:
        if self.format == "fixed" and not self.columns:
            raise wrong("declares fixed-width columns nowhere", "add columns: {Name: 1-10, …}")
        # Only fixed-width files have declared columns: they say the format.
        told = self.format or ("fixed" if self.columns else None)
        for option, formats in _FORMATS_OF_OPTION.items():
            if told is not None and option in self.model_fields_set and told not in formats:
                raise wrong(f"has {option!r}, which means nothing for {told}", "delete one of the two")
        return self
