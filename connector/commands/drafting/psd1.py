"""PowerShell data files (.psd1), as far as tables of settings go: literals, tables, arrays and script blocks as text.

Grammar: "about_Data_Files", "about_Quoting_Rules", "about_Hash_Tables" and "about_Comments" of PowerShell's own help.
PyPI has no library for them (looked for in November 2026: highlighters, and wrappers of PowerShell itself), and a
script block must not be run here anyway.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import Final, TypeAlias

MAX_DEPTH: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal:
    """A text, number (as it is written), `$true`, `$false` or `$null`; `line` counts from 1, as everywhere here."""

    value: str | bool | None
    line: int
    number: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """`{ … }`: what stands between the braces, without the white space around it and without comments."""

    text: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """`@{ key = value }`; keys keep their order and spelling."""

    entries: tuple[tuple[str, Value], ...]
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Array:
    """`@( … )`, or values with commas between them."""

    items: tuple[Value, ...]
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """What is none of these: a variable, a call, an operator, a text with a variable in it."""

    text: str
    line: int


Value: TypeAlias = Literal | Script | Table | Array | Unknown


class Malformed(Exception):
    """No data file; `line` and `position` count from 1."""

    def __init__(self, message: str, line: int, position: int) -> None:
        self.message = message
        self.line = line
        self.position = position
        super().__init__(message)


_TOKEN: Final = re.compile(
    r"""(?P<comment>\#[^\r\n]*+|<\#(?:[^#]|\#(?!>))*+\#>)
    |(?P<newline>\r\n|\n|\r)
    |(?P<space>(?:[^\S\r\n]|`(?:\r\n|\n|\r))++)
    |(?P<here>@'[^\S\r\n]*(?:\r\n|\n|\r)(?:(?:.*?)(?:\r\n|\n|\r))??'@|@"[^\S\r\n]*(?:\r\n|\n|\r)(?:(?:.*?)(?:\r\n|\n|\r))??"@)
    |(?P<single>'(?:[^']|'')*+')
    |(?P<double>"(?:[^"`]|`.|"")*+")
    |(?P<number>[+-]?(?:0x[0-9A-Fa-f]+|[0-9]+(?:\.[0-9]+)?)(?![\w.-]))
    |(?P<open>@\{|@\(|\{|\(|\[)
    |(?P<close>[})\]])
    |(?P<mark>[=,;])
    |(?P<word>[^\s'"`{}()\[\]=,;\#@]++|.)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "0": "\0", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "e": "\x1b"}
_CONSTANTS: Final[dict[str, bool | None]] = {"$true": True, "$false": False, "$null": None}
_CLOSING: Final = {"@{": "}", "{": "}", "@(": ")", "(": ")", "[": "]"}
# An expandable text holds a variable or a subexpression: about_Quoting_Rules.
_VARIABLE: Final = re.compile(r"(?<!`)(?:``)*\$[\w({:?^$]")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int


def parse(text: str) -> Value:
    """The one value that a data file is. Raises Malformed."""
    return _Parser(text).file()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._line_starts = [0, *(found.end() for found in re.finditer(r"\r\n|\n|\r", text))]
        self._tokens = self._read()
        self._at = 0

    def _read(self) -> list[_Token]:
        found: list[_Token] = []
        for match in _TOKEN.finditer(self._text):
            kind = match.lastgroup or ""
            if kind == "word" and match[0] in {"'", '"'}:
                raise self._malformed("the text that begins here has no end", match.start())
            if kind == "word" and match[0] == "@":
                raise self._malformed("@ begins neither a table nor an array nor a text here", match.start())
            if kind not in {"comment", "space"}:
                found.append(_Token(kind=kind, text=match[0], start=match.start(), end=match.end()))
        found.append(_Token(kind="end", text="", start=len(self._text), end=len(self._text)))
        return found

    def _line(self, offset: int) -> int:
        return bisect_right(self._line_starts, offset)

    def _malformed(self, message: str, offset: int) -> Malformed:
        line = self._line(offset)
        return Malformed(message, line, offset - self._line_starts[line - 1] + 1)

    @property
    def _token(self) -> _Token:
        return self._tokens[self._at]

    def _skip(self, *, marks: str = "") -> None:
        while self._token.kind == "newline" or (self._token.kind == "mark" and self._token.text in marks):
            self._at += 1

    def file(self) -> Value:
        self._skip(marks=";")
        if self._token.kind == "end":
            raise self._malformed("the file is empty", 0)
        value = self._value(0)
        self._skip(marks=";")
        if self._token.kind != "end":
            raise self._malformed("something follows the table", self._token.start)
        return value

    def _value(self, depth: int) -> Value:
        """One value, or several with commas between them; anything else up to the end of the line is Unknown."""
        start = self._at
        first = self._single(depth)
        if self._token.kind in {"newline", "close", "end"} or self._token.text == ";":
            return first
        items = [first]
        while self._token.kind == "mark" and self._token.text == ",":
            self._at += 1
            self._skip()
            items.append(self._single(depth))
        if self._token.kind in {"newline", "close", "end"} or self._token.text == ";":
            return Array(items=tuple(items), line=self._line(self._tokens[start].start))
        return self._unknown(start)

    def _single(self, depth: int) -> Value:
        token = self._token
        line = self._line(token.start)
        if depth > MAX_DEPTH:
            raise self._malformed(f"tables are nested more than {MAX_DEPTH} deep", token.start)
        self._at += 1
        if token.kind == "here":
            body = re.sub(r"^@['\"][^\r\n]*(?:\r\n|\n|\r)|(?:\r\n|\n|\r)?['\"]@$", "", token.text)
            expands = token.text[1] == '"'
            if expands and _VARIABLE.search(body):
                return Unknown(text=token.text, line=line)
            return Literal(value=_unescaped(body) if expands else body, line=line)
        if token.kind == "single":
            return Literal(value=token.text[1:-1].replace("''", "'"), line=line)
        if token.kind == "double":
            body = token.text[1:-1]
            if _VARIABLE.search(body):
                return Unknown(text=token.text, line=line)
            return Literal(value=_unescaped(body.replace('""', '"')), line=line)
        if token.kind == "number":
            return Literal(value=token.text, line=line, number=True)
        if token.kind == "word" and token.text.lower() in _CONSTANTS:
            return Literal(value=_CONSTANTS[token.text.lower()], line=line)
        if token.text == "@{":
            return self._table(token, depth)
        if token.text == "@(":
            return self._array(token, depth)
        if token.text == "{":
            return Script(text=self._between(token), line=line)
        self._at -= 1
        if token.kind in {"close", "mark", "newline", "end"}:
            raise self._malformed("a value is missing", token.start)
        return self._unknown(self._at)

    def _table(self, opening: _Token, depth: int) -> Table:
        entries: list[tuple[str, Value]] = []
        seen: set[str] = set()
        while True:
            self._skip(marks=";")
            token = self._token
            if token.text == "}" and token.kind == "close":
                self._at += 1
                return Table(entries=tuple(entries), line=self._line(opening.start))
            if token.kind == "end":
                raise self._malformed("the table that begins here has no end", opening.start)
            key = self._key(depth)
            if key.lower() in seen:
                raise self._malformed(f"the table has {key!r} twice", token.start)
            seen.add(key.lower())
            entries.append((key, self._value(depth + 1)))

    def _key(self, depth: int) -> str:
        token = self._token
        if token.kind in {"single", "double", "number"}:
            value = self._single(depth)
            key = value.value if isinstance(value, Literal) and isinstance(value.value, str) else ""
        else:
            key = token.text if token.kind == "word" else ""
            self._at += 1
        if not key:
            raise self._malformed("a key is missing", token.start)
        self._skip()
        if self._token.text != "=":
            raise self._malformed("an = is missing after the key", token.start)
        self._at += 1
        self._skip()
        return key

    def _array(self, opening: _Token, depth: int) -> Array:
        items: list[Value] = []
        while True:
            self._skip(marks=";,")
            if self._token.text == ")" and self._token.kind == "close":
                self._at += 1
                return Array(items=tuple(items), line=self._line(opening.start))
            if self._token.kind == "end":
                raise self._malformed("the array that begins here has no end", opening.start)
            items.append(self._single(depth + 1))

    def _between(self, opening: _Token) -> str:
        """The text up to the brace that closes `opening`, without comments; the closing one is read."""
        parts: list[str] = []
        expected = [_CLOSING[opening.text]]
        last = opening.end
        while True:
            token = self._token
            self._at += 1
            if token.kind == "end":
                raise self._malformed(f"the {opening.text} has no end", opening.start)
            parts.append("" if token.start == last else " ")
            last = token.end
            if token.kind == "open":
                expected.append(_CLOSING[token.text])
            elif token.kind == "close":
                if expected.pop() != token.text:
                    raise self._malformed(f"{token.text} closes nothing here", token.start)
                if not expected:
                    return "".join(parts).strip()
            parts.append(token.text)

    def _unknown(self, start: int) -> Unknown:
        """Everything from token `start` to the end of its line, what is in brackets whole."""
        self._at = start
        first = self._token
        end = first.start
        while self._token.kind not in {"newline", "close", "end"} and self._token.text != ";":
            token = self._token
            self._at += 1
            if token.kind == "open":
                self._between(token)
            end = self._tokens[self._at - 1].end
        return Unknown(text=self._text[first.start : end], line=self._line(first.start))


def _unescaped(text: str) -> str:
    return re.sub(r"`(.)", lambda found: _ESCAPES.get(found[1], found[1]), text, flags=re.DOTALL)
