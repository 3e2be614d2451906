"""The SCIM schema as data, held against an independent implementation of RFC 7643."""

from __future__ import annotations

from typing import Any

import pytest
from scim2_models import EnterpriseUser, User

from connector.vocabulary import scim
from connector.vocabulary.scim import Attribute, Mutability, Type


def names(model: Any) -> dict[str, Any]:
    return {str(field.serialization_alias): name for name, field in model.model_fields.items()}


@pytest.mark.parametrize(
    ("urn", "model", "absent"),
    [
        # The connector writes `schemas` itself.
        (scim.CORE_USER, User, {"schemas"}),
        (scim.ENTERPRISE_USER, EnterpriseUser, {"schemas", "id", "externalId", "meta"}),
    ],
)
def test_the_schema_has_the_attributes_of_rfc_7643(urn: str, model: Any, absent: set[str]) -> None:
    attributes = {attribute.name: attribute for attribute in scim.SCHEMAS[urn].values()}
    theirs = {name: python for name, python in names(model).items() if name not in absent}
    assert set(attributes) == set(theirs)
    for name, python_name in theirs.items():
        attribute, kind = attributes[name], model.get_field_root_type(python_name)
        assert attribute.multi_valued is bool(model.get_field_multiplicity(python_name)), name
        assert (attribute.type is Type.COMPLEX) is hasattr(kind, "model_fields"), name
        if attribute.type is Type.COMPLEX:
            assert {sub.name for sub in attribute.sub_attributes} >= set(names(kind)), name
        else:
            assert (attribute.type is Type.BOOLEAN) is (kind is bool), name


def test_what_the_provider_owns_is_read_only() -> None:
    owned = {a.name for a in scim.SCHEMAS[scim.CORE_USER].values() if a.mutability is Mutability.READ_ONLY}
    assert owned == {"id", "meta", "groups"}


def test_every_multi_valued_attribute_has_the_default_parts() -> None:
    parts = {"type", "primary", "display", "value", "$ref"}
    multi = [a for a in scim.SCHEMAS[scim.CORE_USER].values() if a.multi_valued]
    assert len(multi) == 9
    assert all(parts <= {sub.name for sub in a.sub_attributes} for a in multi)


def test_names_are_found_in_any_case() -> None:
    attribute = scim.SCHEMAS[scim.CORE_USER]["emails"]
    assert attribute.sub("VALUE") == Attribute(name="value")
    assert attribute.sub("valu") is None
    assert scim.known_schema(scim.ENTERPRISE_USER.upper()) == scim.ENTERPRISE_USER
    assert scim.known_schema("urn:contoso") is None
