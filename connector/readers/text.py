"""Bytes to text: which encoding, decoded block by block, cut at line ends, preamble and trailer lines taken off.

What cannot be decoded does not stop anything: it becomes `UNDECODABLE` in the text, and a line that is too long to be
held becomes `TOO_LONG`. Both are lone surrogates, which no strict decoder produces, so that they cannot be mistaken for
data; a reader rejects the row in which it finds one.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from typing import BinaryIO

from connector.feed.file_options import FileOptions
from connector.readers.table import Notes, Unreadable
from connector.readers.trailer import MAX_HELD, trailer_too_long
from connector.vocabulary.errors import Fault

UNDECODABLE = "\udcff"
TOO_LONG = "\udcfe"
MARK = "\ufeff"

BLOCK = 64 * 1024
"""Bytes that are decoded at a time."""
MAX_LINE = 4 * 1024 * 1024
"""Characters of a line that are held; 2,000 columns of 2,000 characters fit."""
EVIDENCE = 8 * 1024 * 1024
"""Bytes from the beginning that decide on the encoding."""

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    # UTF-32's little-endian mark begins with UTF-16's: the longer one first.
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_PREAMBLE_LINE = 100
_ERRORS = "connector.readers.undecodable"
# Control characters that no exporter of text writes; the separators 1C to 1F, tab, form feed and Ctrl-Z are left out.
_JUNK = bytes([*range(0x00, 0x09), *range(0x0E, 0x1A), 0x7F])


def _undecodable(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return UNDECODABLE, error.end


codecs.register_error(_ERRORS, _undecodable)


def bom_encoding(head: bytes) -> str | None:
    """The encoding that a byte order mark declares."""
    return next((encoding for bom, encoding in _BOMS if head.startswith(bom)), None)


def spoilt(value: str, column: str) -> Fault | None:
    """What a value of a drop's text can be spoilt by before anybody looks at its meaning."""
    if value.isascii() and "\0" not in value:
        return None
    if UNDECODABLE in value:
        return Fault(
            message="the value has bytes that are not in the file's encoding",
            advice="correct the export, or file: encoding",
            column=column,
        )
    if TOO_LONG in value:
        return Fault(
            message=f"the line has more than {MAX_LINE:,} characters", advice="correct the export", column=column
        )
    if "\0" in value:
        return Fault(message="the value has a NUL character", advice="correct the export", column=column)
    try:
        value.encode()
    except UnicodeEncodeError:
        return Fault(message="the value has half of a surrogate pair", advice="correct the export", column=column)
    return None


def is_junk(head: bytes, *, delimiter: str | None = None) -> bool:
    """Whether bytes without a byte order mark are no text: more than one in fifty is a control character."""
    junk = _JUNK if delimiter is None else _JUNK.replace(delimiter.encode(), b"")
    found = len(head) - len(head.translate(None, junk))
    # Hive's delimiter is a control character; it comes without any other.
    return found > len(head) / 50 and found != head.count(1)


def _declared(encoding: str) -> str:
    # The feed's model has seen to it that files are written in it.
    name = codecs.lookup(encoding).name
    # utf-8-sig and utf-16 would swallow the mark themselves, but fail on a file without one or guess its byte order.
    return "utf-8" if name == "utf-8-sig" else name


def _evidence(stream: BinaryIO) -> tuple[bool, bool, bool]:
    """Of the first `EVIDENCE` bytes: valid multi-byte UTF-8 characters? undecodable bytes? has Windows-1252 all
    bytes?"""
    decoder = codecs.getincrementaldecoder("utf-8")()
    multibyte = undecodable = False
    windows = True
    left = EVIDENCE
    while left > 0 and not (multibyte and undecodable):
        try:
            chunk = stream.read(BLOCK)
        except Unreadable:
            # A damaged archive: reading it in earnest will say so, and how far it came.
            break
        if not chunk:
            break
        left -= len(chunk)
        if chunk.isascii() and not decoder.getstate()[0]:
            continue
        try:
            text = decoder.decode(chunk)
        except UnicodeDecodeError:
            undecodable = True
            decoder.errors = "ignore"
            text = decoder.decode(chunk)
        multibyte = multibyte or not text.isascii()
        windows = windows and len(chunk) == len(chunk.translate(None, b"\x81\x8d\x8f\x90\x9d"))
    return multibyte, undecodable, windows


