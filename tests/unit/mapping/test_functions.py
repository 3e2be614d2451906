import pytest

from connector.mapping.expressions.functions import COMPARE_TYPES
from connector.mapping.expressions.values import IGNORE, Cell, Value, ValueFault, number

from .evaluated import fault, value

CASES: list[tuple[str, dict[str, Cell], Value]] = [
    # Append and Join
    ("Append([a], [b])", {"a": None, "b": "x"}, "x"),
    ("Append([a], [b])", {"a": "x", "b": None}, "x"),
    ('Join(", ", "", "a")', {}, "a"),
    ('Join("-", [a], [b], [c])', {"a": "x", "b": "", "c": None}, "x"),
    ('Join("-", [a], [b], "z")', {"a": ["x", "", "y"], "b": None}, "x-y-z"),
    ('Join("-", [a], [b])', {"a": ["x"], "b": ["y", "z"]}, "x-y-z"),
    ('Join([s], "a", "b")', {"s": "+"}, "a+b"),
    ('Join("", [a], 1000)', {"a": "x"}, "x1000"),
    ('Join("@", [a], "contoso.com")', {"a": ""}, "contoso.com"),
    ('Join(".", "x", [a], "y")', {"a": ""}, "x.y"),
    ('Join(".", [a], [b])', {"a": "", "b": ""}, ""),
    # Coalesce and the tests for presence
    ('Coalesce([a], [b], "c")', {"a": "", "b": None}, "c"),
    ("Coalesce([a], [b])", {"a": None, "b": None}, None),
    ('Coalesce([a], "")', {"a": None}, ""),
    ("Coalesce([a], [b])", {"a": [], "b": ["x"]}, ["x"]),
    ("IsNull([a])", {"a": ""}, "True"),
    ("IsNull([a])", {"a": " "}, "False"),
    ("IsNullOrEmpty([a])", {"a": []}, "True"),
    ("IsPresent([a])", {"a": "x"}, "True"),
    ("IsPresent(Not([a]))", {"a": "True"}, "True"),
    ("IsString([a])", {"a": "x"}, "True"),
    ("IsString([a])", {"a": None}, "False"),
    ("IsString([a])", {"a": ["x"]}, "False"),
    ("IsString(7)", {}, "True"),
    # IGNORE
    ("IgnoreFlowIfNullOrEmpty([a])", {"a": ""}, IGNORE),
    ("IgnoreFlowIfNullOrEmpty([a])", {"a": None}, IGNORE),
    ("IgnoreFlowIfNullOrEmpty([a])", {"a": ["x"]}, ["x"]),
    ('Append(IgnoreFlowIfNullOrEmpty([a]), ".test")', {"a": ""}, IGNORE),
    ('Append(IgnoreFlowIfNullOrEmpty([a]), ".test")', {"a": "x"}, "x.test"),
    ('IIF([b] = "1", IgnoreFlowIfNullOrEmpty([a]), "no")', {"a": "", "b": "1"}, IGNORE),
    ('IIF([b] = "1", IgnoreFlowIfNullOrEmpty([a]), "no")', {"a": "", "b": "2"}, "no"),
    ('Coalesce(IgnoreFlowIfNullOrEmpty([a]), "next")', {"a": ""}, "next"),
    ('Coalesce([b], IgnoreFlowIfNullOrEmpty([a]))', {"a": "", "b": ""}, IGNORE),
    ('IgnoreFlowIfNullOrEmpty([a]) = "x"', {"a": ""}, IGNORE),
    ('[b] <> IgnoreFlowIfNullOrEmpty([a])', {"a": "", "b": "x"}, IGNORE),
    ('IgnoreFlowIfNullOrEmpty([a]) = "x"', {"a": "x"}, "True"),
    ('IIF(IgnoreFlowIfNullOrEmpty([a]), "yes", "no")', {"a": ""}, IGNORE),
    ('Switch(IgnoreFlowIfNullOrEmpty([a]), "d", "", "empty")', {"a": ""}, IGNORE),
    ("IsNull(IgnoreFlowIfNullOrEmpty([a]))", {"a": ""}, IGNORE),
    ("IsPresent(IgnoreFlowIfNullOrEmpty([a]))", {"a": "x"}, "True"),
    ("Append(CDate([b]), IgnoreFlowIfNullOrEmpty([a]))", {"a": "", "b": "no date"}, IGNORE),
    ("Append(IgnoreFlowIfNullOrEmpty([a]), CDate([b]))", {"a": "", "b": "no date"}, IGNORE),
    ("IgnoreFlowIfNullOrEmpty([a]) = CDate([b])", {"a": "", "b": "no date"}, IGNORE),
    # Conditions
    ('IIF([a] = "007", "same", "other")', {"a": "7"}, "other"),
    ('IIF([a] = 7, "same", "other")', {"a": "007"}, "same"),
    ('IIF([a] = 7, "same", "other")', {"a": "8"}, "other"),
    ('IIF([a] = 7, "same", "other")', {"a": ""}, "other"),
    ('IIF([a] = DateDiff("d", Now(), [d]), "same", "other")', {"a": "x", "d": ""}, "other"),
    ('IIF([a] <> 7, "other", "same")', {"a": "seven"}, "other"),
    ('IIF([a] > "9", "more", "less")', {"a": "10"}, "more"),
    ('IIF([a] < "b", "before", "after")', {"a": "aa"}, "before"),
    ('IIF([a] >= 2.5, "yes", "no")', {"a": "2.50"}, "yes"),
    ('IIF([a] <= -1, "yes", "no")', {"a": "-1"}, "yes"),
    ('IIF(Count([a]) > 1, "many", "few")', {"a": ["x", "y"]}, "many"),
    ('IIF([a] = [b], "same", "other")', {"a": None, "b": ""}, "same"),
    ('IIF([a] = "USA", "same", "other")', {"a": "usa"}, "other"),
    ('IIF(CDate([a]) < [b], "before", "after")', {"a": "2024-12-31", "b": "2025-01-01"}, "before"),
    ('IIF(CDate([a]) = "2024-12-31T00:00:00Z", "same", "other")', {"a": "12/31/2024"}, "same"),
    ('IIF(CDate([a]) = [b], "same", "other")', {"a": "", "b": " "}, "same"),
    ('IIF(CDate([a]) = [b], "same", "other")', {"a": "2024-12-31", "b": ""}, "other"),
    ('IIF(CDate([a]) <> [b], "other", "same")', {"a": "", "b": "2024-12-31"}, "other"),
    ('IIF([a], "yes", "no")', {"a": "TRUE"}, "yes"),
    ('IIF([a], "yes", "no")', {"a": "0"}, "no"),
    ('IIF(BitAnd([a], 2), "off", "on")', {"a": "514"}, "off"),
    ('[a] = "x"', {"a": "x"}, "True"),
    ('Not([a] = "x")', {"a": "x"}, "False"),
    ("Not([a])", {"a": "false"}, "True"),
    ("Not([a])", {"a": " TRUE "}, "False"),
    ("Not([a])", {"a": "anything"}, "True"),
    ("Not([a])", {"a": None}, "True"),
    ("CBool([a])", {"a": "1"}, "True"),
    ("CBool([a])", {"a": "false"}, "False"),
    # Switch and Lookup
    ('Switch([a], "d", "x", "1", "X", "2")', {"a": "X"}, "2"),
    ('Switch([a], "d", "x", "1", "x", "2")', {"a": "x"}, "1"),
    ('Switch([a], , "x", "1")', {"a": "y"}, None),
    ('Switch([a], [b], "x", "1")', {"a": "y", "b": ["p"]}, ["p"]),
    ('Switch([a], "d", "", "empty")', {"a": None}, "empty"),
    ('Switch([a], "d", [b], "first", [c], "second")', {"a": "k", "b": "x", "c": "k"}, "second"),
    ('Switch([a], "d", 1, "one")', {"a": "1"}, "one"),
    # Pieces of text
    ("Left([a], 0)", {"a": "abc"}, ""),
    ("Left([a], -1)", {"a": "abc"}, "abc"),
    ("Left([a], 9)", {"a": "abc"}, "abc"),
    ("Left([a], 3)", {"a": None}, ""),
    ("Left([a], [n])", {"a": "abc", "n": " 2 "}, "ab"),
    ("Mid([a], 2, 9)", {"a": "abc"}, "bc"),
    ("Mid([a], 9, 2)", {"a": "abc"}, ""),
    ("Mid([a], 1, 1)", {"a": None}, None),
    ("Mid([a], [n], [m])", {"a": "abc", "n": "1", "m": "0"}, ""),
    ("Mid([a], [n], [m])", {"a": "abc", "n": "2", "m": "1"}, "b"),
    ("Mid([a], [n], 1)", {"a": "abc", "n": "3"}, "c"),
    ('Word([a], 2, ", ")', {"a": "Doe, John"}, "John"),
    ('Word([a], 1, " ")', {"a": " John Doe"}, "John"),
    ('Word([a], 0, " ")', {"a": "Doe"}, ""),
    ('Word([a], 2, " ")', {"a": "Doe"}, ""),
    ('Word([a], 1, "^]-")', {"a": "a-b]c^d"}, "a"),
    ('Word([a], 4, "^]-")', {"a": "a-b]c^d"}, "d"),
    ('Word([a], 2, ", ")', {"a": "a\\bX c"}, "c"),
    ("Word([a], 1, [d])", {"a": "Doe, John", "d": ""}, "Doe, John"),
    ("Word([a], 2, [d])", {"a": "Doe, John", "d": ""}, ""),
    ('Word([a], 1, " ")', {"a": None}, ""),
    ('InStr([a], "b")', {"a": "abc"}, "2"),
    ('InStr([a], "x")', {"a": "abc"}, "0"),
    ('InStr([a], "B", 1, vbTextCompare)', {"a": "abc"}, "2"),
    ('InStr([a], "B", , "vbBinaryCompare")', {"a": "abc"}, "0"),
    ('InStr([a], "a", 2)', {"a": "abca"}, "4"),
    ('InStr([a], "a", 9, vbTextCompare)', {"a": "abca"}, "0"),
    ('InStr([a], "a", [n])', {"a": "abca", "n": "1"}, "1"),
    ('InStr([a], "a", [n])', {"a": "abca", "n": None}, "1"),
    ('InStr([a], "A", [n], [c])', {"a": "abca", "n": "2", "c": "vbTextCompare"}, "4"),
    ('InStr([a], "A", 1, [c])', {"a": "abca", "c": ""}, "0"),
    ("StripSpaces([a])", {"a": " a b\u00a0c "}, "ab\u00a0c"),
    ("Trim([a])", {"a": " \ta b\n"}, "a b"),
    ("Trim([a])", {"a": None}, None),
    ("StripSpaces([a])", {"a": None}, None),
    ("ToLower([a])", {"a": None}, None),
    ('ToLower([a], "tr-TR")', {"a": None}, None),
    ("ToUpper([a])", {"a": None}, None),
    ('ToUpper([a], "tr-TR")', {"a": None}, None),
    ("PCase([a])", {"a": None}, None),
    ("PCase([a], [s])", {"a": None, "s": "-"}, None),
    ("NormalizeDiacritics([a])", {"a": None}, None),
    ("ConvertToBase64([a])", {"a": None}, None),
    # Lists
    ('Split([a], ",")', {"a": "x, ,y,"}, ["x", "", "y", ""]),
    ('Split([a], "||")', {"a": " x |||y "}, ["x", "|y"]),
    ('Split([a], "; ")', {"a": "x; y"}, ["x", "y"]),
    ('Split([a], ",")', {"a": ""}, []),
    ('Split([a], ",")', {"a": None}, None),
    ('Item(Split([a], ","), 2)', {"a": "x, y"}, "y"),
    ('Item(Split([a], ","), 3)', {"a": "x, y"}, None),
    ("Item([a], [n])", {"a": ["x", "y"], "n": "1"}, "x"),
    ("Item([a], 1)", {"a": ""}, None),
    ("Item([a], 1)", {"a": "one text"}, "one text"),
    ("Count([a])", {"a": ["x", "y"]}, "2"),
    ("Count([a])", {"a": ""}, "0"),
    ("Count([a])", {"a": "x"}, "1"),
    ('Join("|", RemoveDuplicates(Split([a], ",")))', {"a": "b,a,b"}, "b|a"),
    ("RemoveDuplicates([a])", {"a": "x"}, "x"),
    ("RemoveDuplicates([a])", {"a": ""}, ""),
    ("RemoveDuplicates([a])", {"a": None}, None),
    # Conversions
    ("BitAnd([a], [b])", {"a": "12", "b": "10"}, "8"),
    ("BitAnd([a], 1)", {"a": ""}, None),
    ("BitAnd(1, [a])", {"a": ""}, None),
    ("CStr([a])", {"a": None}, None),
    ("CStr(Not([a]))", {"a": "True"}, "False"),
    ("ConvertToBase64([a])", {"a": "é"}, "6QA="),
    ("ConvertToUTF8Hex([a])", {"a": "é"}, "C3A9"),
    ("ConvertToUTF8Hex([a])", {"a": None}, None),
    ("Redact([a])", {"a": ["x"]}, ["x"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "row", "expected"), CASES)
def test_a_function_means_what_the_reference_says(text: str, row: dict[str, Cell], expected: Value) -> None:
    assert value(text, **row) == expected


@pytest.mark.parametrize("start", range(1, 8))
@pytest.mark.parametrize("part", ["", "a", "ab", "c", "abca"])
def test_text_compare_finds_the_same_as_binary_compare_where_case_is_the_same(part: str, start: int) -> None:
    both = [value(f"InStr([a], [p], {start}, {kind})", a="abca", p=part) for kind in COMPARE_TYPES]
    assert both == [str("abca".find(part, start - 1) + 1)] * 2


REPLACEMENTS: list[tuple[str, dict[str, Cell], Value]] = [
    ('Replace([a], "x", , , "y")', {"a": "xXx"}, "yXy"),
    ("Replace([a], [o], , , [n])", {"a": "abc", "o": "", "n": "x"}, "abc"),
    ('Replace([a], "x", , , "y")', {"a": None}, None),
    ('Replace([a], "<n>", , , , , "<n>-<n>")', {"a": "7"}, "7-7"),
    ('Replace([a], "<n>", , , , , [t])', {"a": None, "t": "<n>!"}, "!"),
    ('Replace([a], [o], , , , , "<n>!")', {"a": "7", "o": ""}, "<n>!"),
    ('Replace([a], , "(\\\\w+) (?<last>\\\\w+)", , "${last}, $1", , )', {"a": "John Doe"}, "Doe, John"),
    ('Replace([a], , "(?<x>o)(h)", , "$1|$2|$$|$&", , )', {"a": "oh"}, "h|o|$|oh"),
    ('Replace([a], , "a", , [v], , )', {"a": "a1a", "v": "$0$0$9"}, "aa$91aa$9"),
    ('Replace([a], , "a*", , "-", , )', {"a": "baac"}, "-b--c-"),
    ('Replace([a], , "(?<d>[0-9])x", "d", "#", , )', {"a": "1x2y3x"}, "#x2y#x"),
    ('Replace([a], , "(?:(?<d>[0-9])-?)+", "d", "#", , )', {"a": "1-23"}, "#-##"),
    ('Replace([a], , "(?<d>[0-9])x", "d", "$&", , )', {"a": "1x"}, "$&x"),
    ('Replace([a], , "(?<=(?<d>[0-9]))x", "d", "#", , )', {"a": "1x"}, "1x"),
    ('Replace([a], , "x(?=(?<d>[0-9]))", "d", "#", , )', {"a": "x1"}, "x1"),
    ('Replace([a], , "(?:(?=(?<d>[0-9]{2}))[0-9])+[0-9]", "d", "#", , )', {"a": "1234"}, "##"),
    ('Replace([a], , "..(?<=(?<d>.)(?<d>.))", "d", "#", , )', {"a": "xy"}, "##"),
    ('Replace([a], , "(?<d>[0-9]+)", "d", , [b], )', {"a": "own", "b": "n12"}, "own"),
    ('Replace([a], , "(?<d>[0-9]+)", "d", , [b], )', {"a": None, "b": "n12"}, "12"),
    ('Replace([a], , "(?<d>[0-9]+)", "d", , [b], )', {"a": "", "b": "none"}, None),
    ('Replace([a], , "(?<d>[0-9]*)", "d", , [b], )', {"a": "", "b": ""}, None),
    ('Replace([a], , "x*", , "y", , )', {"a": None}, None),
    ('Replace([a], , "(?<d>x*)", "d", "y", , )', {"a": None}, None),
]


@pytest.mark.parametrize(("text", "row", "expected"), REPLACEMENTS)
def test_replace_has_five_modes(text: str, row: dict[str, Cell], expected: Value) -> None:
    assert value(text, **row) == expected


@pytest.mark.parametrize(
    ("text", "row", "argument"),
    [
        ('Replace([a], "x", , , "y")', {"a": ["p"]}, "source"),
        ('Replace([a], [b], , , "y")', {"a": "x", "b": ["p"]}, "oldValue"),
        ('Replace([a], "x", , , [b])', {"a": "x", "b": ["p"]}, "replacementValue"),
        ('Replace([a], [b], , , , , "<n>")', {"a": "x", "b": ["p"]}, "oldValue"),
        ('Replace([a], "<n>", , , , , [b])', {"a": "x", "b": ["p"]}, "template"),
        ('Replace([a], , "x", , [b], , )', {"a": "x", "b": ["p"]}, "replacementValue"),
        ('Replace([a], , "(?<d>x)", "d", , [b], )', {"a": "", "b": ["p"]}, "replacementAttributeName"),
    ],
)
def test_replace_names_the_argument_that_has_several_values(text: str, row: dict[str, Cell], argument: str) -> None:
    found = fault(text, **row)
    assert (found.argument, found.columns) == (argument, ("a",) if argument == "source" else ("b",))


def test_lookup_is_a_switch_over_a_table() -> None:
    tables = {"cities": {"B": "Berlin", "": "none"}}
    assert value('Lookup(IgnoreFlowIfNullOrEmpty([a]), "else", "cities")', tables, a="") is IGNORE
    forms = ('Lookup([a], , "cities")', 'Lookup([a], "else", "cities")', 'Lookup([a], Append([a], "?"), "cities")')
    found = [[value(form, tables, a=key) for form in forms] for key in ("B", "b", "", None)]
    assert found == [["Berlin"] * 3, [None, "else", "b?"], ["none"] * 3, ["none"] * 3]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("7", "7"), ("+7", "7"), ("-7", "-7"), (" 7\t", "7"), ("007", "7"), ("7.", "7"), ("7.0", "7"), ("7.50", "7.5"),
     ("-0.25", "-0.25"), ("-7.00", "-7"), ("9" * 40, "9" * 40), ("9" * 41, "None"), ("1." + "0" * 40, "1"),
     ("1." + "0" * 41, "None"), (".5", "None"), ("1e3", "None"), ("1,000", "None"), ("1 000", "None"), ("٧", "None"),
     ("", "None"), ("-", "None"), ("--1", "None"), ("0x7", "None")],
)  # fmt: skip
def test_a_number_is_read_in_the_invariant_culture(text: str, expected: str) -> None:
    assert repr(number(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("True", "yes"), (" tRUE ", "yes"), ("False", "no"), ("FALSE\n", "no"), ("1", "yes"), ("-1", "yes"),
     ("0.5", "yes"), ("0", "no"), ("0.0", "no"), (" -0 ", "no")],
)  # fmt: skip
def test_a_condition_is_true_or_false_or_a_number(text: str, expected: str) -> None:
    assert value('IIF([a], "yes", "no")', a=text) == expected
    assert value("CBool([a])", a=text) == {"yes": "True", "no": "False"}[expected]


