"""Translates a .NET pattern into the syntax of the package regex.

Facts: "Regular expression language - quick reference", "Grouping constructs" and "Character classes" of Microsoft's
.NET documentation."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import regex

from connector.mapping.dotnet.faults import PatternError

_MAX_DEPTH: Final = 100


UNNAMED: Final = "__n"
_CATEGORIES: Final = frozenset(
    [
        "L",
        "Lu",
        "Ll",
        "Lt",
        "Lm",
        "Lo",
        "M",
        "Mn",
        "Mc",
        "Me",
        "N",
        "Nd",
        "Nl",
        "No",
        "P",
        "Pc",
        "Pd",
        "Ps",
        "Pe",
        "Pi",
        "Pf",
        "Po",
        "S",
        "Sm",
        "Sc",
        "Sk",
        "So",
        "Z",
        "Zs",
        "Zl",
        "Zp",
        "C",
        "Cc",
        "Cf",
        "Cs",
        "Co",
        "Cn",
    ]
)
_BLOCK_NAMES: Final = {"Greek": "GreekandCoptic", "CombiningMarksforSymbols": "CombiningDiacriticalMarksforSymbols"}
_CONTROL_ESCAPES: Final = {"a": "\a", "t": "\t", "r": "\r", "v": "\v", "f": "\f", "n": "\n", "e": "\x1b"}
_ANCHORS: Final = {"A": r"\A", "Z": r"(?=\n?\Z)", "z": r"\Z", "b": r"\b", "B": r"\B"}
_COUNT: Final = re.compile(r"\{([0-9]+)(,([0-9]*))?\}", re.ASCII)
_NAME: Final = re.compile(r"\w+")
_OPTIONS: Final = re.compile(r"\(\?([imnsx]*)(?:-([imnsx]+))?([:)])", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    explicit: bool = False
    extended: bool = False

    def changed(self, on: str, off: str) -> _Options:
        return _Options(
            explicit=("n" in on or self.explicit) and "n" not in off,
            extended=("x" in on or self.extended) and "x" not in off,
        )


def _inner(on: str, off: str) -> str:
    """The options that the engine itself knows; the others are dealt with while translating."""
    kept_on = "".join(option for option in on if option in "ims")
    kept_off = "".join(option for option in off if option in "ims")
    return kept_on + (f"-{kept_off}" if kept_off else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reference:
    """A back-reference, by .NET's name or number, until all groups are known."""

    name: str
    offset: int
    form: str


