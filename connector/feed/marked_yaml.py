"""YAML as plain data in which every key and value keeps its place: the line and column of whatever turns out to be
wrong.

Plain scalars follow the core schema of YAML 1.2 (section 10.3.2) as far as it loses nothing: `true`, `null` and `42`
are what they look like, while `NO`, `yes`, `00123`, `1.10`, `12:30` and `2026-01-31` stay the text that they are. No
tag builds anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from connector.vocabulary.errors import Fault

MAX_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 32
MAX_NODES: Final = 50_000
"""Bounds for a file of rules that people write. With aliases expanded: a "billion laughs" ends here."""

Path = tuple[str | int, ...]

_PLAIN: Final = "plain"
_TEXT: Final = "tag:yaml.org,2002:str"
_INTEGER: Final = re.compile(r"0|-?[1-9][0-9]{0,17}", re.ASCII)
_CONSTANTS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
_UNPRINTABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_BEGINS_LIKE_YAML: Final = re.compile(r"""[^:]*(?::[^\s:][^:]*)*:[ ]+(?:\[[^\]]*\]|"[^"]*"|'[^']*')[ ]*[^\s#]""")
_QUOTE_IT: Final = "put the whole value in single quotes; a single quote inside is written twice"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scalar:
    node: yaml.ScalarNode
    source: str

    def offset(self, index: int) -> int | None:
        """Where in the source the value's character `index` is, counted from the scalar's start; None when unclear."""
        style = self.node.style
        if style is None or self.source.isprintable() is False:
            return index if self.source == self.node.value else None
        double = style == '"'
        value: list[str] = []
        at, found = 1, None
        while at < len(self.source) - 1:
            if len(value) == index:
                found = at
            pair = self.source[at : at + 2]
            if (double and pair in {'\\"', "\\\\"}) or (not double and pair == "''"):
                value.append(pair[1])
                at += 2
            else:
                value.append(pair[0])
                at += 1
        if style not in {'"', "'"} or "".join(value) != self.node.value:
            return None
        return at if found is None else found


@dataclass(slots=True, kw_only=True)
class Document:
    """`data` of str, int, bool, None, list and dict (keys are always text); `faults` that did not stop the reading."""

    data: Any = None
    faults: list[Fault] = field(default_factory=list)
    key_marks: dict[Path, yaml.Mark] = field(default_factory=dict)
    value_marks: dict[Path, yaml.Mark] = field(default_factory=dict)
    scalars: dict[Path, _Scalar] = field(default_factory=dict)
    commented: dict[Path, bool] = field(default_factory=dict)

    def key(self, path: Path) -> tuple[int, int]:
        """Line and column, from 1, of the key (or list item) at `path`, or of the nearest thing around it."""
        while path and path not in self.key_marks:
            path = path[:-1]
        return _place(self.key_marks.get(path))

    def value(self, path: Path, index: int | None = None) -> tuple[int, int]:
        """Line and column of the value at `path`, or of character `index` of it; column 0 where that is folded or
        escaped.
        """
        mark = self.value_marks.get(path)
        if mark is None:
            return self.key(path)
        line, column = _place(mark)
        scalar = self.scalars.get(path)
        offset = scalar.offset(index) if scalar and index is not None else 0
        if offset is None:
            return line, 0 if index else column
        return line, column + offset

    def text(self, path: Path) -> str | None:
        """The scalar at `path` before it became a boolean, a number or null."""
        scalar = self.scalars.get(path)
        return scalar.node.value if scalar else None

    def cut_by_comment(self, path: Path) -> bool:
        """Whether an unquoted value at `path` is followed by ` #` on its line, which YAML reads as a comment."""
        return self.commented.get(path, False)


def _place(mark: yaml.Mark | None) -> tuple[int, int]:
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


