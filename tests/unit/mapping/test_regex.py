import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.mapping.dotnet.faults import PatternError, TimedOut
from connector.mapping.dotnet.pattern import dotnet_pattern
from connector.mapping.dotnet.substitution import substitution

from .evaluated import fault, refusal, value


def replaced(pattern: str, source: str, replacement: str) -> str:
    compiled = dotnet_pattern(pattern)
    return compiled.replace(source, substitution(replacement, compiled, strict=True))


MEANINGS = [
    (r"(?<a>x)(y)", "xy", "[$1|$2|${a}]", "[y|x|x]"),
    (r"(?'a'x)", "x", "${a}${a}", "xx"),
    (r"(a)(b)?", "a", "<$2>", "<>"),
    (r"(?<a>.)\k<a>", "xx-xy", "_", "_-xy"),
    (r"(.)\1", "xx-xy", "_", "_-xy"),
    (r"(?n)(a)(?<b>b)", "ab", "$1", "b"),
    (r"(?n:(a)(?<b>b))(c)", "abc", "$1$2", "cb"),
    ("(?x) a b # comment (\n c", "abc", "_", "_"),
    (r"(?x: a\ b ) c", "a b c", "_", "_"),
    (r"a(?i)b|C", "aB c", "_", "_ _"),
    (r"(?i:a)b", "Ab AB", "_", "_ AB"),
    (r"(?i)ss", "ß SS", "_", "ß _"),
    (r"(?s).", "\n", "_", "_"),
    (r"(?m)^x$", "x\nx", "_", "_\n_"),
    (r"[a-z-[aeiou]]+", "hello", "_", "_e_o"),
    (r"[^a-z-[X]]", "aXY", "_", "aX_"),
    (r"[]a]", "]ab", "_", "__b"),
    (r"[^]a]", "]ab", "_", "]a_"),
    (r"[a&&b~~|]", "a&b~|", "_", "_____"),
    (r"[[a]", "[a", "_", "__"),
    (r"[\w-]+", "a-b c", "_", "_ _"),
    (r"[a\-z]", "a-m", "_", "__m"),
    (r"[\b]", "\b", "_", "_"),
    (r"\bx\b", "x xx", "_", "_ xx"),
    (r"x\Z", "x\n", "_", "_\n"),
    (r"x\z", "x\n", "_", "x\n"),
    (r"\Ax", "xx", "_", "_x"),
    (r"\p{Lu}\P{Lu}", "Ab", "_", "_"),
    (r"[\p{IsGreek}]", "Ωx", "_", "_x"),
    (r"\p{IsBasicLatin}", "Ωx", "_", "Ω_"),
    (r"a{2}b{1,}c{0,2}?", "aab", "_", "_"),
    (r"a{,2}", "a{,2} a", "_", "_ a"),
    (r"{x}", "{x}", "_", "_"),
    (r"a{e<=1}", "a{e<=1} b", "_", "_ b"),
    (r"(?=a).", "ab", "_", "_b"),
    (r"(?<=a)b(?!c)", "abc ab", "_", "abc a_"),
    (r"(?>a+)b", "aab", "_", "_"),
    (r"(a)?(?(1)b|c)", "ab c", "_", "_ _"),
    (r"(?<q>a)?(?(q)b|c)", "ab c", "_", "_ _"),
    (r"a(?#comment ()b", "ab", "_", "_"),
    (r"\x41\u0042\cA\t\e\0101", "AB\x01\t\x1b\x081", "_", "_"),
    (r"\.\*\-\#\ \/", ".*-# /", "_", "_"),
    (r"é+", "éé", "_", "_"),
    ("x", "x", "$$1 $ $x ${", "$1 $ $x ${"),
    ("b", "abc", "[$`|$'|$_|$&|$0]", "a[a|c|abc|b|b]c"),
    ("(x)(?<n>y)", "xy", "$+", "y"),
    ("(x)", "x", "$+", "x"),
    ("x", "x", "\\n\\1", "\\n\\1"),
    ("(?<_1>x)", "x", "${_1}", "x"),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "source", "replacement", "expected"), MEANINGS)
def test_a_pattern_means_what_dotnet_means(pattern: str, source: str, replacement: str, expected: str) -> None:
    assert replaced(pattern, source, replacement) == expected


