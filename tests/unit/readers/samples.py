"""A small file of every kind to be changed at random, and what must hold however it is changed."""

from __future__ import annotations

import gzip
import io
import json
from typing import Any

import openpyxl

from connector.feed.file_options import FileOptions
from connector.readers import open_drop
from connector.vocabulary.errors import DropUnusable
from connector.vocabulary.scim import BULK_REQUEST, CORE_USER, ENTERPRISE_USER
from tests.unit.readers.reading import zipped

USER = {"schemas": [CORE_USER, ENTERPRISE_USER], "externalId": "1"}


def workbook() -> bytes:
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.append(["a", "b"])
    book.active.append(["1", 2])
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


SAMPLES = {
    "csv": 'sep=;\r\na;b\r\n1;"x ""y"" z"\r\n2;ö\r\n'.encode(),
    "tsv": "a\tb\n1\tö\n".encode("utf-16"),
    "json": '{"n": 1, "value": [{"a": 1.5, "b": {"c": [1, "ö"]}}, {"a": null}]}'.encode(),
    "jsonl": b'{"a": 1}\n{"a": "\\ud83d\\ude00"}\n',
    "xml": '<?xml version="1.0"?><r xmlns:x="u"><e a="1"><x:b>ö&amp;</x:b><c><![CDATA[x]]></c></e></r>'.encode(),
    "xlsx": workbook(),
    "scim": json.dumps(
        {"schemas": [BULK_REQUEST], "Operations": [{"method": "POST", "path": "/Users", "data": USER}]}
    ).encode(),
    "fixed": b"1  abc\n2  def\n",
    "gzip": gzip.compress(b"a,b\n1,2\n"),
    "zip": zipped(a_csv=b"a,b\n1,2\n"),
}


def read(data: bytes, **options: Any) -> None:
    """Nothing but `DropUnusable` may come of it, and every text that does come can be written as UTF-8."""
    for wanted in ((), ("a", "b.c", "b.0")):
        try:
            for item in open_drop(io.BytesIO(data), name="x", options=FileOptions(**options), wanted=wanted):
                json.dumps(item[1] if isinstance(item, tuple) else item.fault.message, ensure_ascii=False).encode()
        except DropUnusable as unusable:
            assert all(fault.message for fault in unusable.faults)
