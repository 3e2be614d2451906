"""What commands print obeys nobody but the reader: no text out of a file or an argument moves a cursor."""

from __future__ import annotations

import ast
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.__main__ import main
from connector.commands.printing import say, visible
from connector.sandbox.servers import PROJECT

ENDPOINT = "https://graph.microsoft.com/v1.0/servicePrincipals/a/synchronization/jobs/b/bulkUpload"
# ESC and CSI in both forms, BEL, DEL, a carriage return, line and paragraph separators, overrides and isolates.
EVIL = "\x1b[2J\x9b1A\a\x7f\x85\r\u2028\u2029\u202e\u2066\u200b\u061c"
FEED = f"""
endpoint: {ENDPOINT}
mapping:
  externalId: "[Id]"
  active: "[Active]"
  displayName: "[Name]"
"""


def is_harmless(printed: str) -> bool:
    return all(char.isprintable() or char in "\n\t" for char in printed)


@given(st.text())
def test_what_is_visible_is_one_printable_line_and_json_reads_it_as_it_was(text: str) -> None:
    assert all(char.isprintable() or char == "\t" for char in visible(text))
    quoted = json.dumps(text, ensure_ascii=False)
    assert json.loads(visible(quoted), strict=False) == text


def test_what_is_printable_stays_as_it_is() -> None:
    assert visible("Zoë Ng 王\tR&D → …") == "Zoë Ng 王\tR&D → …"
    assert visible("a\u202eb\x1b\n\U000e0001\udcff") == "a\\u202eb\\u001b\\n\\udb40\\udc01\\udcff"


def test_what_the_stream_cannot_encode_is_escaped() -> None:
    with io.TextIOWrapper(io.BytesIO(), "cp1252", newline="\n") as stream:
        say("Zoë 王\x9b …", to=stream)
        stream.seek(0)
        assert stream.read() == "Zoë \\u738b\\u009b …\n"


def test_check_preview_and_eval_print_no_escape_of_a_terminal(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    feed, file = tmp_path / "people.yaml", tmp_path / f"{EVIL[:6]}people.csv"
    feed.write_text(FEED)
    cells = EVIL.replace("\r", "")
    rows = [f"Id,Active,Name,{cells}", f"1{cells},True,Ann,", f"2,{cells},Bo,", f"3,True,{cells},", "4,True,Bo,", "4,"]
    file.write_text("\n".join(rows), encoding="utf-8")
    printed = []
    for arguments in (
        ["check", str(feed), str(file)],
        ["preview", str(feed), str(file)],
        ["eval", f'Append([Name], "{EVIL}")', "--row", f"{file}:3"],
        ["eval", f"Nope([{EVIL}])", f"{EVIL}=1"],
        ["eval", "[a]", EVIL],
        ["check", f"{feed}{EVIL}"],
        ["preview", str(feed), f"{file}{EVIL}"],
        ["new", f"{file}{EVIL}"],
    ):
        main(arguments)
        said = capsys.readouterr()
        printed.append((arguments[0], is_harmless(said.out), is_harmless(said.err), bool(said.out + said.err)))
    assert printed == [(command, True, True, True) for command, *_ in printed]


def test_an_argument_too_many_is_named_without_its_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["check", "people.yaml", "a.csv", f"b{EVIL}.csv"])
    said = capsys.readouterr().err
    assert (is_harmless(said), "unrecognized arguments: b\\u001b[2J" in said) == (True, True)


def test_a_file_name_with_a_line_break_forges_no_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["preview", str(tmp_path / "a\n5 rows: 5 send"), str(tmp_path / "b")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_bodies_that_preview_prints_say_the_same_as_those_that_it_writes(
    capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    feed, file, out = tmp_path / "people.yaml", tmp_path / "people.json", tmp_path / "out"
    feed.write_text(f'endpoint: {ENDPOINT}\nmapping:\n  externalId: "[Id]"\n  displayName: "[Name]"\n')
    name = "Zoë\u202e\x85\u00a0王"
    file.write_text(json.dumps([{"Id": "1", "Name": name}]))
    main(["preview", str(feed), str(file)])
    printed = capfdbinary.readouterr().out
    main(["preview", str(feed), str(file), "--out", str(out)])
    written = (out / "000001.json").read_bytes()
    assert json.loads(printed) == json.loads(written)
    assert (name.encode() in written, is_harmless(printed.decode())) == (True, True)


def test_commands_print_by_what_makes_text_visible() -> None:
    """Drafts of feed files are printed as they are: they hold no unprintable character."""
    allowed = {"printing.py", "from_columns.py", "from_csv2scim.py"}
    found = [
        f"{path.name}:{node.lineno}"
        for path in [*(PROJECT / "connector" / "commands").rglob("*.py"), PROJECT / "connector" / "__main__.py"]
        if path.name not in allowed
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert found == []