REFUSED = [
    (r"(?<open-close>a)", 0, "balancing groups (?<a-b>…) have no equal here"),
    (r"ab(?r)c", 2, "'(?r' is not a group of .NET's that can be used here"),
    (r"(?P<x>a)", 0, "'(?P' is not a group of .NET's that can be used here"),
    (r"(?R)", 0, "'(?R' is not a group of .NET's that can be used here"),
    (r"(?|a)", 0, "'(?|' is not a group of .NET's that can be used here"),
    (r"a++", 2, "there is nothing that '+' can repeat"),
    (r"*a", 0, "there is nothing that '*' can repeat"),
    (r"a**", 2, "there is nothing that '*' can repeat"),
    (r"^{2}", 1, "there is nothing that '{2}' can repeat"),
    (r"a{3,2}", 1, "the counts of {n,m} are in the wrong order"),
    (r"a{99999999999}", 1, "the count is too large"),
    (r"(a", 0, "the group has no end"),
    (r"a)", 1, "a ) too many"),
    (r"[a", 0, "the character class has no end"),
    (r"[z-a]", 1, "the range is in the wrong order"),
    (r"[a-\d]", 1, "a range cannot end with a class"),
    (r"[a-[b]c]", 6, "a subtraction -[…] must be the last thing in its class"),
    (r"[[:alpha:]]", 1, "classes such as [:alpha:] do not exist in .NET; write \\p{L}"),
    ("a\\", 1, "nothing follows the backslash"),
    (r"\Ga", 0, "\\G has no equal here"),
    (r"\K", 0, "\\K is not an escape of .NET's that can be used here"),
    (r"\X", 0, "\\X is not an escape of .NET's that can be used here"),
    (r"\m", 0, "\\m is not an escape of .NET's that can be used here"),
    (r"\L<a>", 0, "\\L is not an escape of .NET's that can be used here"),
    (r"\x4", 0, "\\x needs 2 hexadecimal digits"),
    (r"\ud800", 0, "half of a surrogate pair cannot be matched here; write the character"),
    (r"\c1", 0, "\\c needs a control letter"),
    (r"\p{Foo}", 0, "\\p{Foo} is not a category or block that is known here"),
    (r"\pL", 0, "\\p needs a category: \\p{Lu}"),
    (r"\k<x>", 0, "there is no group 'x'"),
    (r"(a)\2", 3, "there is no group '2'"),
    (r"(a)\12", 3, "\\12 is ambiguous; write \\k<1> or a \\x escape"),
    (r"(?(?=a)b|c)", 0, "a condition (?(…)…|…) must be the name or number of a group here"),
    (r"(?<1>a)", 0, "a group whose name is a number has no equal here; give it a word as its name"),
    (r"(?<>a)", 0, "the group's name is missing or has characters that a name cannot have"),
    (r"(?#a", 0, "the comment has no end"),
    ("(" * 101 + ")" * 101, 100, "groups are nested more than 100 deep"),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "offset", "message"), REFUSED)
def test_what_has_no_equal_is_refused_with_its_place(pattern: str, offset: int, message: str) -> None:
    with pytest.raises(PatternError) as raised:
        dotnet_pattern(pattern)
    assert (raised.value.offset, raised.value.message) == (offset, message)


def test_a_fault_in_a_pattern_has_its_place_in_the_expression() -> None:
    text = r'Replace([a], , "\\d\"(?<x-y>z)", , "", , )'
    position, message, _ = refusal(text)
    assert (text[position : position + 8], message) == (
        "(?<x-y>z",
        "the regular expression is not valid: balancing groups (?<a-b>…) have no equal here",
    )


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ('Replace([a], , "(b)", , "x$2", , )', 26, "the pattern has no group '2'"),
        ('Replace([a], , "(b)", , "${n}", , )', 25, "the pattern has no group 'n'"),
        ('Replace([a], , "(b)", "n", "x", , )', 22, "the regular expression has no group 'n'"),
        ("Replace([a], , [p], , [v], , )", 15, "argument 3 of Replace (regexPattern) must be a constant"),
    ],
)
def test_groups_are_checked_when_the_feed_is_loaded(text: str, position: int, message: str) -> None:
    assert refusal(text)[:2] == (position, message)


@pytest.mark.parametrize(
    ("text", "argument", "replaced"),
    [
        ('Replace([a], , "(a+)+$", , "", , )', "source", "x"),
        ('Replace("", , "x(?<d>a+)+$", "d", , [a], )', "replacementAttributeName", "aaa"),
    ],
)
def test_a_catastrophic_pattern_cannot_hang_a_worker(text: str, argument: str, replaced: str) -> None:
    hostile = "x" + "a" * 5_000 + "b"
    started = time.process_time()
    found = fault(text, a=hostile)
    assert str(found) == f"Replace: '{argument}' ([a]) made the regular expression run too long"
    assert time.process_time() - started < 5
    assert value(text, a="xaaa") == replaced


def test_many_rows_that_run_out_of_time_are_given_less() -> None:
    pattern = dotnet_pattern("(b+)+$")
    started = time.process_time()
    for _ in range(30):
        with pytest.raises(TimedOut):
            pattern.search("b" * 5_000 + "c")
    # 30 times a tenth of a second would be three seconds.
    assert time.process_time() - started < 2


@pytest.mark.parametrize("pattern", ["a?" * 25 + "a" * 25, "(x|y)*(z|w)*v", "(.)*(.)*(.)*q", "a*a*a*a*b", "(?:a|a)+$"])
def test_patterns_that_multiply_are_watched(pattern: str) -> None:
    source = "ax" * 2_000
    started = time.process_time()
    with suppress(TimedOut):
        dotnet_pattern(pattern).search(source)
    assert time.process_time() - started < 2


@settings(deadline=None)
@given(st.text("ab()[]{}?*+|\\.^$<>=!:'-,0123ndDpPk#ximsx&~ \n", max_size=25), st.text(max_size=20))
def test_any_text_is_a_pattern_or_a_pattern_error(text: str, source: str) -> None:
    try:
        pattern = dotnet_pattern(text)
    except PatternError as error:
        assert 0 <= error.offset <= len(text)
        return
    with suppress(TimedOut):
        pattern.replace(source, substitution("$1${a}$&", pattern, strict=False))
