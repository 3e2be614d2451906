"""A feed file (`config/feeds/<feed>.yaml`) as frozen models, and its parsing with every fault at once.

What the mapping's paths and expressions mean is not judged here but in `connector.mapping`, one floor above.
"""

from __future__ import annotations

import codecs
import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    StrictBool,
    StrictInt,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from connector.feed.endpoint import Endpoint, parse_endpoint
from connector.feed.marked_yaml import Document, Path, Unreadable, read
from connector.vocabulary import scim
from connector.vocabulary.errors import Fault, FeedUnusable

__all__ = [
    "Declared",
    "Empty",
    "Endpoint",
    "Expectation",
    "Feed",
    "FileOptions",
    "Files",
    "FixedColumn",
    "Footer",
    "Guards",
    "LookupFile",
    "ParsedFeed",
    "Pgp",
    "Threshold",
    "json_schema",
    "parse",
]

Value = str | int | bool
"""What stands on the right side of a mapping: an expression or a constant."""


def _wrong(message: str, advice: str = "") -> PydanticCustomError:
    return PydanticCustomError("feed", "{message}", {"message": message, "advice": advice})


def _text(value: Any) -> Any:
    """A name that looks like a number (`sheet: 2026`) is still a name."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Text = Annotated[str, BeforeValidator(_text), Field(min_length=1)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=False)


def _single(value: Any) -> Any:
    if value in {"tab", "\\t"}:
        return "\t"
    if not isinstance(value, str) or len(value) != 1 or value in "\r\n\0":
        raise _wrong("must be a single character, or tab", 'for example delimiter: ";"')
    return value


def _quote(value: Any) -> Any:
    return "" if value in {"none", ""} else _single(value)


def _encoding(value: Any) -> Any:
    # Only what turns bytes into text; "rot13" and "zip" are codecs too.
    try:
        known = isinstance(value, str) and codecs.lookup(value)._is_text_encoding
    except (LookupError, ValueError):
        known = False
    if not known:
        raise _wrong("is not an encoding that is known here", "for example utf-8, utf-16, windows-1252, iso-8859-1")
    return value


def _header(value: Any) -> Any:
    if isinstance(value, bool | tuple):
        return value
    if not isinstance(value, list) or not value or not all(isinstance(_text(name), str) for name in value):
        raise _wrong("must be true, false or a list of column names")
    names = tuple(str(name) for name in value)
    _no_repeats(names)
    return names


def _no_repeats(names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise _wrong(f"names the column {name!r} twice")
        seen.add(name)


def _pattern(value: Any) -> Any:
    try:
        groups = re.compile(value).groups if isinstance(value, str) and len(value) <= 500 else 0
    except (re.error, RecursionError, OverflowError):
        groups = 0
    if groups != 1:
        raise _wrong("must be a pattern with one group, the number", "for example count: 'TRAILER;([0-9]+)'")
    return value


class Footer(_Model):
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
        raise _wrong("must give each column's characters", advice)
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
            raise _wrong(f"does not say which characters {name!r} has", advice)
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
        raise _wrong("must be a size", "for example max_expanded: 8GB")
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


class FileOptions(_Model):
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
            raise _wrong("declares fixed-width columns nowhere", "add columns: {Name: 1-10, …}")
        # Only fixed-width files have declared columns: they say the format.
        told = self.format or ("fixed" if self.columns else None)
        for option, formats in _FORMATS_OF_OPTION.items():
            if told is not None and option in self.model_fields_set and told not in formats:
                raise _wrong(f"has {option!r}, which means nothing for {told}", "delete one of the two")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """As many as may be: a share of a whole in percent, or a count. Exactly one of the two is given."""

    percent: Decimal | None = None
    count: int | None = None

    def allows(self, part: int, whole: int) -> bool:
        """Whether `part` of `whole` is within bounds. Exact: no floating point near an edge."""
        if self.count is not None:
            return part <= self.count
        assert self.percent is not None
        return part * 100 <= self.percent * whole

    def __str__(self) -> str:
        return str(self.count) if self.percent is None else f"{self.percent}%"


_PERCENT: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,4})?)\s*%", re.ASCII)


def _threshold(value: Any) -> Threshold:
    if isinstance(value, Threshold):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return Threshold(count=value)
    match = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or Decimal(match[1]) > 100:
        raise _wrong("must be a percentage or a number of people", "for example 5% or 20")
    return Threshold(percent=Decimal(match[1]))


Limit = Annotated[
    Threshold, PlainValidator(_threshold, json_schema_input_type=int | str), PlainSerializer(str, return_type=str)
]


class Guards(_Model):
    """A drop that goes beyond one of these sends nothing until somebody releases it (design.md, section 4, "No mass
    accident").
    """

    max_disabled: Limit = Threshold(percent=Decimal(5))
    max_removed: Limit = Threshold(percent=Decimal(5))
    max_rejected: Limit = Threshold(percent=Decimal(2))


LEFTOVERS: Final = ("*.tmp", "*.part", "*.filepart", ".*")
"""What transfers leave behind when they break off or have not ended."""


def _ready(value: Any) -> Any:
    if not isinstance(value, str) or value.count("{name}") != 1 or value == "{name}" or "/" in value:
        raise _wrong("must be the marker's name with {name} in it for the drop's", 'for example ready: "{name}.done"')
    return value


class Files(_Model):
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


# Azure's Key Vault DNS suffixes (Azure docs, "Azure Key Vault security worlds", "Key Vault and managed HSM DNS
# suffixes"): a token for a vault must not travel to any other host either.
_SECRET: Final = re.compile(
    r"keyvault:https://[a-z0-9-]{3,24}\.(?:vault\.azure\.net|vault\.azure\.cn|vault\.usgovcloudapi\.net)"
    r"/secrets/[A-Za-z0-9-]{1,127}(?:/[0-9a-f]{32})?",
    re.ASCII,
)
_LOCAL: Final = re.compile(r"file:[^\x00-\x1f]+")
_ARMOUR: Final = "-----BEGIN PGP PUBLIC KEY BLOCK-----"


def _secret(value: Any) -> Any:
    if not isinstance(value, str) or not (_SECRET.fullmatch(value) or _LOCAL.fullmatch(value)):
        raise _wrong(
            "does not say where the key is",
            "keyvault:https://VAULT.vault.azure.net/secrets/NAME, or file:PATH for a trial on one's own machine",
        )
    return value


def _certificate(value: Any) -> Any:
    return value if isinstance(value, str) and value.lstrip().startswith(_ARMOUR) else _secret(value)


class Pgp(_Model):
    """How to decrypt drops, and whose signature they must carry. Keys are named here, never written here."""

    key: Annotated[str, BeforeValidator(_secret, json_schema_input_type=str)]
    passphrase: Annotated[str, BeforeValidator(_secret, json_schema_input_type=str)] | None = Field(
        default=None, description="Where the private key's passphrase is, if it has one."
    )
    signed_by: tuple[Annotated[str, BeforeValidator(_certificate, json_schema_input_type=str)], ...] = Field(
        default=(),
        description="Public keys, one of which must have signed: keyvault:…, file:…, or the armoured text itself.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """How often a drop is expected."""

    every: timedelta


_EVERY: Final = re.compile(r"every\s+([1-9][0-9]{0,4})\s*(m|h|d)", re.ASCII)
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}


def _expectation(value: Any) -> Expectation:
    if isinstance(value, Expectation):
        return value
    match = _EVERY.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise _wrong("must say how often a drop comes", "for example expect: every 24h (m, h or d)")
    return Expectation(every=timedelta(**{_UNITS[match[2]]: int(match[1])}))


def _value(value: Any) -> Value:
    if isinstance(value, str | int):
        return value
    if isinstance(value, list):
        inner = ", ".join(str(item) for item in value)
        example = (
            f'"[{inner}]"' if all(isinstance(item, str | int) for item in value) and '"' not in inner else '"[Column]"'
        )
        raise _wrong("is a YAML list, not a column", f"put it in quotes: {example}")
    if isinstance(value, dict):
        raise _wrong(
            "has keys of its own", 'write each attribute on one line, by its path: name.givenName: "[FirstName]"'
        )
    raise _wrong("has no value", "delete the line, or write an expression or a constant")


Mapped = Annotated[Value, PlainValidator(_value, json_schema_input_type=Value)]

EmptyRule = Literal["omit", "null"]


class Empty(_Model):
    """What is sent for an attribute without a value: nothing (`omit`) or JSON null (Entra: "Clear attribute values").

    `attributes` are attribute paths that differ from `default`.
    """

    default: EmptyRule = "omit"
    attributes: Mapping[str, EmptyRule] = {}


def _empty(value: Any) -> Empty:
    if isinstance(value, Empty):
        return value
    rules = value if isinstance(value, dict) else {"default": value}
    for rule in rules.values():
        if rule not in {"omit", "null"}:
            raise _wrong(
                "must be omit or null", "for the whole feed (empty: null) or by attribute (empty: {title: null})"
            )
    return Empty(default=rules.get("default", "omit"), attributes={k: v for k, v in rules.items() if k != "default"})


Declarable = Literal["String", "Integer", "Boolean", "DateTime"]


class Declared(_Model):
    """The type of a custom attribute, as the provisioning app's schema has it."""

    type: Declarable = "String"
    multi: StrictBool = False


def _declared(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


_URN: Final = re.compile(r"urn:[A-Za-z0-9][A-Za-z0-9-]{0,31}:[A-Za-z0-9()+,.:=@;$_!*'%/?~&-]+", re.ASCII)
_ATTRIBUTE_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_$-]*", re.ASCII)


def _extensions(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    spellings: dict[str, str] = {}
    for urn, attributes in value.items():
        if not _URN.fullmatch(urn) or urn.endswith(":"):
            raise _wrong(
                f"has {urn!r}, which is no URN", "for example urn:ietf:params:scim:schemas:extension:contoso:1.0:User"
            )
        if scim.known_schema(urn) == scim.CORE_USER:
            raise _wrong(
                "has SCIM's Core User schema, which is complete", "declare custom attributes under a URN of your own"
            )
        if (first := spellings.setdefault(urn.lower(), urn)) != urn:
            raise _wrong(f"has {first!r} twice, spelt differently", "put both together")
        for name in attributes if isinstance(attributes, dict) else ():
            if not _ATTRIBUTE_NAME.fullmatch(name):
                raise _wrong(f"has {name!r}, which is no attribute name", "letters, digits, - _ $, with a letter first")
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupFile:
    """A CSV file beside the feed file. `key` and `value` name its columns; "" is the first and the second one."""

    file: str
    key: str = ""
    value: str = ""


_FILE_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]*\.csv", re.IGNORECASE | re.ASCII)
_TABLE_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)

