import pytest

from connector.mapping.expressions.compiler import compile_expression
from connector.mapping.expressions.parser import MAX_DEPTH, MAX_LENGTH, Expression, looks_like_expression, parse
from connector.mapping.expressions.signatures import REFUSED

from .evaluated import LANDED, outcomes, refusal, value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[Email]", True),
        ('"constant"', True),
        ("Join(", True),
        ("Unknown(1)", True),
        ("Join (", True),
        ("  [Email]", True),
        ("Guid ()", True),
        ("Acme (Holding) GmbH", False),
        ("Employee", False),
        ("3 (three)", False),
        ("", False),
        ("contoso.com", False),
        ("join (", False),
    ],
)
def test_an_expression_is_told_from_a_constant_by_how_it_begins(text: str, expected: bool) -> None:
    assert looks_like_expression(text) is expected


def test_columns_are_listed_once_in_order_of_first_use() -> None:
    expression = parse('IIF([b] = [a], Join(" ", [c], [b]), Lookup([d], [e], "t"))', tables={"t"})
    assert (expression.columns, expression.tables, expression.constant) == (("b", "a", "c", "d", "e"), ("t",), False)


@pytest.mark.parametrize(
    ("text", "constant", "uses_now"),
    [('Append("a", "b")', True, False), ("Now()", False, True), ('Append("a", [b])', False, False), ("7", True, False)],
)
def test_constant_means_that_neither_row_nor_clock_is_read(text: str, constant: bool, uses_now: bool) -> None:
    expression = parse(text)
    assert (expression.constant, expression.uses_now) == (constant, uses_now)


def test_a_column_name_may_hold_anything_but_its_bracket() -> None:
    names = ("job.title", 'a"b', "x) = (y", " spaced ", "Größe, cm", "[nested", "\\", "{row}", "new\nline")
    for name in names:
        assert value(f'Append([{name}], "!")', **{name: "v"}) == "v!"


def test_white_space_between_tokens_means_nothing() -> None:
    assert value('\n Switch (\t[a] ,\r\n , "x" ,\u00a0"1" ) ', a="x") == "1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", "7"),
        ("-10", "-10"),
        ("&HF", "15"),
        ("&hff", "255"),
        ("1.50", "1.5"),
        ("0.5", "0.5"),
        ("007", "7"),
        ("2.0", "2"),
    ],
)
def test_a_number_travels_as_text_in_its_shortest_form(text: str, expected: str) -> None:
    assert value(text) == expected


def test_a_string_knows_two_escapes() -> None:
    assert value(r'"Company name: \\\"Contoso\\\""') == r"Company name: \"Contoso\""


