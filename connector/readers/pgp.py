"""OpenPGP with `pysequoia`, the binding of Sequoia, which is kept up with RFC 9580; PGPy and its like are not.

It works in memory only, and cannot be told to stop: hence a limit on what is given to it, and one on what comes out.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, BinaryIO, TypeVar

from connector.readers.table import Unreadable

T = TypeVar("T")

MAX_ENCRYPTED = 256 * 1024 * 1024
MAX_DECRYPTED = 1024 * 1024 * 1024


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
        return io.BytesIO(_decrypt(stream, private_key, passphrase, signers, max_encrypted, max_decrypted))
    except Unreadable as fault:
        raise fault.of(name) from None


def _decrypt(
    stream: BinaryIO,
    private_key: bytes,
    passphrase: str | None,
    signers: Sequence[bytes],
    max_encrypted: int,
    max_decrypted: int,
) -> bytes:
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
    message = stream.read(max_encrypted + 1)
    if len(message) > max_encrypted:
        raise Unreadable(f"the encrypted file has more than {max_encrypted:,} bytes", "split it")
    if not message.strip():
        raise Unreadable("the file is empty", "send it again")
    store = (lambda _ids: certificates) if signers else None
    decrypted = _guarded(lambda: pysequoia.decrypt(message, decryptor=key, store=store), _reason)
    fingerprints = {certificate.fingerprint for certificate in certificates}
    if signers and not any(signature.certificate in fingerprints for signature in decrypted.valid_sigs):
        raise Unreadable(
            "no signature of a known signer is on the file", "it is not from whom it should be: ask the sender"
        )
    content = decrypted.bytes or b""
    if len(content) > max_decrypted:
        raise Unreadable(f"the file has more than {max_decrypted:,} bytes when it is decrypted", "split it")
    return content


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
