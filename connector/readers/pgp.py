"""OpenPGP with `pysequoia`, the binding of Sequoia, which is kept up with RFC 9580; PGPy and its like are not.

Its `decrypt` cannot be told to stop: a message of 4 MB may become 4 GB. `decrypt_file` stops where the file that it
writes cannot grow any more. The files are in memory.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, BinaryIO, Protocol, TypeVar

from connector.readers.archive import MAX_RATIO, RATIO_FROM
from connector.readers.table import Unreadable

T = TypeVar("T")

MAX_ENCRYPTED = 128 * 1024 * 1024
MAX_DECRYPTED = 256 * 1024 * 1024
_PIECE = 64 * 1024


class Files(Protocol):
    """Where there is a file in memory, which cannot grow beyond a size (`outside.memory_files`)."""

    def new(self) -> BinaryIO: ...
    def limited(self, size: int) -> AbstractContextManager[None]: ...


def decrypt(
    stream: BinaryIO,
    *,
    private_key: bytes,
    passphrase: str | None,
    signers: Sequence[bytes],
    files: Files,
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
        return _decrypt(stream, private_key, passphrase, signers, files, max_encrypted, max_decrypted)
    except Unreadable as fault:
        raise fault.of(name) from None


def _decrypt(
    stream: BinaryIO,
    private_key: bytes,
    passphrase: str | None,
    signers: Sequence[bytes],
    files: Files,
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
    with files.new() as source, _closed_unless_used(files.new()) as target:
        packed = _filled(source, stream, max_encrypted)
        enough = min(max_decrypted, max(RATIO_FROM, MAX_RATIO * packed))
        with files.limited(enough + 1):
            try:
                decrypted = _guarded(
                    lambda: pysequoia.decrypt_file(_path(source), _path(target), decryptor=key, store=store), _reason
                )
            except Unreadable:
                _check_size(target, enough, max_decrypted)
                raise
        _check_size(target, enough, max_decrypted)
        fingerprints = {certificate.fingerprint for certificate in certificates}
        if signers and not any(signature.certificate in fingerprints for signature in decrypted.valid_sigs):
            raise Unreadable(
                "no signature of a known signer is on the file", "it is not from whom it should be: ask the sender"
            )
        target.seek(0)
        return target


def _path(file: BinaryIO) -> str:
    return f"/dev/fd/{file.fileno()}"


@contextmanager
def _closed_unless_used(file: BinaryIO) -> Iterator[BinaryIO]:
    try:
        yield file
    except BaseException:
        file.close()
        raise


def _filled(file: BinaryIO, stream: BinaryIO, limit: int) -> int:
    """Copies the stream into the file; its size."""
    size = 0
    blank = True
    while piece := stream.read(_PIECE):
        size += len(piece)
        blank = blank and not piece.strip()
        if size > limit:
            raise Unreadable(f"the encrypted file has more than {limit:,} bytes", "split it: this bound is fixed")
        file.write(piece)
    if blank:
        raise Unreadable("the file is empty", "send it again")
    file.seek(0)
    return size


def _check_size(file: BinaryIO, enough: int, limit: int) -> None:
    if file.seek(0, io.SEEK_END) <= enough:
        return
    if enough == limit:
        raise Unreadable(
            f"the file has more than {limit:,} bytes when it is decrypted",
            "split it, or compress it before it is encrypted: this bound is fixed",
        )
    raise Unreadable(
        f"the file becomes more than {MAX_RATIO} times its size when it is decrypted",
        "encrypt it without compression: this bound is fixed",
    )


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
