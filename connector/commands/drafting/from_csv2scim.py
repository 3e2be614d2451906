"""`python -m connector import-psd1`: CSV2SCIM's attribute mapping as a feed file.

Facts: CSV2SCIM.ps1 and its samples (public repository AzureAD/entra-id-inbound-provisioning): a text is the name of a
column, a table goes a level down, an array makes a list, and a script block is run for each record, `$_`. Here a script
block is never run: those that say something simple become expressions, and any other a commented line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from connector.commands.drafting.feed_text import BEGINNING, comment, entry, nameable, quoted
from connector.commands.drafting.psd1 import Array, Literal, Malformed, Script, Table, Unknown, Value, parse
from connector.commands.local_files import read
from connector.mapping import load_feed
from connector.mapping.attribute_paths import PathError, parse_path
from connector.vocabulary.errors import Fault, FeedUnusable, Unusable
from connector.vocabulary.scim import SCHEMAS, Type, known_schema

MAX_BYTES: Final = 1 << 20
FAULTY: Final = 2

_MULTI_VALUED: Final = frozenset(
    name for attributes in SCHEMAS.values() for name, attribute in attributes.items() if attribute.multi_valued
)


def import_psd1(path: Path) -> int:
    """The feed file to stdout. Gives 0. Raises Unusable for a file that is no mapping, or cannot become a feed."""
    print(draft(_decoded(read(path), str(path)), name=str(path)), end="")
    return 0


def _decoded(content: bytes, name: str) -> str:
    """PowerShell's own editors write UTF-8, UTF-16 with a mark, or Windows-1252."""
    if len(content) > MAX_BYTES:
        raise Unusable(name, [Fault(message=f"has more than {MAX_BYTES:,} bytes")])
    encodings = ("utf-16",) if content[:2] in {b"\xff\xfe", b"\xfe\xff"} else ("utf-8-sig", "cp1252")
    for encoding in encodings:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise Unusable(name, [Fault(message="is no text", advice="save it as UTF-8")])


def draft(text: str, *, name: str) -> str:
    """A feed file that `load_feed` takes, for the text of an `AttributeMapping.psd1`.

    Raises Unusable where that is no table, or says nothing of externalId.
    """
    try:
        mapping = parse(text)
    except Malformed as error:
        raise Unusable(name, [Fault(message=error.message, line=error.line, position=error.position)]) from None
    if not isinstance(mapping, Table):
        raise Unusable(name, [Fault(message="is not a table: @{ externalId = 'WorkerID' … }", line=mapping.line)])
    lines = [f"# Made of CSV2SCIM's {comment(Path(name).name)}.", *BEGINNING]
    seen: set[object] = set()
    for mapped in _entries(mapping):
        lines += mapped.lines(seen)
    return "\n".join(_loadable([*lines, ""]))


def _loadable(lines: list[str]) -> list[str]:
    """The lines, those that a feed file cannot have as comments. Raises FeedUnusable where that does not help."""
    while True:
        try:
            load_feed("\n".join(lines).encode(), name="the feed file made of it", graph=None)
        except FeedUnusable as error:
            faulty = {fault.line - 1: fault for fault in error.faults if re.match("  [^#]", lines[fault.line - 1])}
            if not faulty:
                raise
            for place, fault in faulty.items():
                lines[place] = f"  # Left out, {lines[place].strip()}: {comment(fault.message)}"
        else:
            return lines


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mapped:
    """A path and what it is mapped to; `trouble` says why it cannot be, `note` what is worth knowing about it."""

    path: str
    value: str = ""
    line: int
    trouble: str = ""
    note: str = ""

    def lines(self, seen: set[object]) -> Iterator[str]:
        trouble, path = self.trouble, self.path
        if not trouble:
            try:
                target = parse_path(path, {})
            except PathError as error:
                trouble = str(error)
            else:
                path = str(target)
                trouble = f"{path} is mapped already" if target.key in seen else ""
                seen.add(target.key)
        if self.note:
            yield f"  # {comment(self.note)}"
        if trouble:
            yield f"  # Line {self.line} was not understood, {comment(path)}: {comment(trouble)}"
        else:
            yield entry(path, self.value)


def _entries(table: Table, prefix: str = "") -> Iterator[_Mapped]:
    """The lines of a table; `prefix` is the path so far, with its dot or colon."""
    for key, value in table.entries:
        path = prefix + key
        if isinstance(value, Table) and (not prefix and key.lower().startswith("urn:")):
            urn = known_schema(key) or key
            yield from _entries(value, f"{urn}:")
        elif key.rpartition(":")[2].lower() in _MULTI_VALUED and isinstance(value, Table | Array):
            yield from _elements(path, value)
        elif isinstance(value, Table):
            yield from _entries(value, f"{path}.")
        else:
            yield _leaf(path, value)