@pytest.mark.parametrize(
    ("left", "right", "order"),
    [("9", "10", -1), ("10", "9", 1), ("2.50", "2.5", 0), ("-1", "-2", 1), ("a", "b", -1), ("b", "a", 1), ("a", "a", 0),
     ("10", "9a", -1), ("9a", "10", 1), ("a", "B", 1)],
)  # fmt: skip
def test_text_is_ordered_by_number_where_both_sides_are_one(left: str, right: str, order: int) -> None:
    assert orders("[a] {} [b]", a=left, b=right) == order


@pytest.mark.parametrize(("left", "order"), [("6", -1), ("6.99", -1), ("7.0", 0), ("007", 0), ("7.01", 1), ("10", 1)])
def test_what_is_compared_with_a_number_is_ordered_by_size(left: str, order: int) -> None:
    assert (orders("[a] {} 7", a=left), orders("7 {} [a]", a=left)) == (order, -order)


@pytest.mark.parametrize(
    ("left", "order"),
    [("2024-12-31", -1), ("1/1/2025", 0), ("2025-01-01T01:00:00+01:00", 0), ("2025-01-01T00:00:00.0000001", 1),
     ("2024-12-31T23:59:59.9999999", -1), ("1 Feb 2025", 1)],
)  # fmt: skip
def test_what_is_compared_with_a_date_is_ordered_by_time(left: str, order: int) -> None:
    found = [orders(form, a=left, b="2025-01-01") for form in ("[a] {} CDate([b])", "CDate([b]) {} [a]")]
    assert found == [order, -order]


