from __future__ import annotations

import io
import os
from typing import BinaryIO, ClassVar

import pysequoia
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.outside.memory_files import MemoryFiles
from connector.readers.pgp import decrypt
from connector.vocabulary.errors import DropUnusable

CSV = b"id,name\n1,a\n"
OURS = pysequoia.Tsk.generate("Connector <connector@example.com>")
VENDOR = pysequoia.Tsk.generate("Vendor <vendor@example.com>")
STRANGER = pysequoia.Tsk.generate("Stranger <stranger@example.com>")


def public(key: pysequoia.Tsk) -> bytes:
    return str(key.extract_certificate()).encode()


def encrypted(
    *, to: pysequoia.Tsk = OURS, signed: pysequoia.Tsk | None = None, armor: bool = True, content: bytes = CSV
) -> bytes:
    signer = signed.signer() if signed else None
    return bytes(pysequoia.encrypt(recipients=[to.extract_certificate()], bytes=content, signer=signer, armor=armor))


def decrypted(data: bytes, *, key: bytes = bytes(OURS), signers: tuple[bytes, ...] = (), **limits: int) -> bytes:
    content = decrypt(
        io.BytesIO(data),
        private_key=key,
        passphrase=None,
        signers=signers,
        files=MemoryFiles(),
        name="x.pgp",
        **limits,
    )
    with content:
        return content.read()


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


