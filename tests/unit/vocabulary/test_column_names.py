"""Which names of columns a message may show."""

from __future__ import annotations

import csv
import io
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.commands.drafting.hr_columns import NAMES
from connector.sandbox.sample import sample
from connector.vocabulary.column_names import is_usual, labels, shown

MAPPED = ("WorkerID", "First Name", "Abt.", "Mail")


def test_a_header_with_half_of_the_mapped_columns_is_shown_but_for_what_is_no_name() -> None:
    header = ["WorkerID", "first_name", "Kürzel (neu)", "C10", "", "ann@x.org", "2026-11-29", "P10437", "Ng, Ann"]
    assert shown(header, MAPPED) == ("WorkerID", "first_name", "Kürzel (neu)", "C10", "", "", "", "", "")
    assert shown(["WorkerID", "Mail", "a\x9b", "Abt\x1b", "x" * 61], MAPPED) == ("WorkerID", "Mail", "", "", "")
    assert labels(header[3:6], ["C10"]) == ("C10", "column 2", "column 3")


def test_of_a_header_with_few_mapped_columns_the_usual_names_are_shown() -> None:
    header = ["Mail", "Personal-Nr.", "Prénom", "Fecha de alta", "Zyxwv"]
    assert shown(header, MAPPED) == ("Mail", "Personal-Nr.", "Prénom", "Fecha de alta", "")
    assert shown(header, ()) == ("Mail", "Personal-Nr.", "Prénom", "Fecha de alta", "")


@pytest.mark.parametrize(
    "row",
    [
        ["1001", "Ann", "Ng", "ann@x.org", "Manager", "Active"],
        ["1001", "Manager", "Active", "Team"],
        ["Ann", "Ng", "Manager"],
        ["P437", "Manager", "Active", "Team"],
        ["+49 30 1234", "Title", "Active"],
    ],
)
def test_of_a_person_in_the_headers_place_nothing_is_shown(row: list[str]) -> None:
    assert shown(row, MAPPED) == ("",) * len(row)
    assert labels(row, ()) == tuple(f"column {place}" for place in range(1, len(row) + 1))


def test_a_number_that_is_a_mapped_position_proves_no_header() -> None:
    assert shown(["1", "2", "Ann"], ("1", "2")) == ("1", "2", "")


def test_what_the_feed_names_is_shown_whatever_it_is() -> None:
    assert shown(["ann@x.org", "b"], ("ann@x.org",)) == ("ann@x.org", "b")
    assert shown(["ann@x.org", "b"], ("ann@x.org", "x", "y")) == ("ann@x.org", "")


def test_a_step_of_a_path_is_shown_where_it_is_usual_or_mapped() -> None:
    known = ("id", "job.kaste", "x.y")
    fine = ("id", "job.kaste", "job.code", "t", "wd:Worker/@wd:Kaste", "pay.0.city")
    assert shown(fine, known, nested=True) == fine
    assert shown(("id", "x.y", "pay.ann ng", "pay.1001", "ann@x.org"), known, nested=True) == ("id", "x.y", "", "", "")


def test_every_name_that_a_first_feed_file_knows_is_usual_but_for_two_abbreviations() -> None:
    assert [name for names in NAMES.values() for name in names if not is_usual(name)] == ["nempleado", "matriculen1"]


def test_no_row_of_the_demos_people_passes_for_a_header() -> None:
    header, *rows = list(csv.reader(io.StringIO(sample(1_000).content.decode())))
    assert shown(header, ()) == tuple(header)
    assert [row for row in rows if any(shown(row, header[:5]))] == []


@given(st.lists(st.text(string.ascii_letters + string.digits + " @.-_", max_size=20), max_size=8), st.booleans())
def test_each_column_is_shown_as_it_is_or_not_at_all(columns: list[str], nested: bool) -> None:
    names = shown(columns, columns[:3], nested=nested)
    assert all(name in {"", column} for name, column in zip(names, columns, strict=True))
    assert [name for name, column in zip(names, columns, strict=True) if column in columns[:3]] == [
        column for column in columns if column in columns[:3]
    ]