def _elements(path: str, value: Table | Array) -> Iterator[_Mapped]:
    for item in value.items if isinstance(value, Array) else (value,):
        if not isinstance(item, Table):
            yield _Mapped(path=path, line=item.line, trouble="an item of the list is no table")
            continue
        kind, note, parts = "work", "", []
        for key, inner in item.entries:
            if key.lower() != "type":
                parts.append((key, inner))
                continue
            constant = _constant(inner)
            if constant is None:
                note = f"Line {inner.line} reads the type from the file, or works it out: it is taken for work."
            else:
                kind = constant
        if not note and all(key.lower() != "type" for key, _ in item.entries):
            note = f"Line {item.line} has no type; Entra's default attribute mappings read work."
        for key, inner in parts:
            leaf = _leaf(f"{path}[type eq {quoted(kind)}].{key}", inner)
            yield _Mapped(path=leaf.path, value=leaf.value, line=leaf.line, trouble=leaf.trouble, note=note)
            note = ""


def _leaf(path: str, value: Value) -> _Mapped:
    line = value.line
    match value:
        case Literal(value=str(column), number=False):
            return _column(path, column, line)
        case Literal():
            return _Mapped(path=path, line=line, trouble="it is neither a column nor a script block")
        case Script():
            return _script(path, value)
        case Unknown():
            return _Mapped(path=path, line=line, trouble=f"{value.text[:200]}")
        case Array():
            return _Mapped(path=path, line=line, trouble="it is a list, and one value is needed")
        case Table():
            return _Mapped(path=path, line=line, trouble="it is a table, and one value is needed")


def _column(path: str, column: str, line: int) -> _Mapped:
    if not nameable(column):
        return _Mapped(path=path, line=line, trouble="no expression can name that column: rename it")
    return _Mapped(path=path, line=line, value=f"[{column}]")


_TEXT: Final = r"""'(?:[^']|'')*'|"[^"$`]*\""""
_PROPERTY: Final = rf"\$(?:_|PSItem)(?:\.(?P<name>[A-Za-z_]\w*|{_TEXT})|\[(?P<index>{_TEXT})\])"
_READS: Final = re.compile(_PROPERTY, re.IGNORECASE)
_COMPARES: Final = re.compile(rf"{_PROPERTY}\s*-(?P<operator>[ic]?(?:eq|ne))\s*(?P<text>{_TEXT}|[0-9]+)", re.IGNORECASE)


def _script(path: str, script: Script) -> _Mapped:
    text = _unwrapped(script.text)
    constant = _constant(script)
    if constant is not None and constant.isprintable():
        return _Mapped(path=path, line=script.line, value=_written(path, constant))
    reads, compares = _READS.fullmatch(text), _COMPARES.fullmatch(text)
    found = reads or compares
    column = _unquoted(found["name"] or found["index"]) if found else ""
    if found is None or not nameable(column):
        return _Mapped(path=path, line=script.line, trouble=f"the script block {{ {text[:200]} }}")
    if compares is None:
        return _Mapped(path=path, line=script.line, value=f"[{column}]")
    operator, word = compares["operator"].lower(), _unquoted(compares["text"])
    source = f"[{column}]"
    # PowerShell compares without regard to case unless the operator begins with c (about_Comparison_Operators).
    if not operator.startswith("c") and word.lower() != word.upper():
        source, word = f"ToLower({source})", word.lower()
    equal, other = ("True", "False") if operator.endswith("eq") else ("False", "True")
    return _Mapped(path=path, line=script.line, value=f'Switch({source}, "{other}", {quoted(word)}, "{equal}")')


def _written(path: str, constant: str) -> str:
    """A constant as a feed file has it: as YAML's own where the attribute takes that, else as a text."""
    try:
        boolean = parse_path(path, {}).leaf.type is Type.BOOLEAN
    except PathError:
        boolean = False
    if boolean and constant.lower() in {"true", "false"}:
        return constant.lower()
    word = re.fullmatch(r"[A-Za-z][\w .-]*\w", constant) and constant.lower() not in {"true", "false", "null"}
    return constant if word else quoted(constant)


def _unwrapped(text: str) -> str:
    """Without braces around the whole: Import-PowerShellDataFile puts a block into another, and so do some authors."""
    while (inner := re.fullmatch(r"[{(]\s*([^{}()]*?)\s*[})]", text)) is not None:
        text = inner[1]
    return text


def _constant(value: Value) -> str | None:
    """What a block that reads no record gives, as text; None for any other value."""
    if not isinstance(value, Script):
        return None
    text = _unwrapped(value.text)
    if text.lower() in {"$true", "$false"}:
        return text.lower()[1:]
    if re.fullmatch(_TEXT, text) and len(text) > 2:
        return _unquoted(text)
    return text if re.fullmatch(r"[0-9]+", text) else None


def _unquoted(text: str) -> str:
    if text[:1] == "'":
        return text[1:-1].replace("''", "'")
    return text[1:-1] if text[:1] == '"' else text
