"""`python -m connector preview`: what it writes where, and that it deletes nothing but its own."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from connector.__main__ import main
from connector.commands.output_folder import MARKER

ENDPOINT = "https://graph.microsoft.com/v1.0/servicePrincipals/a/synchronization/jobs/b/bulkUpload"
FEED = f"""
endpoint: {ENDPOINT}
mapping:
  externalId: "[Id]"
  active: "[Active]"
  displayName: "[Name]"
"""
NEW = "name a new directory, or an empty one"


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    path = tmp_path / "people.yaml"
    path.write_text(FEED)
    return path


def people(folder: Path, numbers: Iterable[int], name: str = "people.csv") -> Path:
    path = folder / name
    path.write_text("Id,Active,Name\n" + "".join(f"{number},True,Ann\n" for number in numbers))
    return path


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refused(capsys: pytest.CaptureFixture[str], feed: Path, file: Path, out: Path) -> str:
    """What is said of a directory that is refused, without its name."""
    capsys.readouterr()
    assert main(["preview", str(feed), str(file), "--out", str(out)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    return said.err.removeprefix(f"{out}: ")


def written(feed: Path, file: Path, out: Path) -> list[str]:
    """The names in the directory after a preview."""
    assert main(["preview", str(feed), str(file), "--out", str(out)]) == 0
    return sorted(path.name for path in out.iterdir())


def test_a_directory_that_is_new_or_empty_gets_one_file_a_request_and_the_rejects(feed: Path, tmp_path: Path) -> None:
    file, out, empty = people(tmp_path, range(51)), tmp_path / "a" / "b", tmp_path / "empty"
    empty.mkdir()
    names = [MARKER, "000001.json", "000002.json", "rejects.csv"]
    assert [written(feed, file, out), written(feed, file, empty)] == [names, names]
    assert [len(json.loads((out / name).read_bytes())["Operations"]) for name in names[1:3]] == [50, 1]


def test_what_was_written_before_is_replaced(feed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert "000002.json" in written(feed, people(tmp_path, range(51)), out)
    assert written(feed, people(tmp_path, [7]), out) == [MARKER, "000001.json", "rejects.csv"]
    assert json.loads((out / "000001.json").read_bytes())["Operations"][0]["data"]["externalId"] == "7"


def test_the_folder_of_the_hr_file_is_refused_and_everything_in_it_stays(
    capsys: pytest.CaptureFixture[str], feed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A name that an output could have, as that of a file of November.
    file = people(tmp_path, [1], name="202611.json")
    before = content(tmp_path)
    told = f"is not empty, and preview has not written what is there ({NEW})\n"
    assert refused(capsys, feed, file, tmp_path) == told
    monkeypatch.chdir(tmp_path)
    assert refused(capsys, feed, file, Path()) == told
    assert content(tmp_path) == before


@pytest.mark.parametrize("name", ["people.csv", "000009.json"])
def test_a_strangers_file_among_its_own_is_named_and_nothing_is_touched(
    capsys: pytest.CaptureFixture[str], feed: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "out"
    written(feed, people(tmp_path, [1]), out)
    (out / name).write_text("mine")
    before = content(out)
    assert refused(capsys, feed, people(tmp_path, [2]), out) == (
        f"holds {name}, which preview has not written (move it elsewhere, or {NEW})\n"
    )
    assert content(out) == before


def test_a_link_a_directory_or_a_list_that_names_other_places_are_not_taken_for_its_own(
    capsys: pytest.CaptureFixture[str], feed: Path, tmp_path: Path
) -> None:
    file, outside, out = people(tmp_path, [1]), tmp_path / "000001.json", tmp_path / "out"
    outside.write_text("mine")
    written(feed, file, out)
    with (out / MARKER).open("a") as marker:
        marker.write("../000001.json\n../people.csv\n000002.json\n")
    written(feed, file, out)
    (out / "000001.json").unlink()
    (out / "000001.json").symlink_to(outside)
    assert refused(capsys, feed, file, out).startswith("holds 000001.json, which preview has not written")
    (out / "000001.json").unlink()
    (out / "000001.json").mkdir()
    assert refused(capsys, feed, file, out).startswith("holds 000001.json, which preview has not written")
    assert (outside.read_text(), file.exists(), (out / "000001.json").is_dir()) == ("mine", True, True)


def test_a_file_and_a_symbolic_link_are_no_directory_to_write_to(
    capsys: pytest.CaptureFixture[str], feed: Path, tmp_path: Path
) -> None:
    file, target = people(tmp_path, [1]), tmp_path / "target"
    target.mkdir()
    (tmp_path / "link").symlink_to(target)
    (tmp_path / "dangling").symlink_to(tmp_path / "none")
    link = "is a symbolic link (name the directory itself)\n"
    assert refused(capsys, feed, file, tmp_path / "link") == link
    assert refused(capsys, feed, file, tmp_path / "dangling") == link
    assert refused(capsys, feed, file, file) == f"is no directory ({NEW})\n"
    assert refused(capsys, feed, file, file / "out") == f"is no directory ({NEW})\n"
    assert (content(target), file.read_text()[:9]) == ({}, "Id,Active")


def test_its_own_output_as_the_file_to_read_is_not_replaced_by_itself(
    capsys: pytest.CaptureFixture[str], feed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    written(feed, people(tmp_path, [1]), out)
    before = content(out)
    told = refused(capsys, feed, out / "000001.json", out)
    assert told == f"holds the file that is to be read, which preview would replace ({NEW})\n"
    assert content(out) == before


def test_of_a_file_that_cannot_be_used_no_request_is_left(
    capsys: pytest.CaptureFixture[str], feed: Path, tmp_path: Path
) -> None:
    file, out = tmp_path / "people.json", tmp_path / "out"
    rows = ",".join(f'{{"Id": "{number}", "Active": true, "Name": "A"}}' for number in range(60))
    file.write_text(f"[{rows}, {{")
    assert main(["preview", str(feed), str(file), "--out", str(out)]) == 2
    assert content(out) == {}
