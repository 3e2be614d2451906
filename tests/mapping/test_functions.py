import pytest

from connector.mapping.expressions.values import IGNORE, Cell, Value

from .evaluated import fault, value

CASES: list[tuple[str, dict[str, Cell], Value]] = [
    # Append and Join
    ("Append([a], [b])", {"a": None, "b": "x"}, "x"),
    ("Append([a], [b])", {"a": "x", "b": None}, "x"),
    ('Join(", ", "", "a")', {}, "a"),
    ('Join("-", [a], [b], [c])', {"a": "x", "b": "", "c": None}, "x"),
    ('Join("-", [a], [b], "z")', {"a": ["x", "", "y"], "b": None}, "x-y-z"),
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
    # Conditions
    ('IIF([a] = "007", "same", "other")', {"a": "7"}, "other"),
    ('IIF([a] = 7, "same", "other")', {"a": "007"}, "same"),
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
    ('IIF([a], "yes", "no")', {"a": "TRUE"}, "yes"),
    ('IIF([a], "yes", "no")', {"a": "0"}, "no"),
    ('IIF(BitAnd([a], 2), "off", "on")', {"a": "514"}, "off"),
    ('[a] = "x"', {"a": "x"}, "True"),
    ('Not([a] = "x")', {"a": "x"}, "False"),
    ("Not([a])", {"a": "false"}, "True"),
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
    ("Mid([a], [n], 1)", {"a": "abc", "n": "3"}, "c"),
    ('Word([a], 2, ", ")', {"a": "Doe, John"}, "John"),
    ('Word([a], 0, " ")', {"a": "Doe"}, ""),
    ('Word([a], 2, " ")', {"a": "Doe"}, ""),
    ('Word([a], 1, "^]-")', {"a": "a-b]c^d"}, "a"),
    ('Word([a], 1, " ")', {"a": None}, ""),
    ('InStr([a], "b")', {"a": "abc"}, "2"),
    ('InStr([a], "x")', {"a": "abc"}, "0"),
    ('InStr([a], "B", 1, vbTextCompare)', {"a": "abc"}, "2"),
    ('InStr([a], "B", , "vbBinaryCompare")', {"a": "abc"}, "0"),
    ('InStr([a], "a", 2)', {"a": "abca"}, "4"),
    ('InStr([a], "a", 9, vbTextCompare)', {"a": "abca"}, "0"),
    ("StripSpaces([a])", {"a": " a b\u00a0c "}, "ab\u00a0c"),
    ("Trim([a])", {"a": " \ta b\n"}, "a b"),
    ("Trim([a])", {"a": None}, None),
    # Lists
    ('Split([a], ",")', {"a": "x, ,y,"}, ["x", "", "y", ""]),
    ('Split([a], "; ")', {"a": "x; y"}, ["x", "y"]),
    ('Split([a], ",")', {"a": ""}, []),
    ('Split([a], ",")', {"a": None}, None),
    ('Item(Split([a], ","), 2)', {"a": "x, y"}, "y"),
    ('Item(Split([a], ","), 3)', {"a": "x, y"}, None),
    ("Item([a], 1)", {"a": "one text"}, "one text"),
    ("Count([a])", {"a": ["x", "y"]}, "2"),
    ("Count([a])", {"a": ""}, "0"),
    ("Count([a])", {"a": "x"}, "1"),
    ('Join("|", RemoveDuplicates(Split([a], ",")))', {"a": "b,a,b"}, "b|a"),
    ("RemoveDuplicates([a])", {"a": "x"}, "x"),
    # Conversions
    ("BitAnd([a], [b])", {"a": "12", "b": "10"}, "8"),
    ("BitAnd([a], 1)", {"a": ""}, None),
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


REPLACEMENTS: list[tuple[str, dict[str, Cell], Value]] = [
    ('Replace([a], "x", , , "y")', {"a": "xXx"}, "yXy"),
    ("Replace([a], [o], , , [n])", {"a": "abc", "o": "", "n": "x"}, "abc"),
    ('Replace([a], "x", , , "y")', {"a": None}, None),
    ('Replace([a], "<n>", , , , , "<n>-<n>")', {"a": "7"}, "7-7"),
    ('Replace([a], "<n>", , , , , [t])', {"a": None, "t": "<n>!"}, "!"),
    ('Replace([a], , "(\\\\w+) (?<last>\\\\w+)", , "${last}, $1", , )', {"a": "John Doe"}, "Doe, John"),
    ('Replace([a], , "(?<x>o)(h)", , "$1|$2|$$|$&", , )', {"a": "oh"}, "h|o|$|oh"),
    ('Replace([a], , "a", , [v], , )', {"a": "a1a", "v": "$0$0$9"}, "aa$91aa$9"),
    ('Replace([a], , "a*", , "-", , )', {"a": "baac"}, "-b--c-"),
    ('Replace([a], , "(?<d>[0-9])x", "d", "#", , )', {"a": "1x2y3x"}, "#x2y#x"),
    ('Replace([a], , "(?:(?<d>[0-9])-?)+", "d", "#", , )', {"a": "1-23"}, "#-##"),
    ('Replace([a], , "(?<d>[0-9])x", "d", "$&", , )', {"a": "1x"}, "$&x"),
    ('Replace([a], , "(?<d>[0-9]+)", "d", , [b], )', {"a": "own", "b": "n12"}, "own"),
    ('Replace([a], , "(?<d>[0-9]+)", "d", , [b], )', {"a": None, "b": "n12"}, "12"),
    ('Replace([a], , "(?<d>[0-9]+)", "d", , [b], )', {"a": "", "b": "none"}, None),
]


@pytest.mark.parametrize(("text", "row", "expected"), REPLACEMENTS)
def test_replace_has_five_modes(text: str, row: dict[str, Cell], expected: Value) -> None:
    assert value(text, **row) == expected


def test_lookup_is_a_switch_over_a_table() -> None:
    tables = {"cities": {"B": "Berlin", "": "none"}}
    forms = ('Lookup([a], , "cities")', 'Lookup([a], "else", "cities")', 'Lookup([a], Append([a], "?"), "cities")')
    found = [[value(form, tables, a=key) for form in forms] for key in ("B", "b", "", None)]
    assert found == [["Berlin"] * 3, [None, "else", "b?"], ["none"] * 3, ["none"] * 3]


FAULTS = [
    (
        "ToLower([a])",
        {"a": ["SECRET"]},
        "ToLower: 'source' ([a]) has several values; one is needed (take one with Item, or put"
        " them together with Join)",
    ),
    ("Left([b], [a])", {"a": "SECRET", "b": ""}, "Left: 'numChars' ([a]) is not a whole number"),
    ("Left([b], [a])", {"a": "2.5", "b": ""}, "Left: 'numChars' ([a]) is not a whole number"),
    ('IIF([a], "x", "y")', {"a": "SECRET"}, "IIF: 'condition' ([a]) is neither True nor False nor a number"),
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
