"""The sections beside and about `mapping`: what stands on the right side, `empty`, `extensions`, `lookup`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import PlainValidator, StrictBool

from connector.feed.base import Section, as_text, wrong
from connector.vocabulary import scim

Value = str | int | bool
"""What stands on the right side of a mapping: an expression or a constant."""


def mapped_value(value: Any) -> Value:
    if isinstance(value, str | int):
        return value
    if isinstance(value, list):
        inner = ", ".join(str(item) for item in value)
        example = (
            f'"[{inner}]"' if all(isinstance(item, str | int) for item in value) and '"' not in inner else '"[Column]"'
        )
        raise wrong("is a YAML list, not a column", f"put it in quotes: {example}")
    if isinstance(value, dict):
        raise wrong(
            "has keys of its own", 'write each attribute on one line, by its path: name.givenName: "[FirstName]"'
        )
    raise wrong("has no value", "delete the line, or write an expression or a constant")


Mapped = Annotated[Value, PlainValidator(mapped_value, json_schema_input_type=Value)]

EmptyRule = Literal["omit", "null"]


class Empty(Section):
    """What is sent for an attribute without a value: nothing (`omit`) or JSON null (Entra: "Clear attribute values").

    `attributes` are attribute paths that differ from `default`.
    """

    default: EmptyRule = "omit"
    attributes: Mapping[str, EmptyRule] = {}


def empty_rules(value: Any) -> Empty:
    if isinstance(value, Empty):
        return value
    rules = value if isinstance(value, dict) else {"default": value}
    for rule in rules.values():
        if rule not in {"omit", "null"}:
            raise wrong(
                "must be omit or null", "for the whole feed (empty: null) or by attribute (empty: {title: null})"
            )
    return Empty(default=rules.get("default", "omit"), attributes={k: v for k, v in rules.items() if k != "default"})


Declarable = Literal["String", "Integer", "Boolean", "DateTime"]


class Declared(Section):
    """The type of a custom attribute, as the provisioning app's schema has it."""

    type: Declarable = "String"
    multi: StrictBool = False


def declared(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


_URN: Final = re.compile(r"urn:[A-Za-z0-9][A-Za-z0-9-]{0,31}:[A-Za-z0-9()+,.:=@;$_!*'%/?~&-]+", re.ASCII)
_ATTRIBUTE_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_$-]*", re.ASCII)


def checked_extensions(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    spellings: dict[str, str] = {}
    for urn, attributes in value.items():
        if not _URN.fullmatch(urn) or urn.endswith(":"):
            raise wrong(
                f"has {urn!r}, which is no URN", "for example urn:ietf:params:scim:schemas:extension:contoso:1.0:User"
            )
        if scim.known_schema(urn) == scim.CORE_USER:
            raise wrong(
                "has SCIM's Core User schema, which is complete", "declare custom attributes under a URN of your own"
            )
        if (first := spellings.setdefault(urn.lower(), urn)) != urn:
            raise wrong(f"has {first!r} twice, spelt differently", "put both together")
        for name in attributes if isinstance(attributes, dict) else ():
            if not _ATTRIBUTE_NAME.fullmatch(name):
                raise wrong(f"has {name!r}, which is no attribute name", "letters, digits, - _ $, with a letter first")
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


def table_of(value: Any) -> Table:
    if isinstance(value, LookupFile):
        return value
    if not isinstance(value, dict) or not value:
        raise wrong("is no table", "write {key: value, …}, or {file: NAME.csv} for a file beside the feed file")
    if isinstance(value.get("file"), str) and set(value) <= {"file", "key", "value"}:
        file, key, column = (as_text(value.get(part, "")) for part in ("file", "key", "value"))
        if not _FILE_NAME.fullmatch(file):
            raise wrong("names a file that cannot be", "the plain name of a .csv file in the feed file's folder")
        if not isinstance(key, str) or not isinstance(column, str):
            raise wrong("names no column with 'key' or 'value'", "write the column's name")
        return LookupFile(file=file, key=key, value=column)
    table: dict[str, str] = {}
    for key, entry in value.items():
        if not isinstance(entry, str | int):
            raise wrong(f"has no text for {key!r}", 'write "" where it is to be empty')
        table[key] = str(entry)
    return table


def named_tables(value: Any) -> Any:
    for name in value if isinstance(value, dict) else ():
        if not _TABLE_NAME.fullmatch(name):
            raise wrong(f"has a table {name!r}", "a table's name is of letters, digits and _")
    return value