def find_encoding(stream: BinaryIO, head: bytes, declared: str | None, notes: Notes) -> str:
    """The encoding to decode `stream` with: by its byte order mark, as the feed declares, or by its content.

    Without either it is UTF-8 when the beginning (`EVIDENCE` bytes) is, and also when that has undecodable bytes
    beside valid multi-byte characters: then the rows with those bytes are at fault, not the encoding. Text that is
    not ASCII and never valid UTF-8 is taken for Windows-1252 (ISO-8859-1 where it has bytes that Windows-1252 lacks),
    with a note. The stream is left anywhere. Raises `Unreadable` for an unknown encoding.
    """
    marked = bom_encoding(head)
    if declared is not None:
        encoding = _declared(declared)
        # utf-16 and utf-32 are declared of either byte order.
        if marked is None or marked.startswith(encoding):
            return marked or encoding
        raise Unreadable(
            f"the feed declares the encoding {declared}, but the file begins with the byte order mark of {marked}",
            "correct file: encoding in the feed file, or leave it out",
            column="file.encoding",
        )
    if marked is not None:
        return marked
    multibyte, undecodable, windows = _evidence(stream)
    if not undecodable or multibyte:
        return "utf-8"
    encoding = "windows-1252" if windows else "iso-8859-1"
    notes.add(
        f"encoding: {encoding} (a guess: the file is not UTF-8; file: encoding in the feed file says it for certain)"
    )
    return encoding


class Text:
    """A drop's text, to be read once, as blocks of whole lines.

    The feed's `skip` lines at the beginning and `footer` lines (blank ones do not count) at the end are left out;
    `preamble` has the former once a block was read, `trailer` the latter once all were.
    """

    def __init__(self, stream: BinaryIO, head: bytes, options: FileOptions, notes: Notes) -> None:
        self._stream = stream
        self._footer = options.footer.lines
        self._encoding = find_encoding(stream, head, options.encoding, notes)
        self._skip = options.skip
        self.preamble: list[str] = []
        self.trailer: list[str] = []
        stream.seek(0)

    def decoded(self) -> Iterator[str]:
        """The text as it is decoded, without a leading byte order mark, in pieces of any size."""
        decoder = codecs.getincrementaldecoder(self._encoding)(errors=_ERRORS)
        mark = MARK
        while True:
            chunk = self._stream.read(BLOCK)
            yield decoder.decode(chunk, not chunk).removeprefix(mark)
            mark = ""
            if not chunk:
                return

    def blocks(self) -> Iterator[str]:
        """The text in blocks that end with a line end, each about `BLOCK` characters long; the last may lack its line
        end.

        A line of more than `MAX_LINE` characters is `TOO_LONG` instead.
        """
        blocks = self._without_preamble(self._whole_lines())
        return self._without_trailer(blocks) if self._footer else blocks

    def _whole_lines(self) -> Iterator[str]:
        begun: list[str] = []
        held = 0
        half = ""
        for piece in self.decoded():
            # A \r at the end may be the first half of a \r\n: what it ends is known with the next piece.
            text = half + piece
            half = "\r" if text.endswith("\r") else ""
            text = text.removesuffix(half)
            end = max(text.rfind("\n"), text.rfind("\r")) + 1
            if not end:
                begun.append(text if held <= MAX_LINE else "")
                held += len(text)
                continue
            yield self._joined(begun, held, text[:end]) if begun else text[:end]
            begun = [text[end:]]
            held = len(text) - end
        if held or half:
            yield self._joined(begun, held, half)

    @staticmethod
    def _joined(begun: list[str], held: int, block: str) -> str:
        if held <= MAX_LINE:
            return "".join((*begun, block))
        line, *rest = lines_of(block or "\n")
        return "".join((TOO_LONG, line[len(line.rstrip("\r\n")) :], *rest))

    def _without_preamble(self, blocks: Iterator[str]) -> Iterator[str]:
        for block in blocks:
            if len(self.preamble) == self._skip:
                yield block
                continue
            lines = lines_of(block)
            missing = self._skip - len(self.preamble)
            self.preamble += [line[:_PREAMBLE_LINE] for line in lines[:missing]]
            if len(lines) > missing:
                yield "".join(lines[missing:])

    def _without_trailer(self, blocks: Iterator[str]) -> Iterator[str]:
        held: list[str] = []
        size = 0
        for block in blocks:
            held += lines_of(block)
            size += len(block)
            cut = _before_last(held, self._footer)
            if cut:
                ready = "".join(held[:cut])
                size -= len(ready)
                del held[:cut]
                yield ready
            # A blank line takes as much as its place in the list.
            if size + 8 * len(held) > MAX_HELD:
                raise trailer_too_long(self._footer)
        self.trailer = [line.rstrip("\r\n") for line in held if line.strip("\r\n")]


def _before_last(lines: list[str], count: int) -> int:
    """The index before the last `count` lines that are not blank; 0 when there are not as many."""
    for index in range(len(lines) - 1, -1, -1):
        if lines[index].strip("\r\n"):
            count -= 1
            if not count:
                return index
    return 0


def lines_of(block: str) -> list[str]:
    """A block's lines with their ends; only \\n, \\r and \\r\\n end a line."""
    return io.StringIO(block, newline="").readlines()
