"""Some of the drops of `make hostile`, always the same ones: each planned in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.hostile import HOSTILE, LIMIT
from tests.kit.planned import FEED, planned


@pytest.mark.parametrize("name", ["csv: one line", "xml: children", "gzip: a bomb", "xlsx: one text in every cell"])
def test_planning_a_hostile_drop_stays_within_512_mib_and_says_what_is_wrong(name: str, tmp_path: Path) -> None:
    hostile = HOSTILE[name]
    hostile.write(tmp_path / "drop")
    found = planned(tmp_path / "drop", feed=FEED + hostile.file)
    assert found.said.startswith(hostile.said)
    assert found.peak < LIMIT