Table = Mapping[str, str] | LookupFile


def _table(value: Any) -> Table:
    if isinstance(value, LookupFile):
        return value
    if not isinstance(value, dict) or not value:
        raise _wrong("is no table", "write {key: value, …}, or {file: NAME.csv} for a file beside the feed file")
    if isinstance(value.get("file"), str) and set(value) <= {"file", "key", "value"}:
        file, key, column = (_text(value.get(part, "")) for part in ("file", "key", "value"))
        if not _FILE_NAME.fullmatch(file):
            raise _wrong("names a file that cannot be", "the plain name of a .csv file in the feed file's folder")
        if not isinstance(key, str) or not isinstance(column, str):
            raise _wrong("names no column with 'key' or 'value'", "write the column's name")
        return LookupFile(file=file, key=key, value=column)
    table: dict[str, str] = {}
    for key, entry in value.items():
        if not isinstance(entry, str | int):
            raise _wrong(f"has no text for {key!r}", 'write "" where it is to be empty')
        table[key] = str(entry)
    return table


def _tables(value: Any) -> Any:
    for name in value if isinstance(value, dict) else ():
        if not _TABLE_NAME.fullmatch(name):
            raise _wrong(f"has a table {name!r}", "a table's name is of letters, digits and _")
    return value


def _endpoint(value: Any, info: ValidationInfo) -> Endpoint:
    if isinstance(value, Endpoint):
        return value
    if not isinstance(value, str):
        raise _wrong("must be the address that the portal shows as Provisioning API Endpoint")
    found = parse_endpoint(value, graph=(info.context or {}).get("graph"))
    if isinstance(found, Fault):
        raise _wrong(found.message, found.advice)
    return found


