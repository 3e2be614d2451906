"""JSON as a stream of records, with the standard library's `json`.

`ijson` turns numbers into floats or decimals, and holds a value of any size; here a number stays as it is written
(`1.0`, `007` in quotes, 20 digits), a record has a limit, and each record is still parsed in C.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from connector.readers.table import Unreadable
from connector.readers.text import MAX_LINE
from connector.vocabulary.column_names import is_usual
from connector.vocabulary.errors import Fault

_SPACE = " \t\r\n"
# Errors this close to the end of what was read may be due to what was not; the longest token is `-Infinity`.
_NEAR_END = 16
_MAX_MEMBERS = 10_000


def _no_constant(text: str) -> NoReturn:
    raise Unreadable(f"{text} is no JSON value", "correct the export")


class Values:
    """Parses JSON values, and knows of the last one whether an object in it has a key twice.

    `as_written`: numbers as the text that stands in the file. Control characters in strings are let through: a row's
    fault, not the file's.
    """

    def __init__(self, *, as_written: bool) -> None:
        number: dict[str, Any] = {"parse_int": str, "parse_float": str} if as_written else {}
        self._decoder = json.JSONDecoder(
            parse_constant=_no_constant, strict=False, object_pairs_hook=self._object, **number
        )
        self._twice: str | None = None

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs) and self._twice is None:
            names = Counter(name for name, _ in pairs)
            self._twice = next(name for name, count in names.items() if count > 1)
        return made

    def raw(self, text: str, position: int) -> tuple[Any, int]:
        """The value at a position, and where it ends; raises what `json` does."""
        self._twice = None
        return self._decoder.raw_decode(text, position)

    def whole(self, text: str) -> Any:
        """The text's one value."""
        self._twice = None
        return self._decoder.decode(text)

    def fault(self) -> Fault | None:
        """What is wrong with the last value all the same."""
        if self._twice is None:
            return None
        shown = is_usual(self._twice)
        return Fault(
            message=f"an object of the record has {f'the key {self._twice!r}' if shown else 'a key'} twice",
            advice="which of the two counts cannot be known: correct the export",
            column=self._twice if shown else "",
        )


class Scanner:
    """Walks through a JSON text and parses one value at a time. Every method raises `Unreadable` where it is
    malformed."""

    def __init__(self, pieces: Iterator[str], values: Values) -> None:
        self._pieces = pieces
        self._values = values
        self._text = ""
        self._position = 0
        self._ended = False

    def _more(self) -> bool:
        """Read on, as much again as is held: parsing a long value anew each time must not become quadratic."""
        if self._ended:
            return False
        held = len(self._text) - self._position
        if held > MAX_LINE:
            raise Unreadable(
                f"a value has more than {MAX_LINE:,} characters", "file: record names the list whose items are the rows"
            )
        pieces = [self._text[self._position :]]
        size = 0
        while size <= held:
            piece = next(self._pieces, None)
            if piece is None:
                self._ended = True
                break
            pieces.append(piece)
            size += len(piece)
        self._text = "".join(pieces)
        self._position = 0
        return size > 0

    def peek(self) -> str:
        """The next character that is no white space; "" at the end."""
        while True:
            text, position = self._text, self._position
            while position < len(text) and text[position] in _SPACE:
                position += 1
            self._position = position
            if position < len(text):
                return text[position]
            if not self._more():
                return ""

    def take(self, expected: str) -> str:
        """Step over one of the `expected` characters."""
        found = self.peek()
        if not found:
            raise Unreadable("the JSON text ends too early", "the file arrived in part: send it again")
        if found not in expected:
            raise Unreadable(f"malformed JSON: {' or '.join(expected)} is missing", "correct the export")
        self._position += 1
        return found

    def value(self) -> Any:
        """Parse a whole value."""
        while True:
            self.peek()
            try:
                value, end = self._values.raw(self._text, self._position)
            except json.JSONDecodeError as error:
                incomplete = error.msg.startswith("Unterminated string") or error.pos >= len(self._text) - _NEAR_END
                if incomplete and self._more():
                    continue
                if incomplete and self._ended:
                    raise Unreadable(
                        "the JSON text ends too early, or is malformed at its end", "send the file again"
                    ) from None
                raise Unreadable(f"malformed JSON: {error.msg}", "correct the export") from None
            except RecursionError:
                raise Unreadable("the JSON values are nested too deeply", "correct the export") from None
            except ValueError:
                raise Unreadable("a number has too many digits", "correct the export") from None
            # A number at the end of what was read may go on.
            if end == len(self._text) and self._more():
                continue
            self._position = end
            return value

    def members(self) -> Iterator[str]:
        """The names of an object's members; the caller takes each value before the next name."""
        self.take("{")
        if self.peek() == "}":
            self.take("}")
            return
        seen: set[str] = set()
        while True:
            if self.peek() not in ('"', ""):
                raise Unreadable("malformed JSON: a member's name is missing", "correct the export")
            name = self.value()
            if name in seen:
                shown = f"the member {name!r}" if is_usual(name) else "a member"
                raise Unreadable(f"the JSON text has {shown} twice", "correct the export")
            seen.add(name)
            if len(seen) > _MAX_MEMBERS:
                raise Unreadable(
                    f"an object around the records has more than {_MAX_MEMBERS:,} members",
                    "file: record names the list whose items are the rows",
                )
            self.take(":")
            yield name
            if self.take(",}") == "}":
                return

    def items(self) -> Iterator[Any]:
        """An array's items; a `Fault` in place of one with a key twice."""
        self.take("[")
        if self.peek() == "]":
            self.take("]")
            return
        while True:
            item = self.value()
            yield self._values.fault() or item
            if self.take(",]") == "]":
                return

    def array_at(self, path: Sequence[str]) -> Iterator[Any]:
        """The items of the array at a path of member names, and nothing else of the value around it."""
        if not path:
            if self.peek() != "[":
                raise Unreadable(
                    "file: record names something that is no list", "name the list whose items are the rows"
                )
            yield from self.items()
            return
        found = False
        if self.peek() != "{":
            raise Unreadable(
                "file: record names a member of something that is no object", "name the list whose items are the rows"
            )
        for name in self.members():
            if name == path[0]:
                found = True
                yield from self.array_at(path[1:])
            else:
                self.value()
        if not found:
            raise Unreadable(
                f"the file has no member {path[0]!r}, which file: record names", "correct file: record in the feed file"
            )

    def only_array(self) -> Iterator[Any]:
        """The items of the text's array: the text itself, or the one member of its object that is a list of objects."""
        if self.peek() == "[":
            yield from self.items()
            return
        first = ""
        for name in self.members():
            if self.peek() != "[":
                self.value()
                continue
            items = self.items()
            item = next(items, None)
            if not isinstance(item, dict | Fault):
                for _ in items:
                    pass
                continue
            if first:
                told = f"the lists {first!r} and {name!r}" if is_usual(first) and is_usual(name) else "two lists"
                raise Unreadable(f"{told} could both be the rows", "file: record names the right one")
            first = name
            yield item
            yield from items
        if not first:
            raise Unreadable("the file has no list of records", "file: record names the list whose items are the rows")

    def finish(self) -> None:
        """Make sure that nothing follows."""
        if self.peek():
            raise Unreadable(
                "something follows the end of the JSON text", "for one record a line, say file: format: jsonl"
            )
