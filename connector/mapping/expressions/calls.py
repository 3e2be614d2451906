"""One call of a function, checked: its arguments' number, which must be constants, and what constants must fulfil.

What can be compiled before a row is seen (formats, patterns) is compiled here and kept in the call's plan.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from connector.mapping.dotnet.dates import FormatError, date_format
from connector.mapping.dotnet.faults import PatternError
from connector.mapping.expressions.casing import is_culture
from connector.mapping.expressions.date_functions import INTERVALS, DateConversion, date_conversion
from connector.mapping.expressions.expression_error import ExpressionError, nearest
from connector.mapping.expressions.functions import COMPARE_TYPES
from connector.mapping.expressions.interpreter import Surroundings, evaluate
from connector.mapping.expressions.plain_dates import DATE_SHAPES, read_date
from connector.mapping.expressions.replacement import Replacement, ReplaceMode
from connector.mapping.expressions.signatures import SIGNATURES, Signature
from connector.mapping.expressions.syntax import Call, Node, Plan, Text, children, merged_columns
from connector.mapping.expressions.values import Site, ValueFault, number

if TYPE_CHECKING:
    from connector.mapping.dotnet.pattern import DotnetPattern


def checked_call(
    name: str, arguments: tuple[Node | None, ...], *, start: int, end: int, text: str, tables: Collection[str]
) -> Call:
    """The call of a known function that stands in `text` from `start` to `end`. Raises ExpressionError."""
    signature = SIGNATURES[name]
    _check_arguments(signature, start, arguments)
    call = Call(
        start=start,
        end=end,
        name=name,
        arguments=arguments,
        site=Site(
            function=name,
            arguments=tuple(signature.parameter(index).name for index in range(len(arguments))),
            columns=tuple(() if argument is None else argument.columns for argument in arguments),
        ),
        depth=1 + max((argument.depth for argument in arguments if argument is not None), default=0),
        constant=name not in ("Now", "Lookup") and all(one is None or one.constant for one in arguments),
        ignorable=_ignorable(name, arguments),
        columns=merged_columns(arguments),
        plan=_plan(name, start, arguments, text),
    )
    _check_values(call, tables)
    return call


def _ignorable(name: str, arguments: tuple[Node | None, ...]) -> bool:
    """Whether the call may be IGNORE. Coalesce passes it over, except in its last place."""
    if name == "IgnoreFlowIfNullOrEmpty":
        return True
    seen = arguments[-1:] if name == "Coalesce" else arguments
    return any(argument is not None and argument.ignorable for argument in seen)


def _check_arguments(signature: Signature, start: int, arguments: tuple[Node | None, ...]) -> None:
    if not signature.accepts(len(arguments)):
        advice = f"write {signature.usage}"
        if signature.name == "Switch" and len(arguments) >= 3:
            raise ExpressionError(
                "Switch has a key without a value, or lacks its default",
                f"{advice}; leave the default empty as in Switch([Column], , key, value)",
                start,
            )
        few = len(arguments) < signature.fewest or (signature.repeats and len(arguments) < len(signature.parameters))
        detail = "too few" if few else "too many"
        if not signature.parameters:
            advice, detail = f"write {signature.name}()", "too many"
        raise ExpressionError(f"{signature.name} has {detail} arguments ({len(arguments)})", advice, start)
    for index, argument in enumerate(arguments):
        parameter = signature.parameter(index)
        if argument is None:
            if not parameter.optional:
                raise ExpressionError(
                    f"argument {index + 1} of {signature.name} ({parameter.name}) is empty",
                    f'write {signature.usage}; "" is empty text',
                    start,
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
        known = nearest(table.value, sorted(tables)) or "declare it under 'lookup' in the feed file"
        raise ExpressionError(f"there is no lookup table '{table.value[:100]}'", known, table.start)
    for name, index, lowest in (("Mid", 1, 1), ("Mid", 2, 0), ("Item", 1, 1), ("InStr", 2, 1)):
        if call.name == name and (whole := constant(index)) is not None:
            _check_whole(whole, call, index, lowest)
    for name, index in (("Left", 1), ("Word", 1), ("DateAdd", 1)):
        if call.name == name and (whole := constant(index)) is not None:
            _check_whole(whole, call, index, None)
    for name, index in (("DateAdd", 2), ("DateDiff", 1), ("DateDiff", 2)):
        if call.name == name and (date := constant(index)) is not None and date.value:
            check_date(date)
    if call.name == "Switch":
        for key in call.arguments[2::2]:
            if key is not None and key.ignorable:
                advice = "put IgnoreFlowIfNullOrEmpty around a value or around the whole"
                raise ExpressionError("IgnoreFlowIfNullOrEmpty cannot make a key of Switch", advice, key.start)


def check_date(argument: Text) -> None:
    """Raises ExpressionError unless the text is a date."""
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


def _plan(name: str, start: int, arguments: tuple[Node | None, ...], text: str) -> Plan:
    if name == "Replace":
        return _replacement(start, arguments, text)
    if name == "FormatDateTime":
        return _conversion(arguments, text)
    return None


_MODES: Final[dict[frozenset[int], ReplaceMode]] = {
    frozenset({1, 4}): "value",
    frozenset({1, 6}): "template",
    frozenset({2, 4}): "pattern",
    frozenset({2, 3, 4}): "group",
    frozenset({2, 3, 5}): "attribute",
}


def _replacement(start: int, arguments: tuple[Node | None, ...], text: str) -> Replacement:
    given = frozenset(index for index, argument in enumerate(arguments) if index and argument is not None)
    mode = _MODES.get(given)
    if mode is None:
        raise ExpressionError(
            "Replace does not know what to do with these arguments",
            "give oldValue and replacementValue; oldValue and template; regexPattern and replacementValue;"
            " regexPattern, regexGroupName and replacementValue; or regexPattern, regexGroupName and"
            " replacementAttributeName",
            start,
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
            constant = pattern.substitution(value.value, strict=True)
        except PatternError as error:
            advice = "name a group of the pattern, or write $$ for a dollar sign"
            raise ExpressionError(error.message, advice, _inside(value, error.offset, text)) from None
    return Replacement(mode=mode, pattern=pattern, group=name, constant=constant)


def _pattern(node: Text, text: str) -> DotnetPattern:
    # Here and not above: few feeds have a pattern, and its engine takes a tenth of a small command's time to load.
    from connector.mapping.dotnet.pattern import dotnet_pattern

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


def check_constants(root: Node) -> None:
    """Tries every part that reads no row: what would fail for each row fails now. Raises ExpressionError."""
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