_ENDPOINT_SCHEMA: Final = {
    "type": "string",
    "pattern": r"^https?://[^/]+/(v1\.0|beta)/servicePrincipals/[^/]+/synchronization/jobs/[^/]+/bulkUpload/?$",
}


class Feed(_Model):
    """A feed file. `name` is not in the file but its own name, as is the feed's folder of the inbox."""

    name: str
    endpoint: Annotated[Endpoint, PlainValidator(_endpoint), WithJsonSchema(_ENDPOINT_SCHEMA)] = Field(
        description="The Provisioning API Endpoint, as the Entra portal shows it."
    )
    content: Literal["full", "delta"] = Field(
        default="full", description="full: a drop is everybody; delta: only those who changed."
    )
    file: FileOptions = Field(
        default=FileOptions(), description="How to read a drop, where that is not to be found out."
    )
    mapping: dict[str, Mapped] = Field(description="SCIM attribute path to an expression or a constant.", min_length=1)
    where: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="An expression; rows for which it gives False are left out."
    )
    empty: Annotated[
        Empty, PlainValidator(_empty, json_schema_input_type=EmptyRule | None | dict[str, EmptyRule | None])
    ] = Field(default=Empty(), description="What is sent for an attribute without a value: omit (nothing) or null.")
    defaults: dict[str, Mapped] = Field(
        default={}, description="SCIM attribute path to what is sent when the mapping gives nothing."
    )
    extensions: Annotated[
        dict[
            str,
            dict[str, Annotated[Declared, BeforeValidator(_declared, json_schema_input_type=Declarable | Declared)]],
        ],
        BeforeValidator(_extensions),
    ] = Field(default={}, description="URN to custom attributes and their types; an undeclared one is a String.")
    lookup: Annotated[
        dict[
            str,
            Annotated[Table, PlainValidator(_table, json_schema_input_type=dict[str, str | int | bool])],
        ],
        BeforeValidator(_tables),
    ] = Field(
        default={}, description="Tables for Lookup: inline, or a CSV file beside the feed file ({file: NAME.csv})."
    )
    guards: Guards = Field(default=Guards(), description="How many people a drop may change before somebody is asked.")
    files: Files = Field(default=Files(), description="Which files of the inbox folder are drops.")
    pgp: Pgp | None = Field(default=None, description="How to decrypt drops.")
    expect: Annotated[Expectation, PlainValidator(_expectation, json_schema_input_type=str)] | None = Field(
        default=None, description="How often a drop comes: every 24h."
    )