def orders(form: str, **row: Cell) -> int:
    """-1, 0 or 1, as the four comparisons by size say in agreement."""
    signs = {("True", "True", "False", "False"): -1, ("False", "True", "False", "True"): 0}
    signs["False", "False", "True", "True"] = 1
    first, second, third, fourth = (str(value(form.format(operator), **row)) for operator in ("<", "<=", ">", ">="))
    return signs[first, second, third, fourth]


SINGLE: list[tuple[str, str, str, dict[str, Cell]]] = [
    ("Append([a], [b])", "Append", "source suffix", {"a": "x", "b": "y"}),
    ("BitAnd([a], [b])", "BitAnd", "value1 value2", {"a": "1", "b": "2"}),
    ("CBool([a])", "CBool", "expression", {"a": "1"}),
    ("CDate([a])", "CDate", "expression", {"a": "2024-01-31"}),
    ("CStr([a])", "CStr", "value", {"a": "x"}),
    ("ConvertToBase64([a])", "ConvertToBase64", "source", {"a": "x"}),
    ("ConvertToUTF8Hex([a])", "ConvertToUTF8Hex", "source", {"a": "x"}),
    ("DateAdd([a], [b], [c])", "DateAdd", "interval value dateTime", {"a": "d", "b": "1", "c": "2024-01-31"}),
    ("DateDiff([a], [b], [c])", "DateDiff", "interval date1 date2", {"a": "d", "b": "2024-01-31", "c": "2024-01-31"}),
    ("DateFromNum([a])", "DateFromNum", "value", {"a": "1"}),
    (
        "FormatDateTime([a], , [b], [c])",
        "FormatDateTime",
        "source inputFormat outputFormat",
        {"a": "2024", "b": "yyyy", "c": "yy"},
    ),
    ('FormatDateTime([a], , "yyyy", "yy")', "FormatDateTime", "source", {"a": "2024"}),
    ('IIF([a], "x", "y")', "IIF", "condition", {"a": "1"}),
    (
        "InStr([a], [b], [c], [d])",
        "InStr",
        "value1 value2 start compareType",
        {"a": "x", "b": "y", "c": "1", "d": "vbTextCompare"},
    ),
    ("Item(Split([x], [y]), [a])", "Item", "index", {"x": "p,q", "y": ",", "a": "1"}),
    ('Join([a], "x", "y")', "Join", "separator", {"a": "-"}),
    ("Left([a], [b])", "Left", "string numChars", {"a": "x", "b": "1"}),
    ("Left([a], 1)", "Left", "string", {"a": "x"}),
    ('Lookup([a], , "t")', "Lookup", "source", {"a": "x"}),
    ("Mid([a], [b], [c])", "Mid", "source start length", {"a": "x", "b": "1", "c": "1"}),
    ("Mid([a], 1, 1)", "Mid", "source", {"a": "x"}),
    ("NormalizeDiacritics([a])", "NormalizeDiacritics", "source", {"a": "x"}),
    ("Not([a])", "Not", "source", {"a": "x"}),
    ("NumFromDate([a])", "NumFromDate", "value", {"a": "2024-01-31"}),
    ("PCase([a], [b])", "PCase", "source wordSeparators", {"a": "x", "b": "y"}),
    ("Split([a], [b])", "Split", "source delimiter", {"a": "x", "b": "y"}),
    ("StripSpaces([a])", "StripSpaces", "source", {"a": "x"}),
    ('Switch([a], , [b], "x", [c], "y")', "Switch", "source key key", {"a": "x", "b": "y", "c": "z"}),
    ('Switch([a], , "x", "y")', "Switch", "source", {"a": "x"}),
    ("ToLower([a])", "ToLower", "source", {"a": "x"}),
    ('ToLower([a], "tr-TR")', "ToLower", "source", {"a": "x"}),
    ("ToUpper([a])", "ToUpper", "source", {"a": "x"}),
    ("Trim([a])", "Trim", "source", {"a": "x"}),
    ("Word([a], [b], [c])", "Word", "string wordNumber delimiters", {"a": "x", "b": "1", "c": "y"}),
    ("[a] = [b]", "the comparison =", "left side;right side", {"a": "x", "b": "y"}),
    ("[a] < [b]", "the comparison <", "left side;right side", {"a": "x", "b": "y"}),
    ("[a] = 7", "the comparison =", "left side;", {"a": "7"}),
    ("7 <> [b]", "the comparison <>", ";right side", {"b": "7"}),
    ("[a] > 7", "the comparison >", "left side;", {"a": "7"}),
    ("7 >= [b]", "the comparison >=", ";right side", {"b": "7"}),
    ("CDate([x]) = [b]", "the comparison =", ";right side", {"x": "2024-01-31", "b": "2024-01-31"}),
    ("[a] < CDate([x])", "the comparison <", "left side;", {"x": "2024-01-31", "a": "2024-01-31"}),
]


