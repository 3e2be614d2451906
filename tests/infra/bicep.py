"""Reads infra/*.bicep with pycep-parser, which knows most of the language.

What it does not know is kept out of the files: spread, `[for …: if (…)]`, decorators within a type. `type x = y[]` is
rewritten here. Names and string literals both come as `str`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from pycep import BicepParser

ROOT = Path(__file__).resolve().parents[2]
INFRA = ROOT / "infra"
FILES = sorted(path.relative_to(INFRA).as_posix() for path in INFRA.rglob("*.bicep"))


def source(name: str) -> str:
    return (INFRA / name).read_text(encoding="utf-8")


@cache
def parsed(name: str) -> dict[str, Any]:
    """The parse tree of `infra/<name>`: parameters, variables, types, resources, modules, outputs by name."""
    return dict(BicepParser().parse(text=re.sub(r"(?m)^(type \w+ = \w+)\[\]$", r"\1", source(name))))


def reachable(name: str = "main.bicep") -> list[str]:
    """The file and all that it deploys as modules, by name."""
    found, waiting = set(), [name]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting += [(Path(file).parent / module["detail"]["path"]).as_posix() for module in modules(file).values()]
    return sorted(found)


def body(declaration: dict[str, Any]) -> dict[str, Any]:
    """What a resource or module says, out of its loop and condition."""
    config: dict[str, Any] = declaration["config"]
    while {"condition", "config"} <= set(config):
        config = config["config"]
    return config


def modules(file: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = parsed(file).get("modules", {})
    return found


def resources(file: str, kind: str | None = None, *, existing: bool = False) -> dict[str, dict[str, Any]]:
    """The bodies of the file's resources (of that type) by symbolic name."""
    return {
        name: body(resource)
        for name, resource in parsed(file).get("resources", {}).items()
        if resource["existing"] == existing and kind in {None, resource["type"]}
    }


def decorators(declaration: dict[str, Any]) -> dict[str, Any]:
    return {decorator["type"]: decorator.get("argument") for decorator in declaration["decorators"]}


def role_assignments() -> Iterator[tuple[str, str, str]]:
    """Scope (file and symbol), principal and role of each: both as they are named in the file."""
    for file in FILES:
        for assignment in resources(file, "Microsoft.Authorization/roleAssignments").values():
            properties = assignment["properties"]
            role = properties["roleDefinitionId"]["function"]["parameters"]["resource_name_1"]
            yield f"{Path(file).stem}:{assignment['scope']}", path(properties["principalId"]), role


def path(expression: Any) -> str:
    """`a.b.c` of a chain of property accesses."""
    if isinstance(expression, str):
        return expression
    operands = expression["operator"]["operands"]
    return f"{path(operands['operand_1'])}.{path(operands['operand_2'])}"
