"""A few inputs of `make fuzz`, always the same ones: that it works, and that what it found once stays found."""

from __future__ import annotations

from random import Random

import pytest

from tests.fuzz.targets import TARGETS
from tests.fuzz.ticks import whole_ticks


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_raises_what_is_not_meant(name: str) -> None:
    run = TARGETS[name][1]
    for number in range(10 if name == "reader of xlsx" else 60):
        run(Random(f"suite/{number}"))


@pytest.mark.parametrize("number", range(5))
def test_whatever_lands_and_whatever_graph_answers_the_healthy_feed_comes_home(number: int) -> None:
    whole_ticks(Random(f"suite/{number}"))