@pytest.mark.parametrize(("text", "function", "names", "row"), SINGLE)
def test_an_argument_that_takes_one_value_names_itself_when_it_has_several(
    text: str, function: str, names: str, row: dict[str, Cell]
) -> None:
    tables = {"t": {"x": "y"}}
    value(text, tables, **row)
    for column, name in zip("abcd", names.split(";" if ";" in names else " "), strict=False):
        if name:
            with pytest.raises(ValueFault) as raised:
                value(text, tables, **row | {column: ["SECRET", "SECRET"]})
            assert (raised.value.function, raised.value.argument, raised.value.columns, raised.value.reason) == (
                function,
                name,
                (column,),
                "has several values; one is needed (take one with Item, or put them together with Join)",
            )


NO_DATE = (
    "is not a date in a form that is read without a format, such as 2020-03-16, 2020-03-16-07:00, 2020-03-16T07:00:00Z,"
    " 3/16/2020 7:00:00 AM or 16 Mar 2020"
)

FAULTS = [
    ("[a] < CDate([b])", {"a": "SECRET", "b": "2024-01-31"}, f"the comparison <: 'left side' ([a]) {NO_DATE}"),
    ("CDate([b]) = [a]", {"a": "SECRET", "b": "2024-01-31"}, f"the comparison =: 'right side' ([a]) {NO_DATE}"),
    *(
        (
            text,
            {"a": empty, "b": "2024-01-31"},
            f"the comparison >: '{side}' ([a]) is empty and cannot be compared by size",
        )
        for text, side in (("[a] > CDate([b])", "left side"), ("CDate([b]) > [a]", "right side"))
        for empty in ("", " ", None)
    ),
    (
        "DateDiff([i], [a], [a])",
        {"a": "2024-01-31", "i": "SECRET"},
        "DateDiff: 'interval' ([i]) is not one of yyyy, m, d, ww, h, n, s",
    ),
    ('DateDiff("d", [a], Now())', {"a": "SECRET"}, f"DateDiff: 'date1' ([a]) {NO_DATE}"),
    ('DateDiff("d", "2024-01-31", [a])', {"a": "SECRET"}, f"DateDiff: 'date2' ([a]) {NO_DATE}"),
    ('DateDiff("d", [b], [a])', {"a": "SECRET", "b": ""}, f"DateDiff: 'date2' ([a]) {NO_DATE}"),
    ("DateFromNum([a])", {"a": "-1"}, "DateFromNum: 'value' ([a]) is negative; a file time counts from 1601-01-01"),
    ('DateAdd("m", [n], [a])', {"a": "9999-12-31", "n": "1"}, "DateAdd: 'value' ([n]) leads past the years 1 to 9999"),
    (
        'DateAdd("yyyy", [n], [a])',
        {"a": "0001-12-31", "n": "-1"},
        "DateAdd: 'value' ([n]) leads past the years 1 to 9999",
    ),
    ("Mid([a], 1, [b])", {"a": "SECRET", "b": "-1"}, "Mid: 'length' ([b]) must not be negative"),
    (
        "InStr([a], [b], [c])",
        {"a": "SECRET", "b": "", "c": "0"},
        "InStr: 'start' ([c]) must be 1 or more: the first character is number 1",
    ),
    (
        "InStr([a], [b], 1, [c])",
        {"a": "SECRET", "b": "", "c": "SECRET"},
        "InStr: 'compareType' ([c]) is not one of vbTextCompare, vbBinaryCompare",
    ),
    ("Item([a], [b])", {"a": "SECRET", "b": "0"}, "Item: 'index' ([b]) must be 1 or more: the first item is number 1"),
    ("[a] < [b]", {"a": "", "b": "x"}, "the comparison <: 'left side' ([a]) is empty and cannot be compared by size"),
    (
        "ConvertToUTF8Hex([a])",
        {"a": "\udfff"},
        "ConvertToUTF8Hex: 'source' ([a]) has half of a surrogate pair, which is not a character",
    ),
    (
        "ToLower([a])",
        {"a": ["SECRET"]},
        "ToLower: 'source' ([a]) has several values; one is needed (take one with Item, or put"
        " them together with Join)",
    ),
    ("Left([b], [a])", {"a": "SECRET", "b": ""}, "Left: 'numChars' ([a]) is not a whole number"),
    ("Left([b], [a])", {"a": "2.5", "b": ""}, "Left: 'numChars' ([a]) is not a whole number"),
    ('IIF([a], "x", "y")', {"a": "SECRET"}, "IIF: 'condition' ([a]) is neither True nor False nor a number"),
    ('IIF([a], "x", "y")', {"a": " "}, "IIF: 'condition' ([a]) is empty; True, False or a number is needed"),
    ("CBool([a])", {"a": ""}, "CBool: 'expression' ([a]) is empty; True, False or a number is needed"),
    ('IIF([a] > 5, "x", "y")', {"a": "SECRET"}, "the comparison >: 'left side' ([a]) is not a number"),
    ('IIF(5 > [a], "x", "y")', {"a": ""}, "the comparison >: 'right side' ([a]) is empty; a number is needed"),
    (
        'IIF(DateDiff("d", Now(), [a]) > 5, "x", "y")',
        {"a": ""},
        "the comparison >: 'left side' ([a]) is empty; a number is needed",
    ),
    ("[a] < [b]", {"a": "x", "b": ""}, "the comparison <: 'right side' ([b]) is empty and cannot be compared by size"),
    (
        "CDate(Append([a], [b]))",
        {"a": "SEC", "b": "RET"},
        "CDate: 'expression' ([a], [b]) is not a date in a form that is read without a format, such as"
        " 2020-03-16, 2020-03-16-07:00, 2020-03-16T07:00:00Z, 3/16/2020 7:00:00 AM or 16 Mar 2020",
    ),
    (
        'FormatDateTime([a], , "yyyy-MM-dd", "yyyy")',
        {"a": "SECRET"},
        "FormatDateTime: 'source' ([a]) does not have the date format yyyy-MM-dd",
    ),
    (
        "Mid([a], [b], 1)",
        {"a": "SECRET", "b": "0"},
        "Mid: 'start' ([b]) must be 1 or more: the first character is number 1",
    ),
    ("Split([a], [b])", {"a": "SECRET", "b": ""}, "Split: 'delimiter' ([b]) is empty"),
    (
        "DateAdd([i], 1, [a])",
        {"a": "2024-01-01", "i": "SECRET"},
        "DateAdd: 'interval' ([i]) is not one of yyyy, m, d, ww, h, n, s",
    ),
    ('DateAdd("d", 9999999, [a])', {"a": "2024-01-01"}, "DateAdd: 'value' leads past the years 1 to 9999"),
    ("DateFromNum([a])", {"a": "9223372036854775807"}, "DateFromNum: 'value' ([a]) lies past the year 9999"),
    (
        "NumFromDate([a])",
        {"a": "1600-12-31"},
        "NumFromDate: 'value' ([a]) lies before 1601-01-01, where file times begin",
    ),
    (
        "ConvertToBase64([a])",
        {"a": "\ud800"},
        "ConvertToBase64: 'source' ([a]) has half of a surrogate pair, which is not a character",
    ),
    (
        'Switch([a], , "x", "1")',
        {"a": ["SECRET"]},
        "Switch: 'source' ([a]) has several values; one is needed (take one with Item, or put them together with Join)",
    ),
]


@pytest.mark.parametrize(("text", "row", "message"), FAULTS)
def test_a_value_that_does_not_fit_is_a_fault_that_does_not_show_it(
    text: str, row: dict[str, Cell], message: str
) -> None:
    found = fault(text, **row)
    assert str(found) == message
    assert "SECRET" not in repr(found)


def test_a_branch_that_is_not_taken_does_not_fail() -> None:
    assert value('IIF([a] = "", "none", CDate([a]))', a="") == "none"
    assert value('Switch([a], CDate([a]), "", "none")', a="") == "none"
    assert value("Coalesce([b], CDate([a]))", a="x", b="y") == "y"
