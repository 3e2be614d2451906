"""XML with expat from the standard library, driven directly.

It streams, keeps one record at a time, and refuses a DTD before an entity could be declared: no expansion, nothing
external. `ElementTree` cannot refuse a DTD, and `defusedxml` that can parses in Python what expat does in C.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO
from xml.parsers import expat

from connector.feed.file_options import FileOptions
from connector.readers.paths import Cutter, NestedValue, discovered
from connector.readers.table import Cell, Notes, Rows, Table, Unreadable
from connector.readers.text import BLOCK, MAX_LINE, bom_encoding
from connector.vocabulary.column_names import is_usual

_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_SEPARATOR = "\n"
_MAX_DEPTH = 200
MAX_VALUES = 10_000
"""Elements and attributes of a record."""
_MAX_NAMES = 10_000
"""Different names in a file. expat keeps each of them for good."""
_ADVICE = "correct the export"
_ENCODING = "the XML file's encoding is unknown, or has more than one byte a character"


@dataclass(frozen=True, slots=True)
class _Name:
    """An element's or attribute's name as the file has it."""

    uri: str
    local: str
    prefix: str

    @classmethod
    def of(cls, text: str) -> _Name:
        parts = text.split(_SEPARATOR)
        if len(parts) == 1:
            return cls("", parts[0], "")
        return cls(parts[0], parts[1], parts[2] if len(parts) == 3 else "")


@dataclass(slots=True)
class _Element:
    name: _Name
    attributes: list[tuple[_Name, str]]
    children: list[_Element] = field(default_factory=list)
    text: list[str] = field(default_factory=list)

    @property
    def nil(self) -> bool:
        return any(n.uri == _XSI and n.local == "nil" and v.strip() in {"true", "1"} for n, v in self.attributes)


Matcher = Callable[[_Name], bool]


def _matcher(step: str, namespaces: Mapping[str, str]) -> Matcher:
    """`local` matches in any namespace; `prefix:local` in the feed's namespace of that prefix, or else by the file's
    prefix."""
    prefix, colon, local = step.rpartition(":")
    if not colon:
        return lambda name: name.local == local
    if prefix in namespaces:
        uri = namespaces[prefix]
        return lambda name: name.local == local and name.uri == uri
    return lambda name: name.local == local and name.prefix == prefix


def _steps(path: str) -> list[str]:
    """A path's steps; slashes or dots divide them."""
    return [step for step in path.split("/" if "/" in path else ".") if step]


class _Parser:
    """Collects the records of a file that is fed in pieces."""

    def __init__(self, record: str, namespaces: Mapping[str, str], encoding: str | None) -> None:
        self.records: list[_Element] = []
        self._absolute = record.startswith("/")
        self._path = [_matcher(step, namespaces) for step in _steps(record)]
        self._only: _Name | None = None
        self._names: list[_Name] = []
        self._open: list[_Element] = []
        self._values = 0
        self._known: dict[str, _Name] = {}
        self._prefixes: set[str | None] = set()
        self._parser = expat.ParserCreate(encoding, _SEPARATOR)
        self._parser.namespace_prefixes = True
        self._parser.ordered_attributes = True
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.StartNamespaceDeclHandler = self._declared
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters

    def feed(self, piece: bytes) -> None:
        """Parse on; an empty piece is the end. Raises `Unreadable` where the file is malformed."""
        try:
            self._parser.Parse(piece, not piece)
        except expat.ExpatError as error:
            if not piece:
                raise Unreadable("the XML file ends too early", "it arrived in part: send it again") from None
            where, what = f"line {error.lineno}, column {error.offset + 1}", expat.ErrorString(error.code)
            raise Unreadable(f"malformed XML in {where}: {what}", _ADVICE) from None
        except (LookupError, ValueError):
            raise Unreadable(_ENCODING, "export it in UTF-8") from None

    def _doctype(self, *_: object) -> None:
        raise Unreadable("the XML file has a document type declaration (DTD)", "remove it: entities are not read")

    def _start(self, tag: str, attributes: list[str]) -> None:
        name = self._name(tag)
        self._names.append(name)
        if len(self._names) > _MAX_DEPTH:
            raise Unreadable(f"the XML elements are nested more than {_MAX_DEPTH} deep", _ADVICE)
        if not self._open and not self._is_record():
            for attribute in attributes[::2]:
                self._name(attribute)
            return
        self._values += 1 + len(attributes) // 2
        if self._values > MAX_VALUES:
            raise Unreadable(
                f"a record has more than {MAX_VALUES:,} elements and attributes: this bound is fixed",
                "file: record names the element that is a row",
            )
        pairs = zip(map(self._name, attributes[::2]), attributes[1::2], strict=True)
        element = _Element(name, list(pairs))
        if self._open:
            self._open[-1].children.append(element)
        self._open.append(element)

    def _name(self, text: str) -> _Name:
        name = self._known.get(text)
        if name is None:
            name = self._known[text] = _Name.of(text)
            self._check_names()
        return name

    def _declared(self, prefix: str | None, _uri: str) -> None:
        self._prefixes.add(prefix)
        self._check_names()

    def _check_names(self) -> None:
        if len(self._known) + len(self._prefixes) > _MAX_NAMES:
            raise Unreadable(f"the XML file has more than {_MAX_NAMES:,} different names: this bound is fixed", _ADVICE)

    def _is_record(self) -> bool:
        names, path = self._names, self._path
        if path:
            if len(names) < len(path) or (self._absolute and len(names) != len(path)):
                return False
            return all(matches(name) for matches, name in zip(path, names[-len(path) :], strict=True))
        if len(names) != 2:
            return False
        if self._only is None:
            self._only = names[1]
        elif self._only != names[1]:
            both = (self._only.local, names[1].local)
            told = "both {!r} and {!r} elements".format(*both) if all(map(is_usual, both)) else "elements of two names"
            raise Unreadable(
                f"the root has {told}, so the rows are not clear",
                "file: record names the element that is a row",
            )
        return True

    def _end(self, _tag: str) -> None:
        self._names.pop()
        if self._open:
            element = self._open.pop()
            if not self._open:
                self.records.append(element)
                self._values = 0

    def _characters(self, text: str) -> None:
        if self._open:
            self._open[-1].text.append(text)


