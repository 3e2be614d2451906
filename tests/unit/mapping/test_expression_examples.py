import pytest

from connector.mapping.expressions.interpreter import Surroundings, evaluate
from connector.mapping.expressions.parser import parse
from connector.mapping.expressions.values import IGNORE, Value

from .evaluated import LANDED, outcomes
from .expression_examples import DEPARTURES, EXAMPLES, Row


@pytest.mark.parametrize(("text", "row", "expected"), EXAMPLES)
def test_the_pages_worked_example_gives_the_pages_output(text: str, row: Row, expected: Value) -> None:
    found = outcomes(parse(text), row)
    assert found == [expected] * len(found)


@pytest.mark.parametrize(("text", "row", "here", "page"), DEPARTURES)
def test_an_example_that_contradicts_its_own_rule_follows_the_rule(text: str, row: Row, here: str, page: str) -> None:
    assert evaluate(parse(text).root, Surroundings(row=row, now=LANDED)) == here != page


@pytest.mark.parametrize("prefix", ["", "3446", None])
def test_the_pages_attribute_without_a_match_is_left_out(prefix: str | None) -> None:
    text = 'IgnoreFlowIfNullOrEmpty(Switch([prefix], "", "3443", "Dr.", "3444", "Prof.", "3445", "Prof. Dr."))'
    assert set(outcomes(parse(text), {"prefix": prefix})) == {IGNORE}
