from __future__ import annotations

import pytest

from connector.vocabulary.errors import Fault
from tests.unit.readers.reading import faults_of, rows_of, table_of, unusable

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


def test_a_root_alone_has_no_rows_and_nothing_to_remark() -> None:
    table = table_of(b"<r/>", wanted=("a",))
    assert (list(table), table.notes) == ([], ())


def test_a_column_that_no_record_has_is_remarked_on() -> None:
    table = table_of(WORKDAY, wanted=("Worker_ID", "No"))
    assert list(table) == [(1, ["1001", None]), (2, ["", None])]
    assert table.notes == ("no record has a value for the column 'No'",)


def test_a_record_path_is_met_by_all_its_steps() -> None:
    data = b"<r><old><emp><a>1</a></emp></old><new><emp><a>2</a></emp><dep/></new><emp><a>3</a></emp></r>"
    found = {record: rows_of(data, wanted=("a",), record=record) for record in ("new/emp", "emp", "/r/emp", "r.emp")}
    assert found == {"new/emp": [["2"]], "emp": [["1"], ["2"], ["3"]], "/r/emp": [["3"]], "r.emp": [["3"]]}


def test_elements_without_a_prefix_have_the_namespace_that_is_declared_or_none() -> None:
    own = {"n": "urn:own", "no": ""}
    wanted = ("a", "n:a", "no:a", "@k", "@no:k", "@n:k")
    for data, expected in (
        (b"<r xmlns='urn:own'><e k='v'><a>1</a></e></r>", ["1", "1", None, "v", "v", None]),
        (b"<r><e k='v'><a>1</a></e></r>", ["1", None, "1", "v", "v", None]),
        (b"<x:r xmlns:x='urn:own'><x:e x:k='v'><x:a>1</x:a></x:e></x:r>", ["1", "1", None, "v", None, "v"]),
    ):
        assert rows_of(data, wanted=wanted, namespaces=own) == [expected]
    prefixed = b"<x:r xmlns:x='urn:own'><x:e k='v'><x:a>1</x:a></x:e></x:r>"
    assert rows_of(prefixed, wanted=("x:a", "y:a", ":a", "@x:k")) == [["1", None, None, None]]


def test_a_number_in_a_path_takes_one_of_several() -> None:
    data = b"<r><e><p>0</p><p>1</p><q><s>2</s></q><q><s>3</s></q></e></r>"
    wanted = ("p", "p.0", "p/1", "p.2", "q.1.s", "q.s", "p.1.0", "p." + "9" * 5_000, "p.\u00b2", "p.\u0661")
    assert rows_of(data, wanted=wanted) == [[["0", "1"], "0", "1", None, "3", ["2", "3"], "1", None, None, None]]


def test_an_elements_whole_name_comes_before_a_path() -> None:
    data = b"<r><e><a.b>1</a.b><a><b>2</b></a></e><e><a><b>3</b></a></e></r>"
    assert rows_of(data, wanted=("a.b", "a/b")) == [["1", "2"], ["3", "3"]]


def test_nothing_lies_beyond_an_attribute() -> None:
    assert rows_of(b"<r><e k='v'><a j='w'/></e></r>", wanted=("@k", "@k/a", "@k/@j", "a/@j/b", "a.@j")) == [
        ["v", None, None, None, "w"]
    ]


def test_an_elements_text_is_all_of_it() -> None:
    data = b"<r><e><a>x<!-- no -->y<![CDATA[ <z> ]]>&#33;</a><b>  </b><c/></e></r>"
    assert rows_of(data, wanted=("a", "b", "c")) == [["xy <z> !", "  ", ""]]


def test_a_file_may_be_longer_than_any_record() -> None:
    record = b"<e><a>%s</a></e>" % (b"x" * 100_000)
    assert rows_of(b"<r>" + record * 50 + b"</r>", wanted=("a",)) == [["x" * 100_000]] * 50


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


def test_a_declared_encoding_overrides_the_files_but_not_a_byte_order_mark() -> None:
    data = "<r><e><a>Zoë</a></e></r>"
    assert rows_of(data.encode("cp1252"), wanted=("a",), encoding="windows-1252") == [["Zoë"]]
    assert rows_of(data.encode("utf-8-sig"), wanted=("a",), encoding="windows-1252") == [["Zoë"]]


LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]><lolz><e><a>&c;</a></e></lolz>"""
EXTERNAL = b'<?xml version="1.0"?><!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r><e><a>&x;</a></e></r>'


DTD = "the XML file has a document type declaration (DTD)"
NO_TEXT = "the XML file's encoding is unknown, or has more than one byte a character"


@pytest.mark.parametrize(
    ("data", "message", "advice"),
    [
        *(
            (data, f"{DTD}; before the first row", "remove it: entities are not read")
            for data in (LAUGHS, EXTERNAL, b'<!DOCTYPE r SYSTEM "http://localhost/x.dtd"><r><e/></r>')
        ),
        (
            b"<r><e><a>1</a></e><e><a>2",
            "the XML file ends too early; the file could be read up to row 1",
            "it arrived in part: send it again",
        ),
        (b"<r><e><a", "the XML file ends too early; before the first row", "it arrived in part: send it again"),
        (b"<!-- -->", "the XML file ends too early; before the first row", "it arrived in part: send it again"),
        (
            b"<r><e><a>1</b></e></r>",
            "malformed XML in line 1, column 13: mismatched tag; before the first row",
            "correct the export",
        ),
        (
            b"<r><e><a>1</a></e>\n<e><a>&x;</a></e></r>",
            "malformed XML in line 2, column 7: undefined entity; the file could be read up to row 1",
            "correct the export",
        ),
        (
            b"<r><e><a>1</a></e></r><r/>",
            "malformed XML in line 1, column 23: junk after document element; the file could be read up to row 1",
            "correct the export",
        ),
        (
            b"<a>" * 201,
            "the XML elements are nested more than 200 deep; before the first row",
            "correct the export",
        ),
        (
            b"<r><e><a>" + b"x" * 5_000_000 + b"</a></e></r>",
            "no record ends within 4,194,304 bytes; before the first row",
            "file: record names the element that is a row",
        ),
        (
            b'<?xml version="1.0" encoding="none"?><r><e/></r>',
            f"{NO_TEXT}; before the first row",
            "export it in UTF-8",
        ),
        (
            b'<?xml version="1.0" encoding="utf-32"?><r><e/></r>',
            f"{NO_TEXT}; before the first row",
            "export it in UTF-8",
        ),
        (
            b"<r><e/><f/></r>",
            "the root has elements of two names, so the rows are not clear; the file could be read up to row 1",
            "file: record names the element that is a row",
        ),
    ],
)
def test_malformed_xml_is_unusable(data: bytes, message: str, advice: str) -> None:
    assert faults_of(data, wanted=("a",)) == [Fault(message=message, advice=advice)]


def test_a_record_path_that_leads_nowhere_is_unusable() -> None:
    assert unusable(WORKDAY, wanted=("a",), record="/Report_Entry").startswith("the file has no element")
    assert faults_of(WORKDAY, wanted=("a",), record="Entry") == [
        Fault(
            message="the file has no element as file: record names it; before the first row",
            advice="correct file: record, or file: namespaces",
        )
    ]


def test_elements_may_be_200_deep() -> None:
    assert rows_of(b"<r><e>" + b"<a>" * 198 + b"</a>" * 198 + b"</e></r>", wanted=("b",)) == [[None]]