ERRORS = [
    ("", 0, "the expression is empty", 'write [Column], "text" or Function(…)'),
    ('Append([a], "b', 12, "the string has no end", 'end it with ", and write \\" for a quote inside'),
    ("ToLower([a)", 8, "the column name has no end", "end it with ]"),
    ("ToLower([])", 8, "the column has no name", "write the name of a column between [ and ]"),
    (r'"a\d"', 2, r"'\d' is not an escape", 'write \\\\ for a backslash and \\" for a quote'),
    ("ToLowr([a])", 0, "there is no function 'ToLowr'", "did you mean ToLower?"),
    ("Append(tolower([a]), 1)", 7, "there is no function 'tolower'", "write ToLower: names are case-sensitive"),
    ("IsNullorEmpty([a])", 0, "there is no function 'IsNullorEmpty'", "write IsNullOrEmpty: names are case-sensitive"),
    ("ToLower([a]", 0, "the ( of ToLower is never closed", "add the missing )"),
    ("ToLower(", 0, "the ( of ToLower is never closed", "add the missing )"),
    ("ToLower([a]))", 12, "a ) too many", "take it away"),
    ("ToLower()", 0, "ToLower has too few arguments (0)", "write ToLower(source, culture)"),
    ("Now(1)", 0, "Now has too many arguments (1)", "write Now()"),
    ("Append([a],)", 0, "argument 2 of Append (suffix) is empty", 'write Append(source, suffix); "" is empty text'),
    (
        'Switch([a], "d", "k")',
        0,
        "Switch has a key without a value, or lacks its default",
        "write Switch(source, defaultValue, key, value, …); leave the default empty as in"
        " Switch([Column], , key, value)",
    ),
    ("[a] And [b]", 4, "there is no And in expressions", "nest one IIF in another"),
    ("[a] = [b] = [c]", 10, "a second comparison '=' in one condition", "nest IIF to combine conditions"),
    ("IIF([a] =, 1, 2)", 9, "',' stands where a value is needed", ""),
    ("[a] =", 5, "the expression ends too early", "a value is missing at the end"),
    ("= [a]", 0, "'=' stands where a value is needed", ""),
    ("([a])", 0, "'(' needs a function's name before it", "parentheses cannot group here"),
    ("Left([a], n)", 10, "'n' is neither text nor a column", 'write "n" for text or [n] for a column'),
    ("IIF(true, 1, 2)", 4, "true needs quotes", 'write "True"'),
    ("ToLower", 0, "ToLower is a function and needs its arguments in ( )", "write ToLower(…)"),
    (f"Left([a], {'1' * 5_000})", 10, "the number has too many digits", 'write it as text, in "…"'),
    (
        "Append(vbTextCompare, 1)",
        7,
        "'vbTextCompare' is neither text nor a column",
        'write "vbTextCompare" for text or [vbTextCompare] for a column',
    ),
    ("Left([a], 3x)", 10, "the number cannot be read", "write 7, -10, 1.5 or &HF"),
    ("ToLower([a] [b])", 12, "a comma or ) is missing", "the arguments of ToLower go on here"),
    ("IIF([a] = “x”, 1, 2)", 10, "“ does not quote here", 'use the straight double quote "'),
    (
        '"a" + "b"',
        4,
        "'+' is not an operator here",
        "use Append or Join to put texts together, and &HF for a hexadecimal number",
    ),
    ("IIF([a] != 1, 2, 3)", 8, "'!' is not an operator here", "write <> for unequal, and Not(…) for the opposite"),
    ("[a]\x00", 3, "'U+0000' has no meaning here", "texts need quotes, columns need [ ]"),
    ("ToLower([a], [b])", 13, "argument 2 of ToLower (culture) must be a constant", 'write it as "…"'),
    ('ToLower([a], "??")', 13, "'??' is not the name of a culture", 'write it as "tr-TR" or leave it empty'),
    ("Mid([a], 0, 1)", 9, "argument 2 of Mid (start) must be 1 or more", "the first one is number 1"),
    ("Mid([a], 1, -1)", 12, "argument 3 of Mid (length) must be 0 or more", "it cannot be negative"),
    ("Item([a], 0)", 10, "argument 2 of Item (index) must be 1 or more", "the first one is number 1"),
    ('Left([a], "x")', 10, "argument 2 of Left (numChars) is not a whole number", "write a number such as 3"),
    ('DateAdd("q", 1, [a])', 8, "'q' is not an interval", "write one of yyyy, m, d, ww, h, n, s"),
    ('InStr([a], "b", 1, "x")', 19, "'x' is not a way to compare", "write vbTextCompare or vbBinaryCompare"),
    ('Split([a], "")', 11, "the delimiter of Split is empty", 'write a character, such as ","'),
    ("CDate([a]) > 5", 11, "a date cannot be compared with a number", "use DateDiff for a number"),
    ('Count([a]) = "x"', 13, "a number is compared with text that is none", "write a number"),
    (
        'CBool("maybe")',
        0,
        "CBool: 'expression' is neither True nor False nor a number, whatever the row",
        "correct this constant",
    ),
    (
        'Switch([a], , IgnoreFlowIfNullOrEmpty([b]), "c")',
        14,
        "IgnoreFlowIfNullOrEmpty cannot make a key of Switch",
        "put IgnoreFlowIfNullOrEmpty around a value or around the whole",
    ),
    (
        'Replace([a], "b")',
        0,
        "Replace does not know what to do with these arguments",
        "give oldValue and replacementValue; oldValue and template; regexPattern and replacementValue; regexPattern,"
        " regexGroupName and replacementValue; or regexPattern, regexGroupName and replacementAttributeName",
    ),
    ('Replace([a], "", , , "b")', 13, "the oldValue of Replace is empty", "write the text to look for"),
]


