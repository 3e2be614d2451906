"""Reading an expression: text to syntax tree, with everything checked that can be known before a row is seen.

Facts: the page "Reference for writing expressions for attribute mappings in Microsoft Entra ID". The parser keeps its
own stack, so that no depth of nesting is ever a RecursionError.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from connector.errors import ConnectorError
from connector.mapping.casing import is_culture
from connector.mapping.dotnet_dates import DATE_SHAPES, FormatError, date_format, read_date
from connector.mapping.dotnet_regex import DotnetPattern, PatternError, dotnet_pattern, substitution
from connector.mapping.evaluate import Surroundings, evaluate
from connector.mapping.functions import (
    COMPARE_TYPES,
    INTERVALS,
    DateConversion,
    Replacement,
    ReplaceMode,
    date_conversion,
)
from connector.mapping.signatures import DATED, KNOWN_NAMES, NUMERIC, REFUSED, SIGNATURES, Signature
from connector.mapping.syntax import (
    Call,
    Column,
    Comparison,
    ComparisonMode,
    Node,
    Plan,
    Text,
    children,
    walk,
)
from connector.mapping.values import Site, ValueFault, number

MAX_LENGTH: Final = 100_000
"""Characters of one expression."""

MAX_DEPTH: Final = 200
"""Calls inside one another."""

_MAX_DIGITS: Final = 28


class ExpressionError(ConnectorError):
    """An expression that cannot be used. `position` counts from 0 into its text; `advice` says what to write."""

    def __init__(self, message: str, advice: str, position: int) -> None:
        self.message = message
        self.advice = advice
        self.position = position
        super().__init__(f"{message} ({advice})" if advice else message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """A checked expression. `columns` are those that it reads, in order of first use; `constant`: it reads nothing."""

    text: str
    columns: tuple[str, ...]
    constant: bool
    root: Node = field(repr=False, compare=False)

    @property
    def tables(self) -> tuple[str, ...]:
        """The lookup tables that it reads, sorted."""
        names = {
            name.value
            for node in walk(self.root)
            if isinstance(node, Call) and node.name == "Lookup" and isinstance(name := node.arguments[2], Text)
        }
        return tuple(sorted(names))

    @property
    def uses_now(self) -> bool:
        """Whether it reads the drop's landing time."""
        return any(isinstance(node, Call) and node.name == "Now" for node in walk(self.root))


_STARTS: Final = re.compile(r"""\s*(?:[\["]|([A-Za-z_][A-Za-z0-9_]*)(\s*)\()""", re.ASCII)


def looks_like_expression(value: str) -> bool:
    """Whether a feed file's value is an expression rather than a constant (design: the mapping language).

    It begins with `[` or `"`, or with a name right before a `(`, or with a known function's name before a `(`.
    """
    found = _STARTS.match(value)
    if found is None:
        return False
    return found[1] is None or not found[2] or found[1] in KNOWN_NAMES


def parse(text: str, *, tables: Collection[str] = ()) -> Expression:
    """Reads and checks an expression. `tables` are the names of the feed's lookup tables. Raises ExpressionError."""
    if len(text) > MAX_LENGTH:
        raise ExpressionError(
            f"the expression has {len(text):,} characters; {MAX_LENGTH:,} are the most",
            "use a lookup table",
            MAX_LENGTH,
        )
    root = _Parser(text, tables).parse()
    _check_constants(root)
    return Expression(text=text, columns=root.columns, constant=root.constant, root=root)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int


