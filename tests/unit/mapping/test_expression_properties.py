"""Two implementations of the language, and what holds for whatever an author writes."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.mapping.expressions.expression_error import ExpressionError
from connector.mapping.expressions.parser import looks_like_expression, parse
from connector.mapping.expressions.signatures import SIGNATURES
from connector.mapping.expressions.values import Cell

from .evaluated import outcomes, value

TABLES = {"cities": {"": "nowhere", "a": "Aachen", "True": "Troy"}}
COLUMNS = ("a", "b", "c", "d")

words = st.one_of(
    st.sampled_from(
        ["", " ", "a", "A b", "True", "false", "0", "7", "-3", "2.5", "10", "2024-02-29", "3/16/2020 7:00:00 AM", "İıß",
         "Zoë", "x,y; z", "19000101", "é", "a.b", "A-b"]
    ),
    st.text(max_size=6),
)  # fmt: skip
cells = st.one_of(words, st.none(), st.lists(words, max_size=3))


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


leaves = st.one_of(
    st.sampled_from([f"[{name}]" for name in COLUMNS]),
    words.map(quoted),
    st.integers(-3, 12).map(str),
    st.sampled_from(["&HF", "1.5", "Now()"]),
)


FORMS = [
    "Append({}, {})", "Join({}, {})", 'Join("-", {}, {})', 'Join("", {}, "c", {}, {})', 'Join(", ", "x", {}, "y")',
    "Coalesce({})", "Coalesce({}, {}, {})", "IIF({}, {}, {})", "IIF({} = {}, {}, {})", "IIF({} < {}, {}, {})",
    "Not({})", "Not({} <> {})", "IsNull({})", "IsNullOrEmpty({})", "IsPresent({})", "IsString({})",
    "IgnoreFlowIfNullOrEmpty({})", 'Switch({}, {}, "a", {}, "", {})', 'Switch({}, , "a", "1", "True", "2")',
    'Switch({}, {}, "a", "1")', "Left({}, 2)", "Left({}, {})", "Mid({}, 2, 3)", "Mid({}, {}, {})",
    'Word({}, 2, ",; ")', "Word({}, {}, {})", "InStr({}, {})", "InStr({}, {}, 2, vbTextCompare)", "Item({}, 1)",
    "Item({}, {})", "Count({})", 'Split({}, ",")', "RemoveDuplicates({})", "ToLower({})", 'ToUpper({}, "tr-TR")',
    "ToUpper({})", "PCase({})", "PCase({}, {})", "StripSpaces({})", "Trim({})", "NormalizeDiacritics({})",
    'Replace({}, "a", , , "b")', "Replace({}, {}, , , {})", 'Replace({}, "a", , , , , "<a>")',
    'Replace({}, , "[a-z]", , {}, , )', 'Replace({}, , "(?<x>[a-z])\\\\s", "x", {}, , )',
    'Replace({}, , "(?<x>[a-z])", "x", , {}, )', 'FormatDateTime({}, , "yyyy-MM-dd", "d. MMMM yy")',
    'FormatDateTime({}, , {}, "yyyy")', "CDate({})", 'DateAdd("m", {}, {})', 'DateDiff("d", {}, {})',
    "DateFromNum({})", "NumFromDate({})", "CBool({})", "CStr({})", "BitAnd({}, {})", "ConvertToBase64({})",
    "ConvertToUTF8Hex({})", "Redact({})", 'Lookup({}, {}, "cities")', 'Lookup({}, , "cities")',
    "{} = {}", "{} >= 5", "Count({}) > 1", 'DateDiff("d", {}, Now()) <= 3', "CDate({}) < {}", "Count({}) = {}",
]  # fmt: skip


def written(draw: st.DrawFn, levels: int) -> str:
    if levels == 0 or draw(st.integers(0, 3)) == 0:
        return draw(leaves)
    form = draw(st.sampled_from(FORMS))
    return form.format(*[written(draw, levels - 1) for _ in range(form.count("{}"))])


# A comparison cannot stand right inside another: such texts are refused, which is fine too.
expressions = st.composite(written)(levels=3)
rows = st.fixed_dictionaries(dict.fromkeys(COLUMNS, cells))
text_rows = st.fixed_dictionaries(dict.fromkeys(COLUMNS, words))
thorough = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def agree(text: str, row: dict[str, Cell]) -> None:
    try:
        expression = parse(text, tables=TABLES)
    except ExpressionError as error:
        assert 0 <= error.position <= len(text)
        return
    found = outcomes(expression, row, TABLES)
    # Which of two faults is met first is left open.
    faults = [isinstance(one, tuple) for one in found]
    assert all(faults) or (not any(faults) and found == [found[0]] * len(found))


@thorough
@given(expressions, rows)
def test_generated_source_and_interpreter_agree(text: str, row: dict[str, Cell]) -> None:
    agree(text, row)


@thorough
@given(expressions, text_rows)
def test_they_agree_on_rows_of_text_too(text: str, row: dict[str, Cell]) -> None:
    agree(text, row)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(FORMS), min_size=13, max_size=60), st.data(), rows)
def test_they_agree_however_deep(forms: list[str], data: st.DataObject, row: dict[str, Cell]) -> None:
    text = "[a]"
    for form in forms:
        others = [
            data.draw(st.sampled_from(["[b]", '"a"', "2", 'Lookup([c], , "cities")'])) for _ in range(form.count("{}"))
        ]
        deeper = form.format(text, *others[1:])
        try:
            parse(deeper, tables=TABLES)
        except ExpressionError:
            continue
        text = deeper
    agree(text, row)


tokens = st.sampled_from(
    [
        *SIGNATURES,
        "(",
        ")",
        ",",
        " ",
        "[a]",
        '"x"',
        "=",
        "<>",
        "<",
        "7",
        "-",
        "&HF",
        "[",
        "]",
        '"',
        "\\",
        "Guid",
        "True",
        "\n",
    ]
)


@settings(max_examples=500, deadline=None)
@given(st.one_of(st.text(), st.lists(tokens, max_size=20).map("".join)))
def test_any_text_is_an_expression_or_an_expression_error(text: str) -> None:
    looks_like_expression(text)
    try:
        expression = parse(text, tables=TABLES)
    except ExpressionError as error:
        assert 0 <= error.position <= len(text)
        assert error.message
    else:
        assert expression.text == text


@given(st.text(max_size=5), st.lists(st.one_of(st.text(max_size=4), st.none()), min_size=1, max_size=5))
def test_join_is_the_join_of_what_is_not_empty(separator: str, parts: list[str | None]) -> None:
    row = {f"c{index}": part for index, part in enumerate(parts)}
    text = f"Join({quoted(separator)}, {', '.join(f'[{name}]' for name in row)})"
    assert value(text, **row) == separator.join(part for part in parts if part)


@given(st.text(max_size=3), st.dictionaries(st.text(max_size=3), st.text(max_size=3), min_size=1, max_size=6))
def test_switch_is_a_dictionary(source: str, table: dict[str, str]) -> None:
    pairs = ", ".join(f"{quoted(key)}, {quoted(one)}" for key, one in table.items())
    assert value(f"Switch([s], , {pairs})", s=source) == table.get(source)
    as_columns = {f"c{index}": one for index, one in enumerate(table.values())}
    pairs = ", ".join(f"{quoted(key)}, [{name}]" for key, name in zip(table, as_columns, strict=True))
    assert value(f'Switch([s], "else", {pairs})', s=source, **as_columns) == table.get(source, "else")


@given(
    words, st.lists(st.sampled_from(["ToLower", "Trim", "StripSpaces", "NormalizeDiacritics"]), min_size=1, max_size=4)
)
def test_cleaning_twice_is_cleaning_once(source: str, functions: list[str]) -> None:
    text = "[s]"
    for function in functions:
        text = f"{function}({text})"
    once = value(text, s=source)
    assert isinstance(once, str)
    last = functions[-1]
    assert value(f"{last}([s])", s=once) == once