_SECTIONS: Final[Mapping[tuple[str, ...], type[BaseModel]]] = {
    (): Feed,
    ("file",): FileOptions,
    ("file", "footer"): Footer,
    ("guards",): Guards,
    ("files",): Files,
    ("pgp",): Pgp,
}
# Sections of which one entry can be wrong and the others still be judged.
_BY_ENTRY: Final = frozenset({"mapping", "defaults", "lookup"})
_STAND_IN: Final = "https://graph.microsoft.com/v1.0/servicePrincipals/none/synchronization/jobs/none/bulkUpload"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedFeed:
    """A feed as far as it could be understood. With `faults` it is only good for finding more of them.

    `unjudged` are the places (a section, or one entry of it) that `feed` lacks because they are faulty.
    """

    feed: Feed
    document: Document
    faults: tuple[Fault, ...]
    unjudged: frozenset[Path]


def parse(content: bytes, *, name: str, graph: str | None) -> ParsedFeed:
    """Read a feed file. `name` is what messages call it; its last part without `.yaml` becomes the feed's name.

    `graph` is `GRAPH_BASE_URL`, or None where nothing will be sent. Raises `FeedUnusable` when there is no telling what
    the file means (it is no YAML, or no mapping of keys); all other faults are in the result.
    """
    try:
        document = read(content)
    except Unreadable as error:
        raise FeedUnusable(name, [error.fault]) from error
    data = document.data
    if not isinstance(data, dict):
        what = "the file is empty" if data is None else "the file is not made of keys and values"
        raise FeedUnusable(
            name, [Fault(message=what, advice="it needs at least endpoint and mapping", line=1, position=1)]
        )
    faults = list(document.faults)
    unjudged = {_place_of(fault.column) for fault in document.faults if fault.column}
    data = {key: value for key, value in data.items() if key != "name"}
    if "name" in document.data:
        faults.append(_unknown(("name",), document))
    if "empty" in data:
        data["empty"] = _spelt_out(data["empty"], document)
    feed_name = re.sub(r"\.ya?ml$", "", name.replace("\\", "/").rsplit("/", 1)[-1], flags=re.IGNORECASE)
    try:
        feed = _validated(data, feed_name, graph)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            faults.append(_fault(details, document))
            unjudged.add(_entry(details["loc"]))
        feed = _salvaged(data, unjudged, feed_name, graph, name, faults)
    return ParsedFeed(feed=feed, document=document, faults=tuple(faults), unjudged=frozenset(unjudged))


def _validated(data: Mapping[str, Any], feed_name: str, graph: str | None) -> Feed:
    return Feed.model_validate({**data, "name": feed_name}, context={"graph": graph})