def open_xml(
    stream: BinaryIO, head: bytes, *, name: str, options: FileOptions, wanted: Sequence[str], notes: Notes
) -> Table:
    """The record elements of an XML file as rows; columns are paths of elements (`Name/First`, `job.title`), and
    `@name` of attributes.

    `record` names the element that is a row: its path from the root (`/Data/Entry`), or the end of it (`Entry`);
    without it the root's children are the rows, which must all have one name. A number in a path picks one of several
    elements. Text is taken as it stands; several elements give a list; what has `xsi:nil`, or is missing, is None.
    """
    parser = _Parser(options.record or "", options.namespaces, _encoding(head, options.encoding))

    def records() -> Iterator[_Element]:
        size = 0
        count = 0
        while True:
            piece = stream.read(BLOCK)
            try:
                parser.feed(piece)
            except Unreadable:
                # The records before the fault say how far the file could be read.
                yield from parser.records
                raise
            found, parser.records = parser.records, []
            count += len(found)
            size = 0 if found else size + len(piece)
            if size > MAX_LINE:
                raise Unreadable(
                    f"no record ends within {MAX_LINE:,} bytes", "file: record names the element that is a row"
                )
            yield from found
            if not piece:
                break
        if not count and options.record:
            raise Unreadable(
                "the file has no element as file: record names it", "correct file: record, or file: namespaces"
            )

    found: Iterator[_Element] = records()
    columns = tuple(dict.fromkeys(wanted))
    if not columns:
        columns, found = discovered(found, _leaves)
    cutter = Cutter(columns, lambda column: _path(column, options.namespaces), _cell)

    def rows() -> Rows:
        number = 0
        try:
            for record in found:
                number += 1
                yield cutter.row(number, record)
        except Unreadable as fault:
            raise fault.of(name, after=number) from None
        if number:
            cutter.note_unseen(notes)

    return Table(columns, rows, notes)


def _encoding(head: bytes, declared: str | None) -> str | None:
    """What overrides the file's own declaration. A byte order mark is expat's own matter."""
    return None if bom_encoding(head) else declared


def _path(column: str, namespaces: Mapping[str, str]) -> Callable[[_Element], list[Any]]:
    """A function that takes a column's elements, or attributes' values, out of a record."""
    whole = _matcher(column, namespaces) if "/" not in column and not column.startswith("@") else None
    steps = _steps(column)
    cuts = [_cut(step, namespaces) for step in steps]

    def cut(record: _Element) -> list[Any]:
        if whole and (found := [child for child in record.children if whole(child.name)]):
            return found
        values: list[Any] = [record]
        for take in cuts:
            values = take(values)
        return values

    return cut


def _cut(step: str, namespaces: Mapping[str, str]) -> Callable[[list[Any]], list[Any]]:
    if step.isascii() and step.isdigit():
        index = int(step[:9])
        return lambda elements: elements[index : index + 1]
    if step.startswith("@"):
        matches = _matcher(step[1:], namespaces)
        return lambda elements: [
            value
            for element in elements
            if isinstance(element, _Element)
            for name, value in element.attributes
            if matches(name)
        ]
    matches = _matcher(step, namespaces)
    return lambda elements: [
        child
        for element in elements
        if isinstance(element, _Element)
        for child in element.children
        if matches(child.name)
    ]


def _cell(values: list[Any]) -> Cell:
    texts: list[str] = []
    for value in values:
        if isinstance(value, str):
            texts.append(value)
        elif value.children:
            raise NestedValue("an element that holds others")
        elif not value.nil:
            texts.append("".join(value.text))
    if len(values) > 1:
        return texts
    return texts[0] if texts else None


def _leaves(element: _Element, prefix: str = "") -> Iterator[str]:
    yield from (f"{prefix}@{name.local}" for name, _ in element.attributes if name.uri != _XSI)
    for child in element.children:
        path = f"{prefix}{child.name.local}"
        if not child.children:
            yield path
        yield from _leaves(child, f"{path}/")