BOMB = """\
-----BEGIN PGP MESSAGE-----

hF4DYYjRKfUYxScSAQdA/+8Fys3dRGFzqe2PtqlG+CfOA1/UmY0HXZ3isW8LFEww
RY4b3IIeLt/3r1/wq4McLL7Z7XMGlpaVWbRCJOqF2l4RvnepVIfjMvjoAJj9kjMC
0usBBf6ktjEe75wusepc6v2RA/jdyeM+idl5jZwMasWb/65YoAZzb5S3ppqHOXuD
9VAE6/9DYIl/Gh5Sxkrk4OOzV6zZLVa/qnEdWdEwYEVRjBV6fdwk8jeUFifC7Y86
p4wjz95LS2E3HqeQdCL63E68mWlXBY6oAc3M6pHJZSRfXXGNAy94hGm+rQo90mAK
PNkbgm5li5J94BCULESQK2XTePSQ5gnBpY1zlHzPvjJbcE8mbG8sQBgdyLJIfdYQ
SbuwKi1011gHcc5s1XYs0JHJ0aYQqcpXwf8TyewsKRt8rZyZT21i03WniIeEbwWA
duw5n2olWUsvYKRsh0+JgbSbM8VxhmdvtqNWYl3673M1kDAEWjugON9zBz8lKRvb
pjfY4C3Dre2reB45p9/4QNpxsBfLAzVmw/tW2BjYB9x96Ra/2rd0q7SMXqAKnDrv
4AquwW0OBpqlL1WNuP+O7lp50T1LRduT6kPDCplE/v05hz4JU4JG3V6YcIqH8Vic
spQwkc49T5uHLKpMF/FaoEcma4T8/MhvN1O63sZ/6h9hmgQBMkohwCK7wZhyK8C9
PCPC3WGzdmAUkwDAZXbyPNfECFpFS0ZeX+uau6ul8iCLo89Rd1Bes6qy4IrxPrun
2uY5iZcsctCFjpCDs16QRuSDAiUAFQ2v8kVfQhiQtbTc6r66Z2XKrzrYmwJHwg1f
rRfp8gRwt/FZIiwgtx5zYerlDrEryUpydZAwp3zgr285/sd2KG9Bb2FQcAZ3oy9d
3UG3iKx1FTcBo8QLyix2aRgobEWejr2GE6UX34+O0p4fEoKy5C/1qT/E6Nne/RxZ
iZDv/AH0zuNrmDHsdgwQHw3uoocls2onKBVw7NdqrnUT+n3jQbtHg/QhJaMeWe5v
1DsmLjMcMnKe2c+t/CMvJslR8CZkRZ+YVlOLqxg1PoO0aXKBuewbxaQBM3sUUomR
hn/QsY7H9moCh/ecnJ5yrMwIWfk80Dl7Nm+2WbTIWF8or/31D9lX7pTR3aDxx4Aa
59qCt/KXuGesoAGasM1BzzbQevAEAUWTalMWhwFd9/9J4GOqUepkJj4GJY91R1D/
swZ3PPlWkApMY6tZQSHI4TM34JHYBAtflvPUNQN1Yb+vLjCFiQC3sNs8aeC4Zzja
Hzta7vrU6WScLmq1t7oCsuVtuiVwYXEaEuUxKR39bx1Nf/vSX4YPQJO3tbjflyXM
863DUxKXxGcWsUMBYTg/STIKIjbWffCEHHsWTFTUP+FJptfLvgnBmDod2IdMBa7l
xF8BekVxUoNKcDrFImn9r4H5Oa2SLEewIdrohUan6rl6P3h3lGrAPbuXfSM456Rz
OePqDc+dkT/4rPbLesecJHG1xT/OsPpiT0ddzi/XSv9I/EmQXFbtqbX7fk7EZ+SO
KYmKw6WzlKwV2PnREVhddxifc6yNCJIjjGvDBGmHNNx8OgLKtQYAeqVtgoRrezm5
qB8Cv/RfhYfin4xSUALD+yqw6KzrdMXBTlkVpc7ud2eaMXf7Q5tDZRGzoB/17ctL
NXab/wTAnTl2a88iim3B+l+QmuhvrbMiuHwbi5TTX3TAlYkcp9WyKnHGxyxJjg1k
9ILR+h6Ca81iGKI32zH+dmg7qcV2/QbEVGwQdCvtt3KQJiP4qO/osQ0kUQ40nqgH
mBoZO5OJwFN8wPRhpyiRu15HdNUJvbg7azXadSh7b0TnTIGjTxECX5ymHu92J15a
ZPwqy9c0FZgKZtnehEPjQrTx1J+ck9s4NvISspWdYIyCH/h44wwY8CA85qVWBBBy
cw9y/s3Y+eLimGHSrgnLuA9q/SOQwozApeSvQDDnQC6c+ah7MFZBkn+00mduKckO
M+OTGisAofyxwYrl7i0bPsjrVh35Es0zOT9fbPlvrg7+wN8o4EMlj3B/6aKpiXDN
jjZ4V3v+bPg7MUe7njjWFd2QgftygyZasOz9B358mxtzAhKKZr+WRtHtD023zvGL
kXMxdpGHHBrwxVTjCqx1jh5FuyU37KY6A+sHQtkghPRlwf1IHo8HEvNKD/WaLCXp
6VKmN2xIsEBDtee4O/Lmi8VxGNXaXAy0Pdy1G3KutmJhDqN2VE5Yq7MFA0vd9FoB
LQdJuMXLf2Do44mFDFkjJ0L3FJtgFuqb3FCGEqp+dlRZBdqcBuvqFljgbOdz85f4
+ipRHGIQkijajtaXvxqKZNtnJfg5n9IAVjDI3BLqqnCzz7FlQRORJf/6lB58j00u
E7DgojKlWGCLM9CI4W7M2Sqcgo/z7Z5NUoEB3c8iGqlsLlCuppzNkI3wMk8WQDx/
YAIMlxloJjmvbsvF2y+slY21zZeojtwGZFwQbn/y6CQbDUgpJbKo98jnIAmBpwGS
e2L1LGxe61Gyjnxb1flCY/Rrt9n+4GEh3/fF7HyrnuYOGfC+XVzRo3sm8TrvfkXW
jvQ8DCt5YLPcOHUtQAsXRDwT1hRlJE53u0+KxliM77KlT+3K7gOpXHH8I0wpwe+2
T0NU3zJyXlYjcbBux5SiN5HkBC5D+U5OwME4kI4zulka7xaUFOYxvIFrcAD8iuv7
Ztzy9TcuA4S9NAyn4YOkrkXzsWcSTimDSJDfvPXG1gKbTRKjdITVmb9SjZ3LQlka
QaL+B3N1HGcSpCvRnL8lvRVr5swC7IV4sxGOtXCqbnph2qaAlDFh4EXA2U0s5si9
ZWMEaWVAO8OVT5bCai1+C5wkoP0wi2VBl9NFMExr5xyWEunFJApC/zi2j4cBtqfN
/973OqmI29xTUbG5++bLMmVLoYH9sJ1qOqa4+Yka4vtH+iZPgJacrOqyncprOelS
/uJyxHlGVOHVFdGm1qv/tMdC+z30G5Jzq1ICg82v7qfw6HiEWRjjWEq13BiPJZmJ
PIoJohb0sneMs+1sYUaNm+ElBrO25IdgnJ40lnuzK4iCSLyUX8lshzrOpt8YlEfH
St7JRwNIO/OkPjxD2Ufyiid64uigYelNy1W6DSD8UJzrSX6FATiVb81R6ZFKjhWY
ze2KOaPLce5Gr0KgqHr/gHVcw96R+GqXB4vvakzT09G2am8I99lbVGTzMzRH7/Y7
gu/KsWx7WCD1OUzhWEy06vjTC13etmPz4mrPxDPDkTYB/4XPtW89yZmdaVipwoMF
XRVUcKTBddOJeagdqXXgvI3g1MjSFNQQisd698/2e/Hy/FVc6gm8mKY2H3+0N+NI
1daCq7h/GEj9Y1tcb8n+izSgjmzYahVP+z72IZYczzljkMAQjHK6TLnj0nRLrlVa
scQVcBr/bCoMJCEVu2171NYKCjj2/zaLlH+SSx3naq7GoDzbi/9voI69Yv4PDYOC
3vACV9aYIOGIcXjGrtv/vzZYOyHHKY1TsHTuNMzDk4wR8LQUOCDDNjc2yvc3GDFt
9QOYW75ffz/t+DGeHUwy9sNvxwb5fwqCAjM=
=dTKB
-----END PGP MESSAGE-----
"""
BOMB_KEY = b"""\
-----BEGIN PGP PRIVATE KEY BLOCK-----

lFgEawxJGhYJKwYBBAHaRw8BAQdAFF7XK6IDRhdkT4j7Aisr8+8MW5eYtEmZeBLG
jla3SAwAAP9Wv6P9tKlRnhMAAvASEQBrGfFtbiMb9SUwzMMvEP8/qQ61tBtCb3Vu
ZHMgPGJvdW5kc0BleGFtcGxlLm9yZz6IkAQTFggAOBYhBO6epFSlAiCz8dGK9eec
0LZD20RhBQJrDEkaAhsDBQsJCAcCBhUKCQgLAgQWAgMBAh4BAheAAAoJEOec0LZD
20RhZk4BAN+JQ8K87H2Sj0FOH80rdRqyIYPllYOvrcMdnSvB7jR9AP90Pt3xn8yJ
F151tNl54ZbiU2vKg6t9aRt5YiuEMXm/BpxdBGsMSRoSCisGAQQBl1UBBQEBB0C+
C00bpentziU9T0pSIpsar3aMBOIc6sUADKHE1XKQfAMBCAcAAP9mWDUlllLn9I0Z
p4gCr4TMoumtzjsLHLvmLVLhKO2B4BGPiHgEGBYIACAWIQTunqRUpQIgs/HRivXn
nNC2Q9tEYQUCawxJGgIbDAAKCRDnnNC2Q9tEYeUrAQDuAgUoe2V+lBMyBfR+WQyq
rizpuVcXzM4pda8Gd6in9gEA112abkqkn4fil55AGsfCPjG1p0ZracoGbRP9fD2n
gAY=
=ZBq5
-----END PGP PRIVATE KEY BLOCK-----
"""


def test_a_message_that_becomes_much_larger_is_refused_while_it_is_decrypted() -> None:
    """1,114,116 bytes of one line again and again, compressed and encrypted by GnuPG for this test, with its key."""
    assert refusal(BOMB.encode(), key=BOMB_KEY) == "the file becomes more than 200 times its size when it is decrypted"


def test_what_is_decrypted_does_not_grow_beyond_its_bound() -> None:
    class Watched(MemoryFiles):
        made: ClassVar[list[BinaryIO]] = []

        def new(self) -> BinaryIO:
            # Another handle on the same file, which outlives the one that is closed.
            file = super().new()
            self.made.append(os.fdopen(os.dup(file.fileno()), "rb"))
            return file

    with pytest.raises(DropUnusable):
        decrypt(
            io.BytesIO(encrypted(content=CSV * 100_000)),
            private_key=bytes(OURS),
            passphrase=None,
            signers=(),
            files=Watched(),
            max_decrypted=50_000,
        )
    source, target = Watched.made
    with source, target:
        assert os.fstat(target.fileno()).st_size == 50_001


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda tail: encrypted(armor=False)[:60] + tail))
@settings(max_examples=100, deadline=None)
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    assert refusal(data)
