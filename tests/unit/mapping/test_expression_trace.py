from dataclasses import astuple

import pytest

from connector.mapping.expressions.expression_error import ExpressionError
from connector.mapping.expressions.parser import parse
from connector.mapping.expressions.trace import Step, trace
from connector.mapping.expressions.values import ValueFault

from .evaluated import LANDED


def test_steps_come_innermost_first_and_skip_what_is_not_evaluated() -> None:
    expression = parse('Join("@", ToLower([User]), IIF([Kind] = "x", "a.com", CDate([Never])))')
    row = {"User": "ANN", "Kind": "x", "Never": "not a date"}
    assert [astuple(step) for step in trace(expression, row)] == [
        (2, "[User]", "ANN"),
        (1, "ToLower([User])", "ann"),
        (3, "[Kind]", "x"),
        (2, '[Kind] = "x"', "True"),
        (1, 'IIF([Kind] = "x", "a.com", CDate([Never]))', "a.com"),
        (0, expression.text, "ann@a.com"),
    ]


def test_a_fault_is_the_last_step() -> None:
    *before, last = trace(parse("ToLower(CDate([d]))"), {"d": "yesterday"})
    assert before == [Step(depth=2, source_text="[d]", value="yesterday")]
    assert (last.depth, last.source_text) == (1, "CDate([d])")
    assert isinstance(last.value, ValueFault)


def test_a_constant_alone_is_a_step() -> None:
    assert trace(parse('"x"'), {}) == [Step(depth=0, source_text='"x"', value="x")]


def test_now_and_tables_are_what_the_caller_gives() -> None:
    expression = parse('Append(Now(), Lookup([a], , "t"))', tables={"t"})
    steps = trace(expression, {"a": "k"}, now=LANDED, tables={"t": {"k": "!"}})
    assert steps[-1].value == "8/25/2021 5:41:18 PM!"
    with pytest.raises(ExpressionError) as raised:
        trace(expression, {"a": "k"}, tables={"t": {}})
    assert (raised.value.position, raised.value.message) == (7, "Now() needs the time at which the file landed")


def test_a_column_that_the_row_lacks_is_named_with_the_nearest() -> None:
    with pytest.raises(ExpressionError) as raised:
        trace(parse('Append([Emial], "x")'), {"Email": "", "Name": ""})
    assert (raised.value.position, raised.value.message, raised.value.advice) == (
        7,
        "there is no column [Emial]",
        "did you mean Email?",
    )
