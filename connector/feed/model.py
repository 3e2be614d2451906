"""A feed file as a whole, as frozen models; its JSON Schema is made of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, PlainValidator, ValidationInfo, WithJsonSchema

from connector.feed.base import Section, wrong
from connector.feed.endpoint import Endpoint, parse_endpoint
from connector.feed.file_options import FileOptions
from connector.feed.files import Files
from connector.feed.guards import Guards
from connector.feed.mapping_section import (
    Declarable,
    Declared,
    Empty,
    EmptyRule,
    Mapped,
    Table,
    checked_extensions,
    declared,
    empty_rules,
    named_tables,
    table_of,
)
from connector.feed.pgp import Pgp
from connector.vocabulary.errors import Fault


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
        raise wrong("must say how often a drop comes", "for example expect: every 24h (m, h or d)")
    return Expectation(every=timedelta(**{_UNITS[match[2]]: int(match[1])}))


def _endpoint(value: Any, info: ValidationInfo) -> Endpoint:
    if isinstance(value, Endpoint):
        return value
    if not isinstance(value, str):
        raise wrong("must be the address that the portal shows as Provisioning API Endpoint")
    found = parse_endpoint(value, graph=(info.context or {}).get("graph"))
    if isinstance(found, Fault):
        raise wrong(found.message, found.advice)
    return found


_ENDPOINT_SCHEMA: Final = {
    "type": "string",
    "pattern": r"^https?://[^/]+/(v1\.0|beta)/servicePrincipals/[^/]+/synchronization/jobs/[^/]+/bulkUpload/?$",
}


class Feed(Section):
    """A feed file. `name` is not in the file but its own name, as is the feed's folder of the inbox."""

    name: str
    endpoint: Annotated[Endpoint, PlainValidator(_endpoint), WithJsonSchema(_ENDPOINT_SCHEMA)] = Field(
        description="The Provisioning API Endpoint, as the Entra portal shows it."
    )
    content: Literal["full", "delta"] = Field(
        default="full", description="full: a drop is everybody; delta: only those who changed; no effect yet."
    )
    file: FileOptions = Field(
        default=FileOptions(), description="How to read a drop, where that is not to be found out."
    )
    mapping: dict[str, Mapped] = Field(description="SCIM attribute path to an expression or a constant.", min_length=1)
    where: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="An expression; rows for which it gives False are left out."
    )
    empty: Annotated[
        Empty, PlainValidator(empty_rules, json_schema_input_type=EmptyRule | None | dict[str, EmptyRule | None])
    ] = Field(default=Empty(), description="What is sent for an attribute without a value: omit (nothing) or null.")
    defaults: dict[str, Mapped] = Field(
        default={}, description="SCIM attribute path to what is sent when the mapping gives nothing."
    )
    extensions: Annotated[
        dict[
            str,
            dict[str, Annotated[Declared, BeforeValidator(declared, json_schema_input_type=Declarable | Declared)]],
        ],
        BeforeValidator(checked_extensions),
    ] = Field(default={}, description="URN to custom attributes and their types; an undeclared one is a String.")
    lookup: Annotated[
        dict[
            str,
            Annotated[Table, PlainValidator(table_of, json_schema_input_type=dict[str, str | int | bool])],
        ],
        BeforeValidator(named_tables),
    ] = Field(
        default={}, description="Tables for Lookup: inline, or a CSV file beside the feed file ({file: NAME.csv})."
    )
    guards: Guards = Field(
        default=Guards(), description="How many people a drop may change; not enforced by this version."
    )
    files: Files = Field(default=Files(), description="Which files of the inbox folder are drops.")
    pgp: Pgp | None = Field(default=None, description="How to decrypt drops.")
    expect: Annotated[Expectation, PlainValidator(_expectation, json_schema_input_type=str)] | None = Field(
        default=None, description="How often a drop comes: every 24h."
    )


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a feed file, for editors; `connector/feed/feed.schema.json` is this, written out."""
    schema = Feed.model_json_schema(mode="validation")
    del schema["properties"]["name"]
    schema["required"].remove("name")
    schema["title"] = "Feed"
    schema["description"] = "One system of record: config/feeds/<feed>.yaml"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