_TOKEN: Final = re.compile(
    r"""(?P<space>\s+)
    |(?P<string>"(?:[^"\\]|\\.)*+")
    |(?P<column>\[[^\]]*+\])
    |(?P<number>&[Hh][0-9A-Fa-f]+(?![A-Za-z0-9_.])|-?[0-9]+(?:\.[0-9]+)?(?![A-Za-z0-9_.]))
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<operator><>|<=|>=|[=<>])
    |(?P<mark>[(),])""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            # ASCII white space is in the pattern; a no-break space pasted from a web page is white space too.
            if text[at].isspace():
                at += 1
                continue
            raise _strange(text, at)
        kind = found.lastgroup or ""
        if kind != "space":
            yield _Token(kind=kind, text=found[0], start=at, end=found.end())
        at = found.end()
    yield _Token(kind="end", text="", start=len(text), end=len(text))


def _strange(text: str, at: int) -> ExpressionError:
    char = text[at]
    if char == '"':
        return ExpressionError("the string has no end", 'end it with ", and write \\" for a quote inside', at)
    if char == "[":
        return ExpressionError("the column name has no end", "end it with ]", at)
    if char in "“”„«»‘’'`":
        return ExpressionError(f"{char} does not quote here", 'use the straight double quote "', at)
    if char in "+&":
        advice = "use Append or Join to put texts together, and &HF for a hexadecimal number"
        return ExpressionError(f"'{char}' is not an operator here", advice, at)
    if char in "-0123456789":
        return ExpressionError("the number cannot be read", "write 7, -10, 1.5 or &HF", at)
    if char == "!":
        return ExpressionError("'!' is not an operator here", "write <> for unequal, and Not(…) for the opposite", at)
    shown = char if char.isprintable() else f"U+{ord(char):04X}"
    return ExpressionError(f"'{shown}' has no meaning here", "texts need quotes, columns need [ ]", at)


@dataclass(slots=True, kw_only=True)
class _Open:
    """A call (or, without a name, the expression itself) whose end has not been read yet."""

    name: str
    start: int
    arguments: list[Node | None]
    left: Node | None = None
    operator: _Token | None = None


class _Parser:
    def __init__(self, text: str, tables: Collection[str]) -> None:
        self._text = text
        self._tables = tables
        self._tokens = list(_tokens(text))
        self._at = 0

    def parse(self) -> Node:
        stack = [_Open(name="", start=0, arguments=[])]
        if self._tokens[0].kind == "end":
            raise ExpressionError("the expression is empty", 'write [Column], "text" or Function(…)', 0)
        root: Node | None = None
        while root is None:
            node = self._operand(stack)
            while node is not None:
                node = self._after(node, stack)
            root = stack[0].arguments[0] if stack[0].arguments else None
        return root

    def _next(self) -> _Token:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _operand(self, stack: list[_Open]) -> Node | None:
        """Reads up to the end of one operand; None when that opened a call or was an argument left empty."""
        token = self._next()
        opened = stack[-1]
        if token.kind == "string":
            return self._string(token)
        if token.kind == "number":
            return _number(token)
        if token.kind == "column":
            return self._column(token)
        if token.kind == "name":
            return self._name(token, stack)
        if token.kind == "mark" and token.text in "),":
            if opened.operator is not None or not opened.name:
                raise ExpressionError(f"'{token.text}' stands where a value is needed", "", token.start)
            opened.arguments.append(None)
            if token.text == ",":
                return None
            return self._closed(stack, token)
        if token.kind == "end":
            if opened.name:
                raise self._unclosed(opened)
            raise ExpressionError("the expression ends too early", "a value is missing at the end", token.start)
        if token.kind == "mark":
            raise ExpressionError("'(' needs a function's name before it", "parentheses cannot group here", token.start)
        raise ExpressionError(f"'{token.text}' stands where a value is needed", "", token.start)

    def _after(self, node: Node, stack: list[_Open]) -> Node | None:
        """Reads what follows an operand; the call that it closed, if it closed one."""
        token, opened = self._next(), stack[-1]
        if token.kind == "operator":
            if opened.operator is not None:
                raise ExpressionError(
                    f"a second comparison '{token.text}' in one condition",
                    "nest IIF to combine conditions",
                    token.start,
                )
            opened.left, opened.operator = node, token
            return None
        if token.kind == "mark" and token.text != "(" and opened.name:
            opened.arguments.append(_completed(opened, node))
            return None if token.text == "," else self._closed(stack, token)
        if token.kind == "end":
            if opened.name:
                raise self._unclosed(opened)
            opened.arguments.append(_completed(opened, node))
            return None
        raise self._unexpected(token, opened)

    def _unexpected(self, token: _Token, opened: _Open) -> ExpressionError:
        if token.kind == "name" and token.text.lower() in ("and", "or", "andalso", "orelse"):
            return ExpressionError(f"there is no {token.text} in expressions", "nest one IIF in another", token.start)
        if token.text == ")":
            return ExpressionError("a ) too many", "take it away", token.start)
        if not opened.name:
            advice = "an expression is one value or one function call; use Join or Append to put texts together"
            return ExpressionError("more text follows the expression", advice, token.start)
        return ExpressionError("a comma or ) is missing", f"the arguments of {opened.name} go on here", token.start)

    def _unclosed(self, opened: _Open) -> ExpressionError:
        return ExpressionError(f"the ( of {opened.name} is never closed", "add the missing )", opened.start)

    def _string(self, token: _Token) -> Text:
        raw = token.text[1:-1]
        for found in re.finditer(r"\\(.)", raw, re.DOTALL):
            if found[1] not in '\\"':
                advice = 'write \\\\ for a backslash and \\" for a quote'
                raise ExpressionError(f"'{found[0]}' is not an escape", advice, token.start + 1 + found.start())
        value = re.sub(r"\\(.)", r"\1", raw, flags=re.DOTALL)
        return Text(start=token.start, end=token.end, value=value)

    def _column(self, token: _Token) -> Column:
        name = token.text[1:-1]
        if not name.strip():
            raise ExpressionError("the column has no name", "write the name of a column between [ and ]", token.start)
        return Column(start=token.start, end=token.end, name=name, columns=(name,))

    def _name(self, token: _Token, stack: list[_Open]) -> Node | None:
        name = token.text
        if self._tokens[self._at].text != "(" or self._tokens[self._at].kind != "mark":
            return self._bare(token, stack[-1])
        self._at += 1
        if name in REFUSED:
            reason, advice = REFUSED[name]
            raise ExpressionError(f"{name} cannot be used: {reason}", advice, token.start)
        if name not in SIGNATURES:
            raise ExpressionError(f"there is no function '{name}'", _nearest(name, sorted(SIGNATURES)), token.start)
        if len(stack) > MAX_DEPTH:
            advice = "use Switch or a lookup table instead of nesting"
            raise ExpressionError(f"functions are nested more than {MAX_DEPTH} deep", advice, token.start)
        opened = _Open(name=name, start=token.start, arguments=[])
        stack.append(opened)
        following = self._tokens[self._at]
        if following.kind == "mark" and following.text == ")":
            self._at += 1
            return self._closed(stack, following)
        return None

    def _bare(self, token: _Token, opened: _Open) -> Node:
        name = token.text
        if name in COMPARE_TYPES and opened.name == "InStr" and len(opened.arguments) == 3:
            return Text(start=token.start, end=token.end, value=name)
        if name in KNOWN_NAMES:
            raise ExpressionError(
                f"{name} is a function and needs its arguments in ( )", f"write {name}(…)", token.start
            )
        if name.lower() in ("true", "false"):
            raise ExpressionError(f"{name} needs quotes", f'write "{name.capitalize()}"', token.start)
        raise ExpressionError(
            f"'{name}' is neither text nor a column", f'write "{name}" for text or [{name}] for a column', token.start
        )

    def _closed(self, stack: list[_Open], closing: _Token) -> Call:
        opened = stack.pop()
        return _checked_call(opened, closing.end, self._text, self._tables)


def _nearest(name: str, names: list[str]) -> str:
    for known in names:
        if known.lower() == name.lower():
            return f"write {known}: names are case-sensitive"
    near = difflib.get_close_matches(name[:50], names, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}" if names else ""


def column_missing(column: Column, present: list[str]) -> ExpressionError:
    """The error of a column that a row does not have."""
    return ExpressionError(f"there is no column [{column.name}]", _nearest(column.name, present), column.start)


def _number(token: _Token) -> Text:
    written = token.text
    if len(written) > _MAX_DIGITS:
        raise ExpressionError("the number has too many digits", 'write it as text, in "…"', token.start)
    if written[0] == "&":
        value: int | float | None = int(written[2:], 16)
        shown = str(value)
    else:
        shown = format(Decimal(written).normalize(), "f")
        value = number(shown)
    return Text(start=token.start, end=token.end, value=shown, number=value)


def _merged(nodes: Collection[Node | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(column for node in nodes if node is not None for column in node.columns))


def _completed(opened: _Open, node: Node) -> Node:
    """The argument that ends here: `node`, or the comparison whose right side it is."""
    if opened.operator is None or opened.left is None:
        return node
    left, operator = opened.left, opened.operator
    opened.left = opened.operator = None
    return Comparison(
        start=left.start,
        end=node.end,
        operator=operator.text,
        left=left,
        right=node,
        mode=_mode(left, node, operator),
        site=Site(
            function=f"the comparison {operator.text}",
            arguments=("left side", "right side"),
            columns=(left.columns, node.columns),
        ),
        depth=1 + max(left.depth, node.depth),
        constant=left.constant and node.constant,
        ignorable=left.ignorable or node.ignorable,
        columns=_merged((left, node)),
    )


def _mode(left: Node, right: Node, operator: _Token) -> ComparisonMode:
    kinds = {_kind(left), _kind(right)}
    if kinds >= {"number", "date"}:
        raise ExpressionError("a date cannot be compared with a number", "use DateDiff for a number", operator.start)
    if "number" in kinds:
        for side in (left, right):
            if isinstance(side, Text) and number(side.value) is None:
                raise ExpressionError("a number is compared with text that is none", "write a number", side.start)
        return "number"
    if "date" not in kinds:
        return "text"
    for side in (left, right):
        if isinstance(side, Text) and side.value:
            _check_date(side)
    return "date"


def _kind(node: Node) -> ComparisonMode:
    if isinstance(node, Text):
        return "text" if node.number is None else "number"
    if isinstance(node, Call):
        return "number" if node.name in NUMERIC else "date" if node.name in DATED else "text"
    return "text"


def _checked_call(opened: _Open, end: int, text: str, tables: Collection[str]) -> Call:
    signature = SIGNATURES[opened.name]
    arguments = tuple(opened.arguments)
    _check_arguments(signature, opened, arguments)
    call = Call(
        start=opened.start,
        end=end,
        name=opened.name,
        arguments=arguments,
        site=Site(
            function=opened.name,
            arguments=tuple(signature.parameter(index).name for index in range(len(arguments))),
            columns=tuple(() if argument is None else argument.columns for argument in arguments),
        ),
        depth=1 + max((argument.depth for argument in arguments if argument is not None), default=0),
        constant=opened.name not in ("Now", "Lookup") and all(one is None or one.constant for one in arguments),
        ignorable=_ignorable(opened.name, arguments),
        columns=_merged(arguments),
        plan=_plan(opened, arguments, text),
    )
    _check_values(call, tables)
    return call


def _ignorable(name: str, arguments: tuple[Node | None, ...]) -> bool:
    """Whether the call may be IGNORE. Coalesce passes it over, except in its last place."""
    if name == "IgnoreFlowIfNullOrEmpty":
        return True
    seen = arguments[-1:] if name == "Coalesce" else arguments
    return any(argument is not None and argument.ignorable for argument in seen)


def _check_arguments(signature: Signature, opened: _Open, arguments: tuple[Node | None, ...]) -> None:
    if not signature.accepts(len(arguments)):
        advice = f"write {signature.usage}"
        if signature.name == "Switch" and len(arguments) >= 3:
            raise ExpressionError(
                "Switch has a key without a value, or lacks its default",
                f"{advice}; leave the default empty as in Switch([Column], , key, value)",
                opened.start,
            )
        few = len(arguments) < signature.fewest or (signature.repeats and len(arguments) < len(signature.parameters))
        detail = "too few" if few else "too many"
        if not signature.parameters:
            advice, detail = f"write {signature.name}()", "too many"
        raise ExpressionError(f"{signature.name} has {detail} arguments ({len(arguments)})", advice, opened.start)
    for index, argument in enumerate(arguments):
        parameter = signature.parameter(index)
        if argument is None:
            if not parameter.optional:
                raise ExpressionError(
                    f"argument {index + 1} of {signature.name} ({parameter.name}) is empty",
                    f'write {signature.usage}; "" is empty text',
                    opened.start,
                )
        elif parameter.constant and not isinstance(argument, Text):
            raise ExpressionError(
                f"argument {index + 1} of {signature.name} ({parameter.name}) must be a constant",
                'write it as "…"',
                argument.start,
            )


def _check_values(call: Call, tables: Collection[str]) -> None:
    """What the constant arguments of a call must fulfil."""
    constants = [argument if isinstance(argument, Text) else None for argument in call.arguments]

    def constant(index: int) -> Text | None:
        return constants[index] if index < len(constants) else None

    if call.name in ("ToLower", "ToUpper") and (culture := constant(1)) is not None and not is_culture(culture.value):
        raise ExpressionError(
            f"'{culture.value[:40]}' is not the name of a culture",
            'write it as "tr-TR" or leave it empty',
            culture.start,
        )
    if (
        call.name in ("DateAdd", "DateDiff")
        and (interval := constant(0)) is not None
        and interval.value not in INTERVALS
    ):
        raise ExpressionError(
            f"'{interval.value[:40]}' is not an interval", f"write one of {', '.join(INTERVALS)}", interval.start
        )
    if call.name == "InStr" and (compare := constant(3)) is not None and compare.value not in COMPARE_TYPES:
        raise ExpressionError(
            f"'{compare.value[:40]}' is not a way to compare", f"write {' or '.join(COMPARE_TYPES)}", compare.start
        )
    if call.name == "Split" and (delimiter := constant(1)) is not None and not delimiter.value:
        raise ExpressionError("the delimiter of Split is empty", 'write a character, such as ","', delimiter.start)
    if call.name == "Lookup" and (table := constant(2)) is not None and table.value not in tables:
        known = _nearest(table.value, sorted(tables)) or "declare it under 'lookup' in the feed file"
        raise ExpressionError(f"there is no lookup table '{table.value[:100]}'", known, table.start)
    for name, index, lowest in (("Mid", 1, 1), ("Mid", 2, 0), ("Item", 1, 1), ("InStr", 2, 1)):
        if call.name == name and (whole := constant(index)) is not None:
            _check_whole(whole, call, index, lowest)
    for name, index in (("Left", 1), ("Word", 1), ("DateAdd", 1)):
        if call.name == name and (whole := constant(index)) is not None:
            _check_whole(whole, call, index, None)
    for name, index in (("DateAdd", 2), ("DateDiff", 1), ("DateDiff", 2)):
        if call.name == name and (date := constant(index)) is not None and date.value:
            _check_date(date)
    if call.name == "Switch":
        for key in call.arguments[2::2]:
            if key is not None and key.ignorable:
                advice = "put IgnoreFlowIfNullOrEmpty around a value or around the whole"
                raise ExpressionError("IgnoreFlowIfNullOrEmpty cannot make a key of Switch", advice, key.start)


def _check_date(argument: Text) -> None:
    if read_date(argument.value) is None:
        raise ExpressionError("the text is not a date", f"write it like {DATE_SHAPES}", argument.start)


def _check_whole(argument: Text, call: Call, index: int, lowest: int | None) -> None:
    found = number(argument.value)
    what = f"argument {index + 1} of {call.name} ({call.site.arguments[index]})"
    if not isinstance(found, int):
        raise ExpressionError(f"{what} is not a whole number", "write a number such as 3", argument.start)
    if lowest is not None and found < lowest:
        advice = "the first one is number 1" if lowest else "it cannot be negative"
        raise ExpressionError(f"{what} must be {lowest} or more", advice, argument.start)


def _plan(opened: _Open, arguments: tuple[Node | None, ...], text: str) -> Plan:
    if opened.name == "Replace":
        return _replacement(opened, arguments, text)
    if opened.name == "FormatDateTime":
        return _conversion(arguments, text)
    return None


_MODES: Final[dict[frozenset[int], ReplaceMode]] = {
    frozenset({1, 4}): "value",
    frozenset({1, 6}): "template",
    frozenset({2, 4}): "pattern",
    frozenset({2, 3, 4}): "group",
    frozenset({2, 3, 5}): "attribute",
}


def _replacement(opened: _Open, arguments: tuple[Node | None, ...], text: str) -> Replacement:
    given = frozenset(index for index, argument in enumerate(arguments) if index and argument is not None)
    mode = _MODES.get(given)
    if mode is None:
        raise ExpressionError(
            "Replace does not know what to do with these arguments",
            "give oldValue and replacementValue; oldValue and template; regexPattern and replacementValue;"
            " regexPattern, regexGroupName and replacementValue; or regexPattern, regexGroupName and"
            " replacementAttributeName",
            opened.start,
        )
    padded = [*arguments, *[None] * (7 - len(arguments))]
    old, written, group, value = padded[1], padded[2], padded[3], padded[4]
    if isinstance(old, Text) and not old.value:
        raise ExpressionError("the oldValue of Replace is empty", "write the text to look for", old.start)
    if not isinstance(written, Text):
        return Replacement(mode=mode)
    pattern = _pattern(written, text)
    name = ""
    if isinstance(group, Text):
        found = pattern.group(group.value)
        if found is None:
            advice = "name a group of the regular expression: (?<name>…)"
            raise ExpressionError(f"the regular expression has no group '{group.value[:40]}'", advice, group.start)
        name = found
    constant = None
    if mode == "pattern" and isinstance(value, Text):
        try:
            constant = substitution(value.value, pattern, strict=True)
        except PatternError as error:
            advice = "name a group of the pattern, or write $$ for a dollar sign"
            raise ExpressionError(error.message, advice, _inside(value, error.offset, text)) from None
    return Replacement(mode=mode, pattern=pattern, group=name, constant=constant)


def _pattern(node: Text, text: str) -> DotnetPattern:
    try:
        return dotnet_pattern(node.value)
    except PatternError as error:
        advice = "write a regular expression as .NET knows it"
        position = _inside(node, error.offset, text)
        raise ExpressionError(f"the regular expression is not valid: {error.message}", advice, position) from None


def _conversion(arguments: tuple[Node | None, ...], text: str) -> DateConversion | None:
    styles, source, target = arguments[1], arguments[2], arguments[3]
    for part in (source, target):
        if isinstance(part, Text):
            try:
                date_format(part.value)
            except FormatError as error:
                advice = "write a .NET date format such as yyyy-MM-dd"
                position = _inside(part, error.offset, text)
                raise ExpressionError(f"the date format is not valid: {error.message}", advice, position) from None
    if not isinstance(source, Text) or not isinstance(target, Text):
        return None
    try:
        return date_conversion(styles.value if isinstance(styles, Text) else None, source.value, target.value)
    except FormatError as error:
        # Both formats have been compiled: it is the styles, or the two formats together.
        where = styles if isinstance(styles, Text) and not error.message.startswith("the output") else target
        advice = (
            "the names are those of .NET's DateTimeStyles" if where is styles else "add the part to the input format"
        )
        raise ExpressionError(error.message, advice, where.start) from None


def _inside(node: Text, offset: int, text: str) -> int:
    """Where in the expression the character at `offset` of a string constant stands: an escape takes two."""
    if text[node.start] != '"':
        return node.start
    at = node.start + 1
    for _ in range(offset):
        if at >= node.end - 1:
            break
        at += 2 if text[at] == "\\" else 1
    return min(at, node.end - 1)


def _check_constants(root: Node) -> None:
    """Tries every part that reads no row: what would fail for each row fails now."""
    pending: list[Node] = [root]
    while pending:
        node = pending.pop()
        if node.constant and not isinstance(node, Text):
            try:
                evaluate(node, Surroundings())
            except ValueFault as fault:
                raise ExpressionError(f"{fault}, whatever the row", "correct this constant", node.start) from None
        elif not node.constant:
            pending.extend(child for child in children(node) if child is not None)
