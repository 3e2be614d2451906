"""Writing a feed file's text: what the commands that draft one have in common."""

from __future__ import annotations

import re
from typing import Final

from connector.mapping.expressions.expression_error import ExpressionError
from connector.mapping.expressions.parser import parse

_PLACEHOLDER: Final = (
    "https://graph.microsoft.com/v1.0/servicePrincipals/00000000-0000-0000-0000-000000000000"
    "/synchronization/jobs/API2AAD.00000000000000000000000000000000.00000000-0000-0000-0000-000000000000/bulkUpload"
)

BEGINNING: Final = (
    "# Read it through, then: python -m connector check THIS.yaml FILE",
    "#",
    "# A placeholder: put the Provisioning API Endpoint here, as the app's overview page in the Entra portal shows it.",
    f"endpoint: {_PLACEHOLDER}",
    "content: full  # every file has everybody; write delta where it has only those who changed",
    "",
    "mapping:",
)
"""The lines before the first of the mapping."""


def nameable(column: str) -> bool:
    """Whether an expression can name the column."""
    try:
        return column.isprintable() and parse(f"[{column}]").columns == (column,)
    except ExpressionError:
        return False


def entry(path: str, value: str) -> str:
    """A line of the mapping; `value` is an expression, or a constant that YAML takes as it stands.

    An expression is quoted where something in it means something else to YAML.
    """
    if not value.startswith(("[", '"')) and not re.search(r": | #", value):
        written = value
    elif '"' not in value and "\\" not in value:
        written = f'"{value}"'
    else:
        written = "'" + value.replace("'", "''") + "'"
    return f"  {path}: {written}"


def quoted(text: str) -> str:
    """A text as an expression writes it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def comment(text: str) -> str:
    """The text on one line, fit to stand after a #."""
    return "".join(char if char.isprintable() else "?" for char in text)
