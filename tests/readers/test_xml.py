from __future__ import annotations

import pytest

from tests.readers.reading import rows_of, table_of, unusable

WORKDAY = """<?xml version='1.0' encoding='UTF-8'?>
<wd:Report_Data xmlns:wd="urn:com.workday.report/Workers">
  <wd:Report_Entry>
    <wd:Worker_ID>1001</wd:Worker_ID>
    <wd:Name wd:Descriptor="Zoë A"><wd:First>Zoë &amp; co</wd:First></wd:Name>
    <wd:Phone>1</wd:Phone><wd:Phone>2</wd:Phone>
    <wd:Manager><wd:ID wd:type="WID">x</wd:ID><wd:ID wd:type="Employee_ID">900</wd:ID></wd:Manager>
    <wd:Left xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:nil="true"/>
    <wd:Note><![CDATA[<b>]]></wd:Note>
  </wd:Report_Entry>
  <wd:Report_Entry><wd:Worker_ID/></wd:Report_Entry>
</wd:Report_Data>""".encode()


def test_paths_lead_to_elements_and_attributes() -> None:
    columns = (
        "Worker_ID",
        "wd:Name/wd:First",
        "Name.First",
        "Name.@Descriptor",
        "Phone",
        "Phone.1",
        "Manager.ID.1",
        "Left",
        "Note",
        "No",
    )
    assert rows_of(WORKDAY, wanted=columns) == [
        ["1001", "Zoë & co", "Zoë & co", "Zoë A", ["1", "2"], "2", "900", None, "<b>", None],
        ["", None, None, None, None, None, None, None, None, None],
    ]


def test_prefixes_are_those_of_the_feed_or_else_of_the_file() -> None:
    assert rows_of(WORKDAY, wanted=("r:Worker_ID",), namespaces={"r": "urn:com.workday.report/Workers"}) == [
        ["1001"],
        [""],
    ]
    assert rows_of(WORKDAY, wanted=("wd:Worker_ID",), namespaces={"wd": "urn:other"}) == [[None], [None]]
    assert rows_of(WORKDAY, wanted=("r:Worker_ID",)) == [[None], [None]]


@pytest.mark.parametrize(
    "record", ["Report_Entry", "wd:Report_Entry", "/Report_Data/Report_Entry", "wd:Report_Data/wd:Report_Entry"]
)
def test_a_record_path_is_whole_or_its_end(record: str) -> None:
    assert rows_of(WORKDAY, wanted=("Worker_ID",), record=record) == [["1001"], [""]]


def test_records_anywhere_deep_are_found_beside_other_elements() -> None:
    data = b"<sap><header><run>1</run></header><body><emp id='7'><a>x</a></emp><emp id='8'/></body><trailer/></sap>"
    assert rows_of(data, wanted=("@id", "a"), record="body/emp") == [["7", "x"], ["8", None]]
    assert unusable(data).startswith("the root has both 'header' and 'body' elements")


def test_a_record_that_the_file_lacks_is_unusable() -> None:
    assert (
        unusable(WORKDAY, wanted=("a",), record="Entry")
        == "the file has no element as file: record names it; before the first row"
    )
    assert unusable(WORKDAY, wanted=("a",), record="/Report_Entry").startswith("the file has no element")


def test_an_element_that_holds_others_is_no_cell() -> None:
    assert rows_of(WORKDAY, wanted=("Name",)) == ["the value is an element that holds others", [None]]


def test_without_wanted_columns_they_are_those_of_the_first_records() -> None:
    table = table_of(b"<r><e id='1'><a>x</a><n><f k='v'>y</f></n></e></r>")
    assert (table.columns, list(table)) == (("@id", "a", "n/f", "n/f/@k"), [(1, ["1", "x", "y", "v"])])


XSI = b'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:o="urn:other"'


def test_what_xsi_says_of_an_element_is_no_column() -> None:
    data = b"<r %s><e xsi:type='t' id='1'><n xsi:nil='false' k='v'><f xsi:type='t'>y</f></n><a xsi:nil='true'/></e></r>"
    table = table_of(data % XSI)
    assert (table.columns, list(table)) == (("@id", "n/@k", "n/f", "a"), [(1, ["1", "v", "y", None])])


@pytest.mark.parametrize(
    ("attribute", "cell"),
    [
        (b"xsi:nil='true'", None),
        (b"xsi:nil='1'", None),
        (b"xsi:nil=' true '", None),
        (b"xsi:nil='false'", ""),
        (b"xsi:nil='0'", ""),
        (b"xsi:nil='TRUE'", ""),
        (b"xsi:type='true'", ""),
        (b"o:nil='true'", ""),
        (b"nil='true'", ""),
        (b"o:k='true' xsi:nil='1'", None),
    ],
)
def test_only_xsi_nil_says_that_an_element_has_no_value(attribute: bytes, cell: str | None) -> None:
    assert rows_of(b"<r %s><e><a %s/></e></r>" % (XSI, attribute), wanted=("a",)) == [[cell]]


@pytest.mark.parametrize("encoding", ["utf-16", "windows-1252", "iso-8859-15"])
def test_the_files_own_encoding_is_followed(encoding: str) -> None:
    data = f'<?xml version="1.0" encoding="{encoding}"?><r><e><a>Zoë €</a></e></r>'
    assert rows_of(data.encode(encoding), wanted=("a",)) == [["Zoë €"]]


def test_a_declared_encoding_overrides_the_files() -> None:
    assert rows_of("<r><e><a>Zoë</a></e></r>".encode("cp1252"), wanted=("a",), encoding="windows-1252") == [["Zoë"]]


LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]><lolz><e><a>&c;</a></e></lolz>"""
EXTERNAL = b'<?xml version="1.0"?><!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r><e><a>&x;</a></e></r>'


@pytest.mark.parametrize("data", [LAUGHS, EXTERNAL, b'<!DOCTYPE r SYSTEM "http://localhost/x.dtd"><r><e/></r>'])
def test_a_file_with_a_dtd_is_unusable(data: bytes) -> None:
    message = "the XML file has a document type declaration (DTD); before the first row"
    assert unusable(data, wanted=("a",)) == message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"<r><e><a>1</a></e><e><a>2", "the XML file ends too early; the file could be read up to row 1"),
        (b"<r><e><a>1</b></e></r>", "malformed XML in line 1, column 13: mismatched tag; before the first row"),
        (b"<r><e><a>&x;</a></e></r>", "malformed XML in line 1, column 10: undefined entity; before the first row"),
        (b"<a>" * 1_000, "the XML elements are nested more than 200 deep; before the first row"),
        (
            b"<r><e><a>" + b"x" * 10_000_000 + b"</a></e></r>",
            "no record ends within 4,194,304 bytes; before the first row",
        ),
        (
            b'<?xml version="1.0" encoding="none"?><r><e/></r>',
            "the XML file's encoding is unknown, or has more than one byte a character; before the first row",
        ),
    ],
)
def test_malformed_xml_is_unusable(data: bytes, message: str) -> None:
    assert unusable(data, wanted=("a",)) == message
