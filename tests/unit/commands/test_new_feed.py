"""`python -m connector new`: drafts that load, fit their file, and hold nobody's data."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.__main__ import main
from connector.commands.drafting.from_columns import draft
from connector.commands.drafting.hr_columns import CUSTOM, NAMES, STATUS, candidates
from connector.mapping import load_feed
from connector.mapping.attribute_paths import parse_path
from connector.readers.table import Notes, Table
from connector.sandbox.sample import sample
from connector.vocabulary.column_names import plain
from connector.vocabulary.errors import Unusable
from connector.vocabulary.scim import ENTERPRISE_USER

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def drafted(capsys: pytest.CaptureFixture[str], folder: Path, content: str | bytes, name: str = "people.csv") -> str:
    """The draft for a file; it loads, and `check` finds no column missing."""
    file, feed = folder / name, folder / "feed.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert main(["new", str(file)]) == 0
    text = capsys.readouterr().out
    feed.write_text(text)
    assert main(["check", str(feed), str(file)]) in {0, 3}
    capsys.readouterr()
    return text


def mapping_of(text: str) -> dict[str, object]:
    return dict(yaml.safe_load(text)["mapping"])


def comments(text: str) -> list[str]:
    lines = (line.strip() for line in text.partition("mapping:\n")[2].splitlines())
    return [line for line in lines if line.startswith("#")]


ENGLISH = (
    "Employee ID,First Name,Last Name,Work Email,Employment Status,"
    "Job Title,Department,Cost Center,Manager's Employee ID,Hire Date"
)
GERMAN = (
    "Pers.-Nr.;Vorname;Name;E-Mail (dienstlich);Mitarbeiterstatus;"
    "Stellenbezeichnung;Abteilung;Kostenstelle;Personalnummer Vorgesetzter;Eintrittsdatum"
)
FRENCH = (
    "Matricule;Prénom;Nom;Courriel professionnel;Statut;"
    "Intitulé du poste;Département;Centre de coût;Matricule responsable;Date d'embauche"
)
SPANISH = (
    "N.º empleado;Nombre;Apellidos;Correo electrónico;Estado;"
    "Puesto de trabajo;Área;Centro de coste;ID jefe;Fecha de alta"
)


@pytest.mark.parametrize(
    ("header", "rows", "words", "date"),
    [
        (ENGLISH, ["Active", "Terminated", "2020-01-31"], {"Active": "True", "Terminated": "False"}, "yyyy-MM-dd"),
        (GERMAN, ["aktiv", "ausgeschieden", "31.01.2020"], {"aktiv": "True", "ausgeschieden": "False"}, "dd.MM.yyyy"),
        (FRENCH, ["Actif", "Sorti", "31/01/2020"], {"Actif": "True", "Sorti": "False"}, "dd/MM/yyyy"),
        (SPANISH, ["Activo", "Jubilado", "31-01-2020"], {"Activo": "True", "Jubilado": "False"}, "dd-MM-yyyy"),
    ],
    ids=["English", "German", "French", "Spanish"],
)
def test_common_names_of_four_languages_are_mapped(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    header: str,
    rows: list[str],
    words: dict[str, str],
    date: str,
) -> None:
    separator = ";" if ";" in header else ","
    names = header.split(separator)
    at_work, gone, day = rows
    lines = [
        separator.join([number, "Ann", "Lee", "a@x.org", word, "Cook", "Food", "7", "1", day])
        for number, word in (("1", at_work), ("2", gone), ("3", at_work))
    ]
    identifier, given, family, mail, status, job, department, cost, manager, hired = (f"[{name}]" for name in names)
    switch = ", ".join(f'"{word}", "{active}"' for word, active in words.items())
    text = drafted(capsys, tmp_path, "\n".join([header, *lines]))
    assert mapping_of(text) == {
        "externalId": identifier,
        f"{ENTERPRISE_USER}:employeeNumber": identifier,
        "userName": mail,
        "active": f"Switch({status}, {status}, {switch})",
        "displayName": f'Join(" ", {given}, {family})',
        "name.givenName": given,
        "name.familyName": family,
        "title": job,
        'emails[type eq "work"].value': mail,
        'emails[type eq "work"].primary': True,
        f"{ENTERPRISE_USER}:costCenter": cost,
        f"{ENTERPRISE_USER}:department": department,
        f"{ENTERPRISE_USER}:manager.value": manager,
        f"{CUSTOM}:HireDate": f'FormatDateTime({hired}, , "{date}", "yyyy-MM-ddTHH:mm:ssZ")',
    }
    assert main(["check", str(tmp_path / "feed.yaml"), str(tmp_path / "people.csv")]) == 0


def test_a_whole_export_becomes_a_feed_that_sends_its_people(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    drop = sample()
    text = drafted(capsys, tmp_path, drop.content)
    assert '# Not understood: "Sabbatical", "Wroking". Add each with "True" or "False".' in comments(text)
    main(["check", str(tmp_path / "feed.yaml"), str(tmp_path / "people.csv")])
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"{drop.sent} to send, ")


def test_words_of_a_column_that_is_no_status_are_not_written_down(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = drafted(capsys, tmp_path, "Employee ID,State\n1,Texas\n2,Ohio\n3,Active\n")
    assert mapping_of(text)["active"] is True
    assert mapping_of(text)['addresses[type eq "work"].region'] == "[State]"
    assert not {"Texas", "Ohio"} & set(text.replace('"', " ").split())


def test_a_status_column_of_unknown_words_rejects_its_rows(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = drafted(capsys, tmp_path, "Employee ID,Employment Status\n1,3\n2,0\n3,1\n")
    assert mapping_of(text)["active"] == "[Employment Status]"


def test_days_and_months_that_are_not_told_apart_are_left_to_the_author(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = drafted(capsys, tmp_path, "Employee ID,Hire Date\n1,01/02/2020\n2,03/04/2021\n")
    lines = comments(text)
    assert "# The days of [Hire Date] are not told from its months: choose the right line." in lines
    line = f'{CUSTOM}:HireDate: FormatDateTime([Hire Date], , "dd/MM/yyyy"'
    uncommented = text.replace(f"  #  {line}", f"  {line}")
    load_feed(uncommented.encode(), name="feed.yaml", graph=None)
    assert uncommented != text


def test_a_manager_who_is_no_externalid_is_not_mapped(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = drafted(capsys, tmp_path, "Employee ID,Manager,Supervisor ID\n1,Ann Lee,\n2,Ann Lee,1\n3,Bo Ng,1\n")
    assert mapping_of(text)[f"{ENTERPRISE_USER}:manager.value"] == "[Supervisor ID]"
    without = drafted(capsys, tmp_path, "Employee ID,Manager\n1,Ann Lee\n2,Bo Ng\n")
    assert comments(without)[-1] == "#   [Manager]: manager.value needs the manager's externalId, which it has not"


def test_unknown_columns_and_second_ones_are_listed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = drafted(capsys, tmp_path, "Employee ID,Job Title,Position,Shoe size,a]b\n1,x,y,z,w\n")
    assert comments(text)[-4:] == [
        "# Columns that are not mapped:",
        "#   [Position]: title has another column",
        "#   [Shoe size]",
        "#   [a]b]: rename it, no expression can name it",
    ]


def test_without_an_identifier_the_column_that_differs_in_every_row_is_asked_about(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = drafted(capsys, tmp_path, "Colour,Key\nred,1\nred,2\n")
    assert mapping_of(text)["externalId"] == "[Key]"
    assert comments(text)[0].startswith("# No column's name says that it identifies a person.")


def test_nested_records_are_known_by_their_last_part(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = drafted(capsys, tmp_path, '[{"id": {"employeeId": "1"}, "job": {"title": "Cook"}}]', "people.json")
    assert mapping_of(text)["externalId"] == "[id.employeeId]"
    assert mapping_of(text)["title"] == "[job.title]"


@pytest.mark.parametrize("first", ["ann.lee@x.org", "00123", "31.01.2020", "P10437"])
def test_a_first_row_that_is_a_person_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, first: str
) -> None:
    (tmp_path / "people.csv").write_text(f"Ann,{first}\nBo,2\n")
    assert main(["new", str(tmp_path / "people.csv")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        "people.csv: the first row looks like a person's, not like the columns' names (write the names into the first"
        " row, or list them in the feed file: file: {header: [ID, …]})\n"
    )


COLUMN = st.sampled_from([name for names in NAMES.values() for name in names]) | st.text(max_size=12)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(COLUMN, min_size=1, max_size=8, unique_by=lambda name: name.strip()),
    st.lists(st.lists(st.sampled_from(["", "Active", "left", "1", "01.02.2020", "x@y.zz", '"\\', "0"]), max_size=8)),
)
def test_a_draft_loads_whatever_the_columns(columns: list[str], cells: list[list[str]]) -> None:
    rows = [(number, (row + [""] * 8)[: len(columns)]) for number, row in enumerate(cells, start=1)]
    try:
        text = draft(Table(columns, lambda: iter(rows), Notes()), name="people.csv")
    except Unusable:
        return
    load_feed(text.encode(), name="feed.yaml", graph=None).mapping.bind(columns, now=NOW)
    assert text.endswith("\n") and not text.endswith("\n\n")


def test_every_known_name_is_written_as_names_are_compared_and_belongs_to_an_attribute() -> None:
    assert [name for names in NAMES.values() for name in names if plain(name) != name] == []
    assert [path for path in NAMES if str(parse_path(path, {})) != path] == []


def test_no_name_stands_for_two_attributes_but_state() -> None:
    names = [name for known in NAMES.values() for name in known]
    assert {name for name in names if names.count(name) > 1} == {"state"}


def test_names_are_compared_without_case_diacritics_and_punctuation() -> None:
    assert plain("Straße / Hausnr.") == "strassehausnr"
    assert candidates("PRÉNOM") == candidates("Prenom") == {"name.givenName": NAMES["name.givenName"].index("prenom")}
    assert candidates("wd:Employee_ID").keys() == {"externalId"}
    assert candidates("Shoe size") == {}


def test_a_word_that_means_leave_in_one_house_and_left_in_another_is_not_known() -> None:
    assert STATUS["active"] and not STATUS["terminated"]
    assert not {plain(word) for word in ("Baja", "Gekündigt", "Suspended", "3")} & STATUS.keys()