@pytest.mark.parametrize(("text", "position", "message", "advice"), ERRORS)
def test_a_fault_is_named_with_its_place_and_what_to_write(text: str, position: int, message: str, advice: str) -> None:
    assert refusal(text) == (position, message, advice)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_cannot_be_deterministic_is_refused_with_the_alternative(name: str) -> None:
    reason, alternative = REFUSED[name]
    assert refusal(f'Join("-", [a], {name}(6))') == (15, f"{name} cannot be used: {reason}", alternative)


def test_an_unknown_lookup_table_is_refused_with_the_nearest_name() -> None:
    assert refusal('Lookup([a], , "citys")', tables=("cities", "countries")) == (
        14,
        "there is no lookup table 'citys'",
        "did you mean cities?",
    )
    assert refusal('Lookup([a], , "cities")')[2] == "declare it under 'lookup' in the feed file"


def nested(depth: int) -> str:
    return "ToLower(" * depth + "[a]" + ")" * depth


@pytest.mark.parametrize("depth", [50, MAX_DEPTH])
def test_deep_nesting_works(depth: int) -> None:
    assert value(nested(depth), a="ABC") == "abc"
    text = "[a]"
    for level in range(depth // 2):
        text = f'IIF([a] = "{level}", "no", Coalesce({text}, "x"))' if level % 2 else f'Join("-", {text}, "b", [c])'
    assert value(text, a="A", c="") == "A" + "-b" * -(-depth // 4)


def test_deeper_nesting_is_a_clear_error() -> None:
    for depth in (MAX_DEPTH + 1, 12_000):
        position, message, advice = refusal(nested(depth)[:MAX_LENGTH])
        assert (position, message) == (8 * MAX_DEPTH, "functions are nested more than 200 deep")
        assert advice == "use Switch or a lookup table instead of nesting"


def test_ten_thousand_characters_work_and_too_many_are_a_clear_error() -> None:
    pairs = ", ".join(f'"key {number}", Append([b], "{number}")' for number in range(400))
    text = f"Switch([a], , {pairs})"
    assert len(text) > 10_000
    assert value(text, a="key 399", b="v") == "v399"
    assert value(text, a="key", b="v") is None
    wide = f'Join(" ", {", ".join(["[a]"] * 5_000)})'
    assert value(wide, a="x") == " ".join(["x"] * 5_000)
    assert refusal(f'"{"x" * MAX_LENGTH}"') == (
        MAX_LENGTH,
        "the expression has 100,002 characters; 100,000 are the most",
        "use a lookup table",
    )


def test_nothing_in_an_expression_becomes_code() -> None:
    hostile = [
        "'+__import__('os').abort()+'",
        '");raise SystemExit(("',
        "\\x27",
        "{__import__('os')}",
        "'''",
        "x\n\r\u2028",
    ]
    for text in hostile:
        quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
        for form in (
            f"Join({quoted}, [a], [b], [c], {quoted})",
            f"Switch([a], {quoted}, {quoted}, [b])",
            f"Replace([a], {quoted}, , , {quoted})",
            f"IIF([a] = {quoted}, {quoted}, Append([a], {quoted}))",
            f"Coalesce([{text.replace(']', '')}], {quoted})",
        ):
            row = {"a": text, "b": "b", "c": "", text.replace("]", ""): ""}
            found = outcomes(parse(form), row)
            assert found == [found[0]] * len(found)
            assert isinstance(found[0], str)


def test_the_same_expression_gives_the_same_source() -> None:
    text = 'Join(" ", Switch([a], "x", "y", "z"), Trim([b]), FormatDateTime([c], , "yyyy", "yy"))'
    first, second = (compile_expression(parse(text), "abc", now=LANDED) for _ in range(2))
    assert first.__code__.co_code == second.__code__.co_code
    assert first.__code__.co_names == second.__code__.co_names


def test_expressions_are_equal_by_their_text() -> None:
    assert parse("[a]") == parse("[a]") != parse("[b]")
    assert repr(parse("[a]")) == "Expression(text='[a]', columns=('a',), constant=False)"
    assert isinstance(parse("[a]"), Expression)