class Translation:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._pieces: list[str | _Reference] = []
        self.names: list[str] = []
        self.unnamed = 0
        self._loops = 0
        self._branches = 0
        self._repeats_groups = False

    @property
    def steps(self) -> Callable[[int], int] | None:
        """The most steps for a text of a given length: every loop can stop anywhere, every branch doubles.

        None where a group is repeated: that can take exponentially long.
        """
        if self._repeats_groups:
            return None
        loops, branches = self._loops, self._branches
        return lambda length: length ** (loops + 1) * 2**branches

    def python(self) -> str:
        options = _Options()
        opened: list[tuple[int, _Options]] = []
        repeatable = False
        while self._at < len(self._text):
            start, char = self._at, self._text[self._at]
            if options.extended and (char.isspace() or char == "#"):
                self._skip(char)
                continue
            if char == "(":
                found = _OPTIONS.match(self._text, start)
                if found is not None and found[3] == ")":
                    options = options.changed(found[1], found[2] or "")
                    inner = _inner(found[1], found[2] or "")
                    self._emit(f"(?{inner})" if inner else "", len(found[0]))
                    repeatable = False
                    continue
                before = options
                if found is not None:
                    options = options.changed(found[1], found[2] or "")
                    self._emit(f"(?{_inner(found[1], found[2] or '')}:", len(found[0]))
                elif self._comment():
                    continue
                else:
                    self._open(options)
                opened.append((start, before))
                if len(opened) > _MAX_DEPTH:
                    raise PatternError(f"groups are nested more than {_MAX_DEPTH} deep", start)
                repeatable = False
            elif char == ")":
                if not opened:
                    raise PatternError("a ) too many", start)
                _, options = opened.pop()
                self._emit(")", 1)
                repeatable = True
            elif self._quantifier(repeatable):
                repeatable = False
            else:
                repeatable = self._atom(char)
        if opened:
            raise PatternError("the group has no end", opened[-1][0])
        return "".join(piece if isinstance(piece, str) else self._resolved(piece) for piece in self._pieces)

    def _emit(self, piece: str | _Reference, length: int) -> None:
        self._pieces.append(piece)
        self._at += length

    def _skip(self, char: str) -> None:
        if char == "#":
            end = self._text.find("\n", self._at)
            self._at = len(self._text) if end < 0 else end + 1
        else:
            self._at += 1

    def _comment(self) -> bool:
        if not self._text.startswith("(?#", self._at):
            return False
        end = self._text.find(")", self._at)
        if end < 0:
            raise PatternError("the comment has no end", self._at)
        self._at = end + 1
        return True

    def _open(self, options: _Options) -> None:
        text, start = self._text, self._at
        if not text.startswith("(?", start):
            if options.explicit:
                self._emit("(?:", 1)
            else:
                self.unnamed += 1
                self._emit(f"(?<{UNNAMED}{self.unnamed}>", 1)
            return
        for opening in ("(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!"):
            if text.startswith(opening, start):
                self._emit(opening, len(opening))
                return
        if text.startswith("(?(", start):
            self._condition()
        elif text[start + 2 : start + 3] in ("<", "'"):
            self._named()
        else:
            raise PatternError(f"'{text[start : start + 3]}' is not a group of .NET's that can be used here", start)

    def _named(self) -> None:
        start = self._at
        close = ">" if self._text[start + 2] == "<" else "'"
        end = self._text.find(close, start + 3)
        name = self._text[start + 3 : end] if end > 0 else ""
        if "-" in name:
            raise PatternError("balancing groups (?<a-b>…) have no equal here", start)
        if not _NAME.fullmatch(name):
            raise PatternError("the group's name is missing or has characters that a name cannot have", start)
        if name[0].isdigit():
            raise PatternError("a group whose name is a number has no equal here; give it a word as its name", start)
        if name.startswith(UNNAMED) or not name.isidentifier():
            raise PatternError("the group needs another name", start)
        if name not in self.names:
            self.names.append(name)
        self._emit(f"(?<{name}>", end + 1 - start)

    def _condition(self) -> None:
        start = self._at
        end = self._text.find(")", start)
        name = self._text[start + 3 : end] if end > 0 else ""
        if not _NAME.fullmatch(name):
            raise PatternError("a condition (?(…)…|…) must be the name or number of a group here", start)
        self._emit(_Reference(name=name, offset=start, form="(?({})"), end + 1 - start)

    def _quantifier(self, repeatable: bool) -> bool:
        text, start = self._text, self._at
        if text[start] in "*+?":
            written, length = text[start], 1
        else:
            counted = _COUNT.match(text, start)
            if counted is None:
                return False
            written, length = counted[0], len(counted[0])
            low, high = int(counted[1][:10]), counted[3]
            if high and int(high[:10]) < low:
                raise PatternError("the counts of {n,m} are in the wrong order", start)
            if max(low, int((high or "0")[:10])) > 2**31 - 1:
                raise PatternError("the count is too large", start)
        if not repeatable:
            raise PatternError(f"there is nothing that '{written}' can repeat", start)
        self._count_steps(written)
        if text[start + length : start + length + 1] == "?":
            written, length = written + "?", length + 1
        self._emit(written, length)
        return True

    def _count_steps(self, quantifier: str) -> None:
        counted = _COUNT.fullmatch(quantifier)
        if self._pieces[-1] == ")":
            self._repeats_groups = True
        elif quantifier == "?":
            self._branches += 1
        elif counted is None or counted[2] is not None or len(counted[1]) > 2:
            self._loops += 1

    def _atom(self, char: str) -> bool:
        """Translates one character, escape or class. Whether a quantifier may follow."""
        if char == "\\":
            return self._escape()
        if char == "[":
            self._pieces.append(self._character_class(0))
            return True
        if char in ".^$|":
            self._branches += char == "|"
            self._emit(char, 1)
            return char == "."
        self._emit(_literal(char), 1)
        return True

    def _escape(self) -> bool:
        text, start = self._text, self._at
        char = text[start + 1 : start + 2]
        if char in _ANCHORS and char:
            self._emit(_ANCHORS[char], 2)
            return False
        if char == "G":
            raise PatternError("\\G has no equal here", start)
        if char == "k":
            found = re.compile(r"\\k(?:<(\w+)>|'(\w+)')").match(text, start)
            if found is None:
                raise PatternError("\\k needs the name of a group: \\k<name>", start)
            self._emit(_Reference(name=found[1] or found[2], offset=start, form=r"\g<{}>"), len(found[0]))
            return True
        if char.isascii() and char.isdigit() and char != "0":
            digits = re.compile("[0-9]+").match(text, start + 1)
            name = digits[0] if digits else char
            if len(name) > 1:
                # .NET reads \12 as a group or as an octal number, depending on how many groups there are.
                raise PatternError(f"\\{name} is ambiguous; write \\k<{name[0]}> or a \\x escape", start)
            self._emit(_Reference(name=name, offset=start, form=r"\g<{}>"), 2)
            return True
        self._pieces.append(self._class_escape() or _literal(self._character()))
        return True

    def _class_escape(self) -> str:
        """A class such as \\d or \\p{Lu}; empty when the escape is a character."""
        text, start = self._text, self._at
        char = text[start + 1 : start + 2]
        if char and char in "wWsSdD":
            self._at += 2
            return f"\\{char}"
        if char not in ("p", "P"):
            return ""
        end = text.find("}", start)
        if text[start + 2 : start + 3] != "{" or end < 0:
            raise PatternError(f"\\{char} needs a category: \\{char}{{Lu}}", start)
        name = text[start + 3 : end]
        self._at = end + 1
        if name in _CATEGORIES:
            return f"\\{char}{{{name}}}"
        if name.startswith("Is"):
            block = _BLOCK_NAMES.get(name[2:], name[2:])
            python = f"\\{char}{{In{block}}}"
            try:
                if re.fullmatch(r"[A-Za-z0-9-]+", block):
                    regex.compile(python)
                    return python
            except regex.error:
                pass
        raise PatternError(f"\\{char}{{{name}}} is not a category or block that is known here", start)

    def _character(self) -> str:
        """The one character that an escape stands for; the position is moved past it."""
        text, start = self._text, self._at
        char = text[start + 1 : start + 2]
        if not char:
            raise PatternError("nothing follows the backslash", start)
        self._at += 2
        if char in _CONTROL_ESCAPES:
            return _CONTROL_ESCAPES[char]
        if char == "0":
            found = re.compile("[0-7]{1,2}").match(text, self._at)
            self._at += len(found[0]) if found else 0
            return chr(int(found[0], 8) if found else 0)
        if char in "xu":
            length = 2 if char == "x" else 4
            digits = text[self._at : self._at + length]
            if not re.fullmatch(f"[0-9A-Fa-f]{{{length}}}", digits):
                raise PatternError(f"\\{char} needs {length} hexadecimal digits", start)
            self._at += length
            code = int(digits, 16)
            if 0xD800 <= code <= 0xDFFF:
                raise PatternError("half of a surrogate pair cannot be matched here; write the character", start)
            return chr(code)
        if char == "c":
            letter = text[self._at : self._at + 1].upper()
            if not letter or not "@" <= letter <= "_":
                raise PatternError("\\c needs a control letter", start)
            self._at += 1
            return chr(ord(letter) - 64)
        if char.isalnum() or char == "_":
            raise PatternError(f"\\{char} is not an escape of .NET's that can be used here", start)
        return char

    def _character_class(self, depth: int) -> str:
        text, start = self._text, self._at
        if depth > _MAX_DEPTH:
            raise PatternError("the character class is nested too deep", start)
        self._at += 1
        negated = text[self._at : self._at + 1] == "^"
        self._at += negated
        members: list[str] = []
        first = True
        while True:
            char = text[self._at : self._at + 1]
            if not char:
                raise PatternError("the character class has no end", start)
            if char == "]" and not first:
                self._at += 1
                return f"[{'^' * negated}{''.join(members)}]"
            if char == "-" and text[self._at + 1 : self._at + 2] == "[" and not first:
                self._at += 1
                without = self._character_class(depth + 1)
                if text[self._at : self._at + 1] != "]":
                    raise PatternError("a subtraction -[…] must be the last thing in its class", self._at)
                self._at += 1
                return f"[[{'^' * negated}{''.join(members)}]--{without}]"
            if char == "[" and text[self._at + 1 : self._at + 2] == ":":
                raise PatternError("classes such as [:alpha:] do not exist in .NET; write \\p{L}", self._at)
            members.append(self._member())
            first = False

    def _member(self) -> str:
        at = self._at
        low, single = self._class_character()
        text = self._text
        following = text[self._at + 1 : self._at + 2]
        if text[self._at : self._at + 1] != "-" or following in ("]", "", "["):
            return low
        if single is None:
            return low
        self._at += 1
        high, top = self._class_character()
        if top is None:
            raise PatternError("a range cannot end with a class", at)
        if top < single:
            raise PatternError("the range is in the wrong order", at)
        return f"{low}-{high}"

    def _class_character(self) -> tuple[str, str | None]:
        """One member: as the engine writes it, and the character itself unless it is a class."""
        char = self._text[self._at : self._at + 1]
        if char != "\\":
            self._at += 1
            return _literal(char), char
        if self._text[self._at + 1 : self._at + 2] == "b":
            self._at += 2
            return r"\x08", "\b"
        named = self._class_escape()
        if named:
            return named, None
        digit = self._text[self._at + 1 : self._at + 2]
        if digit and digit in "123456789":
            raise PatternError("an octal escape begins with \\0 here", self._at)
        found = self._character()
        return _literal(found), found

    def _resolved(self, reference: _Reference) -> str:
        name = group_name(reference.name, self.names, self.unnamed)
        if name is None:
            raise PatternError(f"there is no group '{reference.name}'", reference.offset)
        return reference.form.format(name)


def group_name(reference: str, names: Sequence[str], unnamed: int) -> str | None:
    if not (reference.isascii() and reference.isdigit()):
        return reference if reference in names else None
    # .NET numbers the unnamed groups first, then the named ones.
    number = int(reference[:6])
    if 1 <= number <= unnamed:
        return f"{UNNAMED}{number}"
    index = number - unnamed - 1
    return names[index] if 0 <= index < len(names) else None


def _literal(char: str) -> str:
    if char.isalnum() or char == "_" or ord(char) > 0x7F:
        return char
    return f"\\{char}" if char.isprintable() else f"\\x{ord(char):02x}"
