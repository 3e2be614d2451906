"""`python -m connector eval`: steps, places of faults, rows of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.__main__ import main


def evaluated(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["eval", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_each_step_stands_above_what_it_is_part_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluated(capsys, 'Append(ToLower([User]), "@a.com")', "User=ANN") == (
        0,
        '    [User]                         ->  "ANN"\n'
        '  ToLower([User])                  ->  "ann"\n'
        'Append(ToLower([User]), "@a.com")  ->  "ann@a.com"\n',
        "",
    )


def test_null_lists_and_left_out_attributes_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    results = [
        evaluated(capsys, text, "a=", "b=x,y")[1].splitlines()[-1].split("->  ")[1]
        for text in ("[a]", 'Split([b], ",")', "IgnoreFlowIfNullOrEmpty([a])", 'FormatDateTime([a], , "yyyy", "yy")')
    ]
    assert results == ['""', '["x", "y"]', "nothing: the attribute is left out", "null"]


def test_a_fault_of_the_expression_has_a_caret_under_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluated(capsys, "ToLower(Uper([User]))", "User=ANN") == (
        2,
        "",
        "ToLower(Uper([User]))\n        ^\nthere is no function 'Uper' (did you mean ToUpper?)\n",
    )


def test_the_caret_stands_in_the_line_that_is_at_fault(capsys: pytest.CaptureFixture[str]) -> None:
    _, _, told = evaluated(capsys, 'Join(", ",\n\t[First], Nope([Last]))', "First=a", "Last=b")
    assert told.splitlines()[:2] == ["\t[First], Nope([Last]))", "\t         ^"]


def test_a_fault_of_the_row_has_its_steps_and_a_caret_too(capsys: pytest.CaptureFixture[str]) -> None:
    code, steps, told = evaluated(capsys, "Append(CDate([d]), [x])", "d=soon", "x=y")
    assert (code, steps) == (2, '    [d]       ->  "soon"\n  CDate([d])  ->  cannot be worked out\n')
    assert told.splitlines()[:2] == ["Append(CDate([d]), [x])", "       ^"]
    assert told.splitlines()[2].startswith("CDate: 'expression' ([d]) is not a date")


def test_a_column_without_a_value_says_how_to_give_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluated(capsys, "[Team]") == (
        2,
        "",
        "[Team]\n^\n[Team] has no value here (give it a value, as 'Team=…', or a row of a file, as --row FILE:1)\n",
    )


def test_now_is_the_time_that_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluated(capsys, "Now()", "--now", "2026-11-24T09:30:00+01:00")[1] == 'Now()  ->  "11/24/2026 8:30:00 AM"\n'
    assert evaluated(capsys, "Now()", "--now", "soon") == (2, "", "--now: is no time (write 2026-11-24T09:30:00Z)\n")


def test_a_row_of_a_file_gives_the_values_and_its_number_counts_as_the_reader_does(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "people.csv"
    file.write_bytes(b'Id;Name\n1;"a\nb"\n2;c\n3\n')
    assert evaluated(capsys, "[Name]", "--row", f"{file}:2") == (0, '[Name]  ->  "c"\n', "")
    assert evaluated(capsys, "[Name]", "--row", f"{file}:3") == (
        2,
        "",
        f"{file}: row 3: the row has 1 field where the header has 2 (fill the row up with empty fields)\n",
    )
    assert evaluated(capsys, "[Name]", "--row", f"{file}:4") == (
        2, "", f"{file}: there is no row 4: the file has 3\n"
    )  # fmt: skip
    assert evaluated(capsys, "[Nam]", "--row", f"{file}:1") == (
        2, "", "[Nam]\n^\nthere is no column [Nam] (did you mean Name?)\n"
    )  # fmt: skip


def test_a_feed_file_gives_the_lookup_tables_and_how_to_read_the_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    feed = tmp_path / "feed.yaml"
    feed.write_text(
        "endpoint: https://graph.microsoft.com/v1.0/servicePrincipals/a/synchronization/jobs/b/bulkUpload\n"
        'file: {header: [Id, Land]}\nmapping: {externalId: "[Id]"}\nlookup: {codes: {Germany: DE}}\n'
    )
    (tmp_path / "people.csv").write_text("1;Germany\n")
    row = f"{tmp_path / 'people.csv'}:1"
    code, steps, _ = evaluated(capsys, 'Lookup([Land], , "codes")', "--row", row, "--feed", str(feed))
    assert (code, steps.splitlines()[-1]) == (0, 'Lookup([Land], , "codes")  ->  "DE"')


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["[a]", "a"], "a: is not Column=value (for example LastName=Doe, or LastName= )\n"),
        (["[a]", "--row", "x.csv"], "--row: is not FILE:N (people.csv:1 is the first row of people.csv)\n"),
        (["[a]", "--row", "no.csv:1"], "no.csv: cannot be read: No such file or directory\n"),
    ],
)
def test_arguments_that_cannot_be_used_are_explained(
    capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert evaluated(capsys, *arguments) == (2, "", told)


def test_what_a_terminal_cannot_show_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluated(capsys, "[a]", "a=\udcff")[:2] == (0, '[a]  ->  "\\udcff"\n')