class Unreadable(Exception):
    """The text is not YAML at all; carries the one fault that is known."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        super().__init__(str(fault))


class _Composer(yaml.SafeLoader):
    """PyYAML up to its nodes: no resolving by YAML 1.1, a bound on depth (its composer recurses)."""

    depth = 0

    def resolve(self, kind: type[yaml.Node], value: str | None, implicit: Any) -> str:
        if kind is yaml.ScalarNode:
            return _PLAIN if implicit[0] else _TEXT
        tag: str = super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]  # the stubs leave it out
        return tag

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # the stubs leave it out
            raise yaml.composer.ComposerError(None, None, f"more than {MAX_DEPTH} levels deep", mark)
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


def read(content: bytes) -> Document:
    """Raises `Unreadable` for what is not UTF-8 or not YAML, with the line. An empty file has `data` None."""
    text = _decoded(content)
    try:
        root = yaml.compose(text, Loader=_Composer)
    except yaml.reader.ReaderError as error:
        line, column = _at(text, error.position)
        raise Unreadable(
            Fault(
                message="a control character that YAML does not allow", advice="delete it", line=line, position=column
            )
        ) from error
    except yaml.MarkedYAMLError as error:
        raise Unreadable(_syntax_fault(error, text)) from error
    # PyYAML lets a few numbers out of range (an escape such as "\UFFFFFFFF", a %YAML version) escape as these.
    except (ValueError, OverflowError, yaml.YAMLError) as error:
        raise Unreadable(
            Fault(message="an escape or a directive that YAML does not allow", advice=_QUOTE_IT, line=1, position=1)
        ) from error
    document = Document()
    if root is not None:
        document.data = _Builder(document, text).build(root, ())
    return document


def _decoded(content: bytes) -> str:
    if len(content) > MAX_BYTES:
        raise Unreadable(
            Fault(
                message=f"the file is larger than {MAX_BYTES >> 20} MiB",
                advice="move large lookup tables to CSV files beside it",
                line=1,
                position=1,
            )
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _at(content[: error.start].decode("utf-8-sig"), error.start)
        raise Unreadable(
            Fault(message="the file is not UTF-8", advice="save it as UTF-8", line=line, position=column)
        ) from error


def _at(text: str, index: int) -> tuple[int, int]:
    before = text[:index]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _syntax_fault(error: yaml.MarkedYAMLError, text: str) -> Fault:
    mark = error.problem_mark or error.context_mark
    line, column = _place(mark)
    problem = error.problem or error.context or "it cannot be read"
    advice = _QUOTE_IT
    if "'\\t'" in problem or (mark is not None and text[mark.index : mark.index + 1] == "\t"):
        problem, advice = "a tab where only spaces may be", "indent with spaces"
    elif "undefined alias" in problem or "duplicate anchor" in problem:
        problem, advice = "a value that begins with & or * is YAML's own notation", _QUOTE_IT
    elif "another document" in problem or "document start" in problem:
        problem, advice = "more than one YAML document", "one feed a file: delete what follows ---"
    elif mark is not None and _BEGINS_LIKE_YAML.match(text.splitlines()[mark.line] if text[mark.index :] else ""):
        problem = "the value begins with [ or a quote, which is YAML's, and goes on after its end"
    elif "levels deep" in problem:
        advice = "a feed file needs three levels at most"
    return Fault(message=f"not readable as YAML: {problem}", advice=advice, line=line, position=column)


class _Builder:
    def __init__(self, document: Document, text: str) -> None:
        self._document = document
        self._text = text
        self._nodes = 0

    def build(self, node: yaml.Node, path: Path) -> Any:
        self._nodes += 1
        mark = node.start_mark
        if self._nodes > MAX_NODES or len(path) > MAX_DEPTH:
            line, column = _place(mark)
            raise Unreadable(
                Fault(
                    message="too many values, aliases included",
                    advice="write the values out without & and *",
                    line=line,
                    position=column,
                )
            )
        self._document.value_marks[path] = mark
        if isinstance(node, yaml.MappingNode):
            self._check_tag(node, "tag:yaml.org,2002:map", path)
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            self._check_tag(node, "tag:yaml.org,2002:seq", path)
            return [self._item(item, (*path, index)) for index, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        return self._scalar(node, path)

    def _item(self, node: yaml.Node, path: Path) -> Any:
        self._document.key_marks[path] = node.start_mark
        return self.build(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key_node, yaml.ScalarNode) or not key:
                self._fault(key_node.start_mark, "a key that is no text", "write the key in quotes", path)
                continue
            place = (*path, key)
            if _UNPRINTABLE.search(key):
                self._fault(key_node.start_mark, "a key with a control character in it", "delete the character", path)
                continue
            if key in found:
                first = self._document.key(place)[0]
                message = f"{_dotted(place)!r} is there twice, first in line {first}"
                self._fault(key_node.start_mark, message, "delete one of them", place)
                continue
            self._document.key_marks[place] = key_node.start_mark
            found[key] = self.build(value_node, place)
        return found

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> str | int | bool | None:
        value: str = node.value
        start, end = node.start_mark.index, node.end_mark.index
        self._document.scalars[path] = _Scalar(node=node, source=self._text[start:end])
        if node.tag == _PLAIN:
            rest = self._text[end : end + 200].split("\n", 1)[0]
            self._document.commented[path] = rest.lstrip(" \t").startswith("#")
        else:
            self._check_tag(node, _TEXT, path)
        if _UNPRINTABLE.search(value):
            message = f"{_dotted(path)!r} has a control character or half a character in it"
            self._fault(node.start_mark, message, "delete it", path)
        if node.tag != _PLAIN:
            return value
        if value in _CONSTANTS:
            return _CONSTANTS[value]
        return int(value) if _INTEGER.fullmatch(value) else value

    def _check_tag(self, node: yaml.Node, expected: str, path: Path) -> None:
        if node.tag != expected:
            self._fault(node.start_mark, "a YAML tag (!…), which means nothing here", _QUOTE_IT, path)

    def _fault(self, mark: yaml.Mark, message: str, advice: str, path: Path) -> None:
        line, position = _place(mark)
        self._document.faults.append(
            Fault(message=message, advice=advice, column=_dotted(path), line=line, position=position)
        )


def _dotted(path: Path) -> str:
    return ".".join(str(part) for part in path)
