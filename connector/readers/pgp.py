"""OpenPGP with `pysequoia`, the binding of Sequoia, which is kept up with RFC 9580; PGPy and its like are not.

Its `decrypt` works in memory and cannot be told to stop: a message of 4 MB may become 4 GB. Its `decrypt_file` writes to
a file, which may be a pipe: so what comes out is measured while it comes. What goes in is a file in memory, since
Python's lock is held until its beginning has been understood.
"""

from __future__ import annotations

import io
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, BinaryIO, TypeVar

from connector.readers.archive import MAX_RATIO, RATIO_FROM
from connector.readers.table import Unreadable

T = TypeVar("T")

MAX_ENCRYPTED = 128 * 1024 * 1024
MAX_DECRYPTED = 256 * 1024 * 1024
_PIECE = 64 * 1024


def decrypt(
    stream: BinaryIO,
    *,
    private_key: bytes,
    passphrase: str | None,
    signers: Sequence[bytes],
    name: str = "the drop",
    max_encrypted: int = MAX_ENCRYPTED,
    max_decrypted: int = MAX_DECRYPTED,
) -> BinaryIO:
    """The content of an OpenPGP message (binary or armored), in memory and seekable.

    `private_key` is a transferable secret key. With `signers` (certificates) one of them must have signed the message;
    without, signatures are not looked at. Sizes are in bytes. Raises `DropUnusable(name, …)` with the reason: no
    OpenPGP message, for another key, damaged, not signed by a signer, too large, or a key that cannot be used.
    """
    try:
        return _decrypt(stream, private_key, passphrase, signers, max_encrypted, max_decrypted)
    except Unreadable as fault:
        raise fault.of(name) from None


def _decrypt(
    stream: BinaryIO,
    private_key: bytes,
    passphrase: str | None,
    signers: Sequence[bytes],
    max_encrypted: int,
    max_decrypted: int,
) -> BinaryIO:
    # Imported only when a feed has encrypted drops.
    import pysequoia

    def decryptor() -> Any:
        return pysequoia.Tsk.from_bytes(private_key).decryptor(passphrase)

    key = _guarded(
        decryptor,
        lambda _: Unreadable(
            "the private key cannot be used, or its passphrase is wrong", "correct pgp: key in the feed file"
        ),
    )
    certificates: list[pysequoia.Cert] = []
    for signer in signers:
        certificates += _guarded(
            partial(pysequoia.Cert.split_bytes, signer),
            lambda _: Unreadable("a signer's certificate cannot be read", "correct pgp: signed_by in the feed file"),
        )
    store = (lambda _ids: certificates) if signers else None
    with _in_memory(stream, max_encrypted) as source:
        piped = _Piped(packed=os.fstat(source).st_size, limit=max_decrypted)
        decrypted = piped.run(
            lambda target: pysequoia.decrypt_file(f"/dev/fd/{source}", target, decryptor=key, store=store)
        )
    fingerprints = {certificate.fingerprint for certificate in certificates}
    if signers and not any(signature.certificate in fingerprints for signature in decrypted.valid_sigs):
        raise Unreadable(
            "no signature of a known signer is on the file", "it is not from whom it should be: ask the sender"
        )
    return piped.content


@contextmanager
def _in_memory(stream: BinaryIO, limit: int) -> Iterator[int]:
    """The stream's bytes as an open file."""
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("drop")
    else:  # On a Mac, which is a developer's; what is in it is encrypted.
        file, path = tempfile.mkstemp()
        os.unlink(path)
    with open(file, "r+b", buffering=0) as held:
        size = 0
        blank = True
        while piece := stream.read(_PIECE):
            size += len(piece)
            blank = blank and not piece.strip()
            if size > limit:
                raise Unreadable(f"the encrypted file has more than {limit:,} bytes", "split it: this bound is fixed")
            held.write(piece)
        if blank:
            raise Unreadable("the file is empty", "send it again")
        held.seek(0)
        yield file


class _Piped:
    """Collects what a function writes that knows only files, within bounds."""

    def __init__(self, *, packed: int, limit: int) -> None:
        self.content = io.BytesIO()
        self._packed = packed
        self._limit = limit

    def run(self, call: Callable[[str], T]) -> T:
        """The function's result; what it wrote is of no use before it has returned."""
        written, target = os.pipe()
        result: list[T] = []
        failed: list[BaseException] = []

        def work() -> None:
            try:
                result.append(call(f"/dev/fd/{target}"))
            except BaseException as error:
                failed.append(error)
            finally:
                # Whoever reads what it wrote comes to an end.
                os.close(target)

        worker = threading.Thread(target=work, name="pgp", daemon=True)
        worker.start()
        try:
            with open(written, "rb", buffering=0) as output:
                self._collect(output)
        finally:
            # Where too much came, it finds the pipe closed.
            worker.join()
        if failed:
            _guarded(partial(_raise, failed[0]), _reason)
        # As long as it is, so that a reader of the whole makes no copy.
        self.content.getvalue()
        self.content.seek(0)
        return result[0]

    def _collect(self, output: io.RawIOBase) -> None:
        size = 0
        while piece := output.read(_PIECE):
            size += len(piece)
            if size > self._limit:
                raise Unreadable(
                    f"the file has more than {self._limit:,} bytes when it is decrypted",
                    "split it, or compress it before it is encrypted: this bound is fixed",
                )
            if size > RATIO_FROM and size > MAX_RATIO * self._packed:
                raise Unreadable(
                    f"the file becomes more than {MAX_RATIO} times its size when it is decrypted",
                    "encrypt it without compression: this bound is fixed",
                )
            self.content.write(piece)


def _raise(error: BaseException) -> None:
    raise error


def _guarded(call: Callable[[], T], reason: Callable[[str], Unreadable]) -> T:
    try:
        return call()
    except BaseException as error:
        # A panic in Rust arrives as a BaseException of its own, which no module exports.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        if isinstance(error, MemoryError):
            raise
        # The first line is Sequoia's message; a stack trace follows.
        raise reason(str(error).partition("\n")[0]) from None


def _reason(message: str) -> Unreadable:
    if "No key to decrypt" in message:
        return Unreadable(
            "the file is encrypted for another key", "encrypt it for the key that the feed's pgp section names"
        )
    if "ignature" in message:
        return Unreadable(
            "the file has no valid signature of a known signer", "it is not from whom it should be: ask the sender"
        )
    return Unreadable(
        "the file is no OpenPGP message, or is damaged", "it must be encrypted with OpenPGP: send it again"
    )
