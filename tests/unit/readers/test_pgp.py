from __future__ import annotations

import io

import pysequoia
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.readers.pgp import decrypt
from connector.vocabulary.errors import DropUnusable

CSV = b"id,name\n1,a\n"
OURS = pysequoia.Tsk.generate("Connector <connector@example.com>")
VENDOR = pysequoia.Tsk.generate("Vendor <vendor@example.com>")
STRANGER = pysequoia.Tsk.generate("Stranger <stranger@example.com>")


def public(key: pysequoia.Tsk) -> bytes:
    return str(key.extract_certificate()).encode()


def encrypted(*, to: pysequoia.Tsk = OURS, signed: pysequoia.Tsk | None = None, armor: bool = True) -> bytes:
    signer = signed.signer() if signed else None
    return bytes(pysequoia.encrypt(recipients=[to.extract_certificate()], bytes=CSV, signer=signer, armor=armor))


def decrypted(data: bytes, *, key: bytes = bytes(OURS), signers: tuple[bytes, ...] = (), **limits: int) -> bytes:
    return decrypt(io.BytesIO(data), private_key=key, passphrase=None, signers=signers, name="x.pgp", **limits).read()


def refusal(data: bytes, *, key: bytes = bytes(OURS), signers: tuple[bytes, ...] = (), **limits: int) -> str:
    with pytest.raises(DropUnusable) as caught:
        decrypted(data, key=key, signers=signers, **limits)
    assert caught.value.name == "x.pgp"
    return caught.value.faults[0].message


@pytest.mark.parametrize("armor", [True, False])
@pytest.mark.parametrize("key", [bytes(OURS), str(OURS).encode()])
def test_a_message_for_our_key_is_decrypted(armor: bool, key: bytes) -> None:
    assert decrypted(encrypted(armor=armor), key=key) == CSV


def test_a_known_signer_is_accepted_and_only_that() -> None:
    signers = (public(STRANGER), public(VENDOR))
    assert decrypted(encrypted(signed=VENDOR), signers=signers) == CSV
    assert decrypted(encrypted(signed=VENDOR)) == CSV
    message = "the file has no valid signature of a known signer"
    assert refusal(encrypted(signed=STRANGER), signers=(public(VENDOR),)) == message
    assert refusal(encrypted(), signers=(public(VENDOR),)) == message


def test_what_cannot_be_decrypted_says_why() -> None:
    damaged = bytearray(encrypted(armor=False))
    damaged[-20] ^= 1
    assert refusal(encrypted(to=VENDOR)) == "the file is encrypted for another key"
    assert refusal(CSV) == "the file is no OpenPGP message, or is damaged"
    assert refusal(bytes(damaged)) == "the file is no OpenPGP message, or is damaged"
    assert refusal(encrypted(armor=False)[:-30]) == "the file is no OpenPGP message, or is damaged"
    assert refusal(b"") == "the file is empty"


def test_a_key_that_is_none_says_so() -> None:
    assert refusal(encrypted(), key=b"rubbish") == "the private key cannot be used, or its passphrase is wrong"
    assert refusal(encrypted(), key=public(OURS)) == "the private key cannot be used, or its passphrase is wrong"
    assert refusal(encrypted(), signers=(b"rubbish",)) == "a signer's certificate cannot be read"


def test_sizes_are_bounded() -> None:
    data = encrypted()
    assert refusal(data, max_encrypted=len(data) - 1) == f"the encrypted file has more than {len(data) - 1:,} bytes"
    assert refusal(data, max_decrypted=5) == "the file has more than 5 bytes when it is decrypted"


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda tail: encrypted(armor=False)[:60] + tail))
@settings(max_examples=100, deadline=None)
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    assert refusal(data)