def _salvaged(
    data: Mapping[str, Any], unjudged: Iterable[Path], feed_name: str, graph: str | None, name: str, faults: list[Fault]
) -> Feed:
    """The feed without its faulty parts, so that the rest is judged in the same go."""
    kept: dict[str, Any] = dict(data)
    for place in unjudged:
        section = kept.get(str(place[0]))
        if len(place) > 1 and isinstance(section, dict):
            kept[str(place[0])] = {key: value for key, value in section.items() if key != place[1]}
        else:
            kept.pop(str(place[0]), None)
    kept["endpoint"] = _STAND_IN
    kept["mapping"] = kept.get("mapping") or {"externalId": "none"}
    try:
        return _validated(kept, feed_name, "https://graph.microsoft.com")
    except ValidationError:
        raise FeedUnusable(name, sorted_by_line(faults)) from None


def sorted_by_line(faults: Iterable[Fault]) -> list[Fault]:
    return sorted(faults, key=lambda fault: (fault.line, fault.position, fault.message))


def _entry(location: Sequence[str | int]) -> Path:
    return tuple(location[:2]) if location and location[0] in _BY_ENTRY else tuple(location[:1])


def _place_of(dotted: str) -> Path:
    section, _, rest = dotted.partition(".")
    return (section, rest) if rest and section in _BY_ENTRY else (section,)


def _spelt_out(rules: Any, document: Document) -> Any:
    """`empty: null` is the word here and not the absence of a value, which `empty:` with nothing after it still is."""

    def spelt(value: Any, path: Path) -> Any:
        return "null" if value is None and document.text(path) else value

    if isinstance(rules, dict):
        return {key: spelt(value, ("empty", key)) for key, value in rules.items()}
    return spelt(rules, ("empty",))


_EXPECTED: Final[Mapping[str, str]] = {
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must have keys and values of its own",
    "mapping_type": "must have keys and values of its own",
    "model_type": "must have keys and values of its own",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
}


def _fault(details: ErrorDetails, document: Document) -> Fault:
    path: Path = details["loc"]
    dotted = ".".join(str(part) for part in path)
    kind, context = details["type"], details.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown(path, document)
    advice = ""
    if kind == "missing":
        section = _SECTIONS.get(tuple(str(part) for part in path[:-1]), Feed)
        description = section.model_fields[str(path[-1])].description
        message, advice = f"{dotted!r} is missing", f"add it: {description}" if description else "add it"
        line, position = document.key(path[:-1])
        return Fault(message=message, advice=advice, column=dotted, line=line, position=position)
    if kind == "feed":
        text, advice = context["message"], context["advice"]
        message = text if text.startswith("'endpoint'") else f"{dotted!r} {text}"
    elif details["input"] is None:
        message, advice = f"{dotted!r} has no value", "delete the line, or write a value"
    elif kind == "literal_error":
        message = f"{dotted!r} must be one of {context['expected']}"
    elif kind in {"greater_than_equal", "less_than_equal"}:
        bound = f"at least {context['ge']}" if "ge" in context else f"at most {context['le']}"
        message = f"{dotted!r} must be {bound}"
    else:
        message = f"{dotted!r} {_EXPECTED.get(kind) or details['msg'][:1].lower() + details['msg'][1:]}"
    line, position = document.value(path)
    return Fault(message=message, advice=advice, column=dotted, line=line, position=position)


def _unknown(path: Path, document: Document) -> Fault:
    key = str(path[-1])
    model = _SECTIONS.get(tuple(str(part) for part in path[:-1]))
    names = (
        sorted(name for name in model.model_fields if (path[:-1], name) != ((), "name")) if model else ["type", "multi"]
    )
    near = difflib.get_close_matches(key, names, n=2, cutoff=0.6)
    advice = f"did you mean {' or '.join(near)}?" if near else f"known here: {', '.join(names)}"
    line, position = document.key(path)
    dotted = ".".join(str(part) for part in path)
    return Fault(
        message=f"{dotted!r} is not a key of a feed file", advice=advice, column=dotted, line=line, position=position
    )


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a feed file, for editors; `connector/feed/feed.schema.json` is this, written out."""
    schema = Feed.model_json_schema(mode="validation")
    del schema["properties"]["name"]
    schema["required"].remove("name")
    schema["title"] = "Feed"
    schema["description"] = "One system of record: config/feeds/<feed>.yaml"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
