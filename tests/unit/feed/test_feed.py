"""The feed file's models and its parsing: YAML's traps, places of faults, endpoints, guards."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.feed import model as feed_module
from connector.feed.endpoint import Endpoint, parse_endpoint
from connector.feed.file_options import FileOptions, FixedColumn, Footer
from connector.feed.files import Files
from connector.feed.guards import Guards, Threshold
from connector.feed.mapping_section import Declared, Empty, LookupFile
from connector.feed.marked_yaml import MAX_BYTES
from connector.feed.model import Expectation, Feed, json_schema
from connector.feed.parse import ParsedFeed, parse, sorted_by_line
from connector.feed.pgp import Pgp
from connector.vocabulary.errors import Fault, FeedUnusable
from connector.vocabulary.origin import Origin, origin

GRAPH = "https://graph.microsoft.com"
JOB = "servicePrincipals/00aa00aa-bb11-cc22-dd33-44ee44ee44ee/synchronization/jobs/API2AAD.0000.1111-22"
ENDPOINT = f"{GRAPH}/beta/{JOB}/bulkUpload"
HEAD = f'endpoint: {ENDPOINT}\nmapping:\n  externalId: "[WorkerID]"\n'


def parsed(text: str | bytes, graph: str | None = GRAPH) -> ParsedFeed:
    content = text if isinstance(text, bytes) else text.encode()
    return parse(content, name="feeds/employees.yaml", graph=graph)


def faults(text: str | bytes, graph: str | None = GRAPH) -> list[str]:
    try:
        return [str(fault) for fault in sorted_by_line(parsed(text, graph).faults)]
    except FeedUnusable as error:
        return [str(fault) for fault in error.faults]


def field(text: str, name: str) -> Any:
    result = parsed(HEAD + text)
    assert result.faults == ()
    return getattr(result.feed, name)


def test_a_feed_is_named_after_its_file_and_has_the_documented_defaults() -> None:
    result = parsed(HEAD).feed
    assert result.name == "employees"
    assert result.content == "full"
    assert result.mapping == {"externalId": "[WorkerID]"}
    assert result.file == FileOptions()
    five, two = Threshold(percent=Decimal(5)), Threshold(percent=Decimal(2))
    assert result.guards == Guards(max_disabled=five, max_removed=five, max_rejected=two)
    assert (result.where, result.pgp, result.expect, result.empty) == (None, None, None, Empty())


def test_all_faults_of_a_file_are_told_at_once_with_line_and_column() -> None:
    text = (
        "endpoint: https://example.com/x\n"
        "content: fulll\n"
        'file: {format: csv, delimter: ";", skip: "3"}\n'
        "mapping:\n"
        "  externalId: [WorkerID]\n"
        "  title:\n"
        "  name: {givenName: x}\n"
        "guards: {max_disabled: 500%}\n"
        "wehre: x\n"
        "expect: daily\n"
    )
    portal = "paste the Provisioning API Endpoint from the app's overview page in the Entra portal, whole and unchanged"
    assert faults(text) == [
        "line 1, column 11: 'endpoint' names the host example.com, which is not https://graph.microsoft.com "
        f"(GRAPH_BASE_URL) or a public Graph cloud ({portal})",
        "line 2, column 10: 'content' must be one of 'full' or 'delta'",
        "line 3, column 21: 'file.delimter' is not a key of a feed file (did you mean delimiter?)",
        "line 3, column 42: 'file.skip' must be a whole number",
        "line 5, column 15: 'mapping.externalId' is a YAML list, not a column (put it in quotes: \"[WorkerID]\")",
        "line 6, column 9: 'mapping.title' has no value (delete the line, or write an expression or a constant)",
        "line 7, column 9: 'mapping.name' has keys of its own "
        '(write each attribute on one line, by its path: name.givenName: "[FirstName]")',
        "line 8, column 24: 'guards.max_disabled' must be a percentage or a number of people (for example 5% or 20)",
        "line 9, column 1: 'wehre' is not a key of a feed file (did you mean where?)",
        "line 10, column 9: 'expect' must say how often a drop comes (for example expect: every 24h (m, h or d))",
    ]


def test_what_is_missing_is_named() -> None:
    assert faults("content: full\n") == [
        "line 1, column 1: 'endpoint' is missing (add it: The Provisioning API Endpoint, as the Entra portal shows"
        " it.)",
        "line 1, column 1: 'mapping' is missing (add it: SCIM attribute path to an expression or a constant.)",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "line 1, column 1: the file is empty (it needs at least endpoint and mapping)"),
        ("- a\n", "line 1, column 1: the file is not made of keys and values (it needs at least endpoint and mapping)"),
        (b"a: b\nc: caf\xe9\n", "line 2, column 7: the file is not UTF-8 (save it as UTF-8)"),
        (
            "a:\n\tb: c\n",
            "line 2, column 1: not readable as YAML: a tab where only spaces may be (indent with spaces)",
        ),
        (
            'mapping:\n  title: [A] & " "\n',
            "line 2, column 15: not readable as YAML: the value begins with [ or a quote, which is YAML's, and goes on"
            " after its end"
            " (put the whole value in single quotes; a single quote inside is written twice)",
        ),
        ("a: *b\n", "line 1, column 4: not readable as YAML: a value that begins with & or * is YAML's own notation"
         " (put the whole value in single quotes; a single quote inside is written twice)"),
        ("a: b\n---\nc: d\n", "line 2, column 1: not readable as YAML: more than one YAML document"
         " (one feed a file: delete what follows ---)"),
        ("a: b\x07\n", "line 1, column 5: a control character that YAML does not allow (delete it)"),
        ('a: "\\UFFFFFFFF"\n', "line 1, column 1: an escape or a directive that YAML does not allow"
         " (put the whole value in single quotes; a single quote inside is written twice)"),
        ("[" * 100, "line 1, column 33: not readable as YAML: more than 32 levels deep"
         " (a feed file needs three levels at most)"),
        (b"a: " + b"x" * MAX_BYTES, "line 1, column 1: the file is larger than 1 MiB"
         " (move large lookup tables to CSV files beside it)"),
    ],
)  # fmt: skip
def test_what_is_no_feed_file_ends_in_one_clear_fault(text: str | bytes, expected: str) -> None:
    assert faults(text) == [expected]


def test_a_billion_laughs_ends_in_a_fault() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 25)]
    assert faults("\n".join(lines)) == [
        "line 1, column 10: too many values, aliases included (write the values out without & and *)"
    ]


def test_a_key_that_is_there_twice_is_a_fault() -> None:
    assert faults(HEAD + '  externalId: "[Id]"\n') == [
        "line 4, column 3: 'mapping.externalId' is there twice, first in line 3 (delete one of them)"
    ]


@pytest.mark.parametrize("word", ["NO", "yes", "on", "00123", "1.10", "12:30", "2026-01-31", "0x1F", "1_000", "1e3"])
def test_text_that_older_yaml_would_turn_into_something_else_stays_text(word: str) -> None:
    assert parsed(f"{HEAD}  title: {word}\n").feed.mapping["title"] == word


@pytest.mark.parametrize(("word", "value"), [("true", True), ("FALSE", False), ("42", 42), ("-7", -7), ('"42"', "42")])
def test_booleans_and_numbers_are_typed(word: str, value: object) -> None:
    found = parsed(f"{HEAD}  title: {word}\n").feed.mapping["title"]
    assert (found, type(found)) == (value, type(value))


def test_a_tag_builds_nothing() -> None:
    assert faults(HEAD + "  title: !!python/object/apply:os.system [id]\n") == [
        "line 4, column 10: 'mapping.title' is a YAML list, not a column (put it in quotes: \"[id]\")",
        "line 4, column 10: a YAML tag (!…), which means nothing here"
        " (put the whole value in single quotes; a single quote inside is written twice)",
    ]


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda data: data.decode("latin-1")))
def test_any_text_is_read_or_unusable(text: str) -> None:
    try:
        parsed(text.encode("utf-8", "surrogatepass"))
    except FeedUnusable as error:
        assert all(fault.line >= 1 for fault in error.faults)


YAMLISH = st.lists(
    st.sampled_from(
        ["endpoint:", "mapping:", "  ", "\n", "- ", "{", "}", "[", "]", ": ", '"', "'", "&a ", "*a", "|", ">", "#",
         "!!x ",
         "externalId", "null", "5%", "empty", "lookup", "guards", "file", "%YAML 1.1", "---", "\\", "\t", "?",
         "urn:a:b",          ","]
    ),
    max_size=40,
).map("".join)  # fmt: skip


@given(YAMLISH)
def test_anything_that_looks_like_yaml_is_read_or_unusable(text: str) -> None:
    try:
        result = parsed(HEAD + text)
    except FeedUnusable as error:
        assert error.faults
    else:
        assert all(fault.message and fault.line >= 1 for fault in result.faults)


def test_the_endpoint_is_taken_apart_and_called_under_v1() -> None:
    endpoint = parse_endpoint(f"  {ENDPOINT}/ ", graph=GRAPH)
    assert endpoint == Endpoint(
        url=f"{ENDPOINT}/",
        scheme="https",
        host="graph.microsoft.com",
        port=443,
        service_principal="00aa00aa-bb11-cc22-dd33-44ee44ee44ee",
        job_id="API2AAD.0000.1111-22",
    )
    assert isinstance(endpoint, Endpoint)
    assert endpoint.job_path == f"/v1.0/{JOB}"
    assert endpoint.upload_path == f"/v1.0/{JOB}/bulkUpload"


def test_an_endpoint_is_read_in_whatever_letters_it_is_written_and_kept_as_it_is() -> None:
    url = "https://graph.microsoft.com/V1.0/serviceprincipals/aB/Synchronization/JOBS/API2AAD.x/BULKUPLOAD"
    assert parse_endpoint(url, graph=GRAPH) == Endpoint(
        url=url, scheme="https", host="graph.microsoft.com", port=443, service_principal="aB", job_id="API2AAD.x"
    )


@pytest.mark.parametrize(
    ("base", "graph"),
    [
        ("https://graph.microsoft.us", GRAPH),
        ("https://dod-graph.microsoft.us", GRAPH),
        ("https://microsoftgraph.chinacloudapi.cn", GRAPH),
        ("HTTPS://GRAPH.MICROSOFT.COM:443", GRAPH),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/"),
        ("https://graph.example:8443", "https://graph.example:8443"),
        ("http://localhost:1", None),
        ("http://[::1]:1", None),
    ],
)
def test_the_host_may_be_graph_base_url_or_a_public_cloud(base: str, graph: str | None) -> None:
    assert isinstance(parse_endpoint(f"{base}/v1.0/{JOB}/bulkUpload", graph=graph), Endpoint)


def fault_of(url: str, graph: str | None = GRAPH) -> str:
    """What is wrong with an endpoint; what to do is the same for all."""
    fault = parse_endpoint(url, graph=graph)
    assert isinstance(fault, Fault)
    advice = "paste the Provisioning API Endpoint from the app's overview page in the Entra portal, whole and unchanged"
    assert fault == Fault(message=fault.message, advice=advice)
    return fault.message


@pytest.mark.parametrize(
    "url",
    [
        f"https://graph.microsoft.com@evil.example/v1.0/{JOB}/bulkUpload",
        f"https://user:pw@graph.microsoft.com/v1.0/{JOB}/bulkUpload",
        f"https://evil.example\\@graph.microsoft.com/v1.0/{JOB}/bulkUpload",
        f"https://evil.example#graph.microsoft.com/v1.0/{JOB}/bulkUpload",
        f"https://evil.example?graph.microsoft.com/v1.0/{JOB}/bulkUpload",
        f"https://graph.microsoft.com:123456/v1.0/{JOB}/bulkUpload",
        f"https://graph.microsoft.com:/v1.0/{JOB}/bulkUpload",
        f"ftp://graph.microsoft.com/v1.0/{JOB}/bulkUpload",
        f"https:graph.microsoft.com/v1.0/{JOB}/bulkUpload",
        f"graph.microsoft.com/v1.0/{JOB}/bulkUpload",
        f"xhttps://graph.microsoft.com/v1.0/{JOB}/bulkUpload",
        f"https://gr\u0430ph.microsoft.com/v1.0/{JOB}/bulkUpload",
        # The long s is another way to write an s where letters are compared in all of Unicode.
        f"https://graph.micro\u017foft.com/v1.0/{JOB}/bulkUpload",
        f"https://graph.microsoft.com:\u0664\u0664\u0663/v1.0/{JOB}/bulkUpload",
        f"https://graph.microsoft.com\n/v1.0/{JOB}/bulkUpload",
        "",
    ],
)
def test_an_endpoint_is_an_address_of_graph(url: str) -> None:
    assert fault_of(url) == "'endpoint' is not an https:// address of Microsoft Graph"


@pytest.mark.parametrize(
    ("url", "host"),
    [
        (f"https://graph.microsoft.com.evil.example/v1.0/{JOB}/bulkUpload", "graph.microsoft.com.evil.example"),
        (f"https://evil.example/v1.0/{JOB}/bulkUpload", "evil.example"),
        (f"https://Evil.Example:8443/v1.0/{JOB}/bulkUpload", "evil.example"),
        (f"http://127.0.0.1:8080/v1.0/{JOB}/bulkUpload", "127.0.0.1"),
        (f"https://evil.example/v1.0/{JOB}\\@graph.microsoft.com", "evil.example"),
    ],
)
def test_an_endpoint_names_no_other_host(url: str, host: str) -> None:
    allowed = "which is not https://graph.microsoft.com (GRAPH_BASE_URL) or a public Graph cloud"
    assert fault_of(url) == fault_of(url, graph=f"{GRAPH}/") == f"'endpoint' names the host {host}, {allowed}"


def test_an_endpoint_of_which_nothing_is_sent_names_a_public_cloud_or_this_machine() -> None:
    message = "'endpoint' names the host evil.example, which is not a public Graph cloud"
    assert fault_of(f"https://evil.example/v1.0/{JOB}/bulkUpload", graph=None) == message


@pytest.mark.parametrize(
    "base", ["https://graph.microsoft.com:8443", "http://graph.microsoft.com", "http://graph.microsoft.com:443"]
)
def test_an_endpoint_of_a_public_cloud_is_https_at_its_own_port(base: str) -> None:
    assert fault_of(f"{base}/v1.0/{JOB}/bulkUpload") == "'endpoint' must begin with https:// and name no other port"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        f"/v1.0/{JOB}/bulkUpload?x=1",
        f"/v1.0/{JOB}/bulkUpload#x",
        f"/v1.0/{JOB}/bulkUpload/x",
        f"/v2.0/{JOB}/bulkUpload",
        f"/v1x0/{JOB}/bulkUpload",
        "/v1.0/\u017fervicePrincipals/a/synchronization/jobs/x/bulkUpload",
        f"/{JOB}/bulkUpload",
        f"/v1.0/../x/{JOB}/bulkUpload",
        "/v1.0/servicePrincipals/../synchronization/jobs/x/bulkUpload",
        "/v1.0/servicePrincipals/a/synchronization/jobs/../bulkUpload",
        "/v1.0/servicePrincipals/a%2Fb/synchronization/jobs/x/bulkUpload",
        "/v1.0/servicePrincipals/a/synchronization/jobs/x y/bulkUpload",
        "/v1.0/servicePrincipals/a/synchronization/jobs//bulkUpload",
        "/v1.0/servicePrincipals/a/synchronization/jobs/x\\y/bulkUpload",
    ],
)
def test_an_endpoint_leads_to_a_jobs_bulk_upload(path: str) -> None:
    assert fault_of(f"{GRAPH}{path}") == (
        "'endpoint' is not …/servicePrincipals/{id}/synchronization/jobs/{job id}/bulkUpload"
    )


@pytest.mark.parametrize("end", ["", "/"])
def test_an_endpoint_cut_short_is_told_what_it_lacks(end: str) -> None:
    assert fault_of(f"{GRAPH}/v1.0/{JOB}{end}") == "'endpoint' lacks /bulkUpload at its end"


@pytest.mark.parametrize("placeholder", ["{id}", "<id>", "{", "}", "<", ">", "…"])
def test_an_endpoint_whose_placeholders_are_not_filled_in_is_told_so(placeholder: str) -> None:
    message = "'endpoint' still has a placeholder in it"
    assert fault_of(f"{GRAPH}/v1.0/servicePrincipals/{placeholder}/synchronization/jobs/x/bulkUpload") == message
    assert fault_of(f"https://{placeholder}/v1.0/{JOB}/bulkUpload") == message


@pytest.mark.parametrize(
    ("url", "expected", "public", "loopback"),
    [
        ("HTTPS://Graph.Microsoft.COM/", Origin(scheme="https", host="graph.microsoft.com", port=443), True, False),
        ("https://graph.microsoft.us:443", Origin(scheme="https", host="graph.microsoft.us", port=443), True, False),
        ("https://graph.microsoft.com:444", Origin(scheme="https", host="graph.microsoft.com", port=444), False, False),
        (
            "http://graph.microsoft.com:443",
            Origin(scheme="http", host="graph.microsoft.com", port=443),
            False,
            False,
        ),
        ("https://graph.example", Origin(scheme="https", host="graph.example", port=443), False, False),
        ("http://localhost", Origin(scheme="http", host="localhost", port=80), False, True),
        ("http://127.0.0.1:8080//", Origin(scheme="http", host="127.0.0.1", port=8080), False, True),
        ("http://[::1]:8080", Origin(scheme="http", host="[::1]", port=8080), False, True),
    ],
)
def test_a_base_url_is_scheme_host_and_port(url: str, expected: Origin, public: bool, loopback: bool) -> None:
    found = origin(url)
    assert (found, found.public, found.loopback) == (expected, public, loopback)


@pytest.mark.parametrize(
    "url",
    ["", "graph.example", "https://graph.example/v1.0", "https://a@graph.example", "https://x:123456", "ftp://x", "x/"],
)
def test_no_more_than_that_is_a_base_url(url: str) -> None:
    with pytest.raises(ValueError, match=r"^wants scheme and host alone, such as https://graph.microsoft.com$"):
        origin(url)


@given(st.text(alphabet="https:/graph.microsoft.com@evil\\#?%2e[]:8", max_size=60))
def test_no_address_leads_a_token_astray(text: str) -> None:
    endpoint = parse_endpoint(f"{text}/v1.0/{JOB}/bulkUpload", graph=GRAPH)
    assert isinstance(endpoint, Fault) or (endpoint.host, endpoint.port, endpoint.scheme) == (
        "graph.microsoft.com", 443, "https",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("limit", "part", "whole", "allowed"),
    [("5%", 5, 100, True), ("5%", 6, 100, False), ("0.1%", 1, 1000, True), ("0.1%", 1, 999, False), ("3", 3, 9, True),
     ("3", 4, 9_999, False), ("0", 0, 0, True), ("100%", 9, 9, True)],
)  # fmt: skip
def test_a_guard_is_a_share_or_a_count(limit: str, part: int, whole: int, *, allowed: bool) -> None:
    threshold = field(f"guards: {{max_removed: {limit}}}", "guards").max_removed
    assert threshold.allows(part, whole) is allowed
    assert str(threshold) == limit


def test_file_options_are_typed() -> None:
    text = (
        "file:\n  format: csv\n  delimiter: tab\n  quote: none\n  encoding: cp1252\n  header: [A, 2]\n  skip: 2\n"
        "  footer: {lines: 1, count: 'T;([0-9]+)'}\n  max_expanded: 2GB\n"
    )
    assert field(text, "file") == FileOptions.model_construct(
        format="csv",
        encoding="cp1252",
        delimiter="\t",
        quote="",
        header=("A", "2"),
        sheet=None,
        record=None,
        namespaces={},
        skip=2,
        footer=Footer(lines=1, count="T;([0-9]+)"),
        columns=(),
        max_expanded=2 << 30,
    )


def test_a_footer_may_be_just_a_number_of_lines() -> None:
    assert field("file: {footer: 2}", "file").footer == Footer(lines=2, count=None)


def test_fixed_width_columns_are_spans_or_widths() -> None:
    expected = (FixedColumn(name="A", start=1, width=10), FixedColumn(name="B", start=11, width=30))
    assert field("file: {format: fixed, columns: {A: 1-10, B: 11-40}}", "file").columns == expected
    assert field("file: {format: fixed, columns: {A: 10, B: 30}}", "file").columns == expected
    assert field("file: {columns: {A: 10, B: 30}}", "file").columns == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("file: {delimiter: ab}", "'file.delimiter' must be a single character, or tab (for example delimiter: \";\")"),
        ("file: {encoding: rot13}", "'file.encoding' is not an encoding that is known here"
         " (for example utf-8, utf-16, windows-1252, iso-8859-1)"),
        ("file: {header: [A, A]}", "'file.header' names the column 'A' twice"),
        ("file: {format: fixed}", "'file' declares fixed-width columns nowhere (add columns: {Name: 1-10, …})"),
        ("file: {columns: {A: 1-2}, sheet: x}", "'file' has 'sheet', which means nothing for fixed"
         " (delete one of the two)"),
        ("file: {format: fixed, columns: {A: 5-2}}", "'file.columns' does not say which characters 'A' has"
         " (for example {WorkerID: 1-10, Name: 11-40} (characters, from 1) or {WorkerID: 10, Name: 30} (widths))"),
        ("file: {format: xml, sheet: x}", "'file' has 'sheet', which means nothing for xml (delete one of the two)"),
        ("file: {footer: {lines: 1, count: '('}}", "'file.footer.count' must be a pattern with one group, the number"
         " (for example count: 'TRAILER;([0-9]+)')"),
        ("file: {skip: -1}", "'file.skip' must be at least 0"),
        ("file:", "'file' has no value (delete the line, or write a value)"),
        ("file: csv", "'file' must have keys and values of its own"),
        ("guards: {max_disabled: true}", "'guards.max_disabled' must be a percentage or a number of people"
         " (for example 5% or 20)"),
        ("files: {ready: done}", "'files.ready' must be the marker's name with {name} in it for the drop's"
         ' (for example ready: "{name}.done")'),
        ("files: {match: x}", "'files.match' must be a list"),
        ("pgp: {key: 'keyvault:https://evil.example/secrets/x'}", "'pgp.key' does not say where the key is"
         " (keyvault:https://VAULT.vault.azure.net/secrets/NAME, or file:PATH for a trial on one's own machine)"),
        ("pgp: {}", "'pgp.key' is missing (add it)"),
        ("empty: ignore", "'empty' must be omit or null"
         " (for the whole feed (empty: null) or by attribute (empty: {title: null}))"),
        ("empty:", "'empty' must be omit or null"
         " (for the whole feed (empty: null) or by attribute (empty: {title: null}))"),
        ("extensions: {contoso: {A: String}}", "'extensions' has 'contoso', which is no URN"
         " (for example urn:ietf:params:scim:schemas:extension:contoso:1.0:User)"),
        ("extensions: {'urn:contoso:x': {A: Text}}",
         "'extensions.urn:contoso:x.A.type' must be one of 'String', 'Integer', 'Boolean' or 'DateTime'"),
        ("extensions: {'urn:contoso:x': {A: {typ: String}}}",
         "'extensions.urn:contoso:x.A.typ' is not a key of a feed file (did you mean type?)"),
        ("lookup: {T: {file: ../x.csv}}", "'lookup.T' names a file that cannot be"
         " (the plain name of a .csv file in the feed file's folder)"),
        ("lookup: {T: {a: [b]}}", "'lookup.T' has no text for 'a' (write \"\" where it is to be empty)"),
        ("lookup: {'a b': {a: b}}", "'lookup' has a table 'a b' (a table's name is of letters, digits and _)"),
    ],
)  # fmt: skip
def test_a_faulty_section_is_explained(text: str, expected: str) -> None:
    assert [fault.split(": ", 1)[1] for fault in faults(f"{HEAD}{text}\n")] == [expected]


def test_empty_null_is_the_word_and_not_the_absence_of_one() -> None:
    assert field("empty: null", "empty") == Empty(default="null")
    assert field("empty: {default: omit, title: null}", "empty") == Empty(attributes={"title": "null"})


def test_custom_attributes_are_declared_in_short_or_in_full() -> None:
    text = "extensions: {'urn:contoso:x': {A: DateTime, B: {type: Integer, multi: true}}}"
    assert field(text, "extensions") == {
        "urn:contoso:x": {"A": Declared(type="DateTime"), "B": Declared(type="Integer", multi=True)}
    }


def test_lookup_tables_are_text_to_text_or_a_file() -> None:
    text = "lookup: {T: {NO: Norway, 1: 2, x: true}, F: {file: c.csv, key: K}}"
    assert field(text, "lookup") == {
        "T": {"NO": "Norway", "1": "2", "x": "True"},
        "F": LookupFile(file="c.csv", key="K", value=""),
    }


def test_expect_and_pgp_are_read() -> None:
    assert field("expect: every 24h", "expect") == Expectation(every=timedelta(hours=24))
    key = "keyvault:https://hr-vault.vault.azure.net/secrets/hr-key"
    assert field(f"pgp: {{key: '{key}', signed_by: ['file:vendor.asc']}}", "pgp") == Pgp(
        key=key, signed_by=("file:vendor.asc",)
    )


def test_leftovers_of_transfers_are_no_drops() -> None:
    files = field("files: {match: ['*.csv'], ignore: ['old-*'], ready: '{name}.done'}", "files")
    names = [
        "a.csv",
        "A.CSV",
        "sub/a.csv",
        "a.csv.tmp",
        ".a.csv",
        "a.csv.part",
        "old-a.csv",
        "a.txt",
        "a.csv.done",
        "d/",
    ]
    assert [name for name in names if files.is_drop(name)] == ["a.csv", "A.CSV", "sub/a.csv"]
    assert files.marker_of("sub/a.csv") == "sub/a.csv.done"
    assert (files.drop_of("sub/a.csv.done"), files.drop_of("a.csv")) == ("sub/a.csv", None)


@given(st.text(alphabet="ab./", min_size=1, max_size=10).filter(lambda name: not name.endswith("/")))
def test_a_marker_leads_back_to_its_drop(name: str) -> None:
    files = Files(ready="go-{name}.done")
    marker = files.marker_of(name)
    assert marker is not None
    assert files.drop_of(marker) == name


def test_the_published_schema_is_current() -> None:
    """To renew it: python -c 'from tests.unit.feed.test_feed import renew; renew()'."""
    assert json.loads(SCHEMA_FILE.read_text("utf-8")) == json_schema()


SCHEMA_FILE = Path(feed_module.__file__).with_name("feed.schema.json")


def renew() -> None:
    SCHEMA_FILE.write_text(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n", "utf-8")


def test_the_schema_knows_every_key_but_the_name() -> None:
    schema = json_schema()
    assert set(schema["properties"]) == set(Feed.model_fields) - {"name"}
    assert schema["required"] == ["endpoint", "mapping"]
    assert schema["additionalProperties"] is False
