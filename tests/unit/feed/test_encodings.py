"""`file: encoding` takes what decodes a file, and nothing else that Python calls a codec."""

from __future__ import annotations

import codecs
import encodings
import pkgutil

import pytest

from connector.feed.file_options import decodes_files

NONE = [
    "aliases",
    "base64_codec",
    "bz2_codec",
    "charmap",
    "hex_codec",
    "idna",
    "mbcs",
    "oem",
    "punycode",
    "quopri_codec",
    "raw_unicode_escape",
    "rot_13",
    "undefined",
    "unicode_escape",
    "utf_7",
    "uu_codec",
    "zlib_codec",
]


def test_every_codec_of_python_that_files_are_written_in_is_taken_and_no_other() -> None:
    known = {module.name for module in pkgutil.iter_modules(encodings.__path__)}
    assert {name for name in known if not decodes_files(name)} == set(NONE) & known


@pytest.mark.parametrize("name", ["cp037", "CP500", "cp875", "cp1140", "cp273", "IBM1026", "utf-8", "UTF-16", "latin1"])
def test_ebcdic_and_other_names_of_an_encoding_are_taken(name: str) -> None:
    assert decodes_files(name)


def test_a_codec_of_another_package_is_not_taken() -> None:
    class Decoder(codecs.IncrementalDecoder):
        def decode(self, input: object, final: bool = False) -> str:
            raise NotImplementedError

    own = codecs.CodecInfo(codecs.utf_8_encode, codecs.utf_8_decode, incrementaldecoder=Decoder, name="stranger")
    search = {"stranger": own}.get
    codecs.register(search)
    try:
        assert not decodes_files("stranger")
        assert not decodes_files("no such thing")
        assert not decodes_files("a\0b")
    finally:
        codecs.unregister(search)
