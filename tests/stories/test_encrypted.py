"""`pgp:` end to end: through `python -m connector preview`, and through ticks against a storage account."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pysequoia
import pytest

from connector.sandbox.servers import PROJECT
from tests.kit.account import PATIENCE, Account, adds_up, outcomes, rows
from tests.kit.command import command
from tests.kit.people import csv_of, feed_file, ids, workers
from tests.kit.privacy import Collector, leaks, text_of
from tests.kit.stranger import Stranger

OURS = pysequoia.Tsk.generate("Connector <connector@example.org>")
VENDOR = pysequoia.Tsk.generate("Vendor <vendor@example.org>")
STRANGER = pysequoia.Tsk.generate("Stranger <stranger@example.org>")

PASSPHRASE = "correct horse 7412 "
"""Its last character is a blank: what is cut off a passphrase makes another one of it."""
LOCKED = """\
-----BEGIN PGP PRIVATE KEY BLOCK-----

lIYEXgvhABYJKwYBBAHaRw8BAQdAvXnw/1+JI3bAuOFC8CDnUYgaBz3vs74djd7K
3cpJJjr+BwMCpJUDzqPPTSH/dD+GaaBcrz1VspaI+V8pQingg3j6LUTixKGDKQQ4
FTbTHbuuVYWq1mMiOv0IOJxBJB/j/K7MvYix1klW+TdYyQ4UV5Fkg7QhQ29ubmVj
dG9yIDxjb25uZWN0b3JAZXhhbXBsZS5vcmc+iJAEExYIADgWIQTrAvYa8PC8U+5g
ah2otoyCdvrHEQUCXgvhAAIbAQULCQgHAgYVCgkICwIEFgIDAQIeAQIXgAAKCRCo
toyCdvrHEbvSAP4kqAWqS3apzItTXofDwLYvMRxF6lRYqvDzM99w/cFi9AEA3pBt
Q2NymzSmeq5/bFcamkm5asxkWq/+JAnxQGX9CgiciwReC+EAEgorBgEEAZdVAQUB
AQdAA5aKHecbmHyS8RKqXF17Ax9drbdtKivfe35wSLPfC2IDAQgH/gcDAqCZIFVN
wmhJ/27AeGaYR1zPOn861ULOO6tQWcxV6KEuw7s2F6vbjpCAN8VMyQq5YLi6Vn1q
DSsk6YBFNG6I12AYFJoD29fMOMBwFdA9+LqIeAQYFggAIBYhBOsC9hrw8LxT7mBq
Hai2jIJ2+scRBQJeC+EAAhsMAAoJEKi2jIJ2+scRdksBAIwOiuzyKhIfN4XZ9LYj
UVVvqOsYn8wTdAhJiO3XuHvuAQD7rFmnEQeACL/oSMTd+szPk3r2hrfaOHBFKAHC
4xGrDw==
=++70
-----END PGP PRIVATE KEY BLOCK-----
"""
"""Made by GnuPG for this test, since pysequoia makes none with a passphrase."""

DROP = csv_of(workers(3))
UNSIGNED = (
    "the file has no valid signature of a known signer",
    "it is not from whom it should be: ask the sender",
)
DAMAGED = (
    "the file is no OpenPGP message, or is damaged",
    "it must be encrypted with OpenPGP: send it again",
)
UNLOCKABLE = (
    "the private key cannot be used, or its passphrase is wrong",
    "correct pgp: key in the feed file",
)


@dataclass(slots=True)
class Keys:
    """A folder with our private key and what else a feed names with `file:`."""

    folder: Path
    secrets: list[str] = field(default_factory=list)

    def file(self, name: str, content: str) -> str:
        (self.folder / name).write_text(content)
        return f"file:{self.folder / name}"

    def private(self, name: str, key: str) -> str:
        # Any line of the armour is as good as the key to whoever finds it.
        self.secrets += [line for line in key.splitlines() if len(line) == 64]
        return self.file(name, key)

    def feed(self, *, key: str = "", signed_by: str = "", passphrase: str = "") -> str:
        key = key or self.private("ours.asc", str(OURS))
        parts = [f"key: '{key}'"]
        parts += [f"signed_by: ['{signed_by}']"] if signed_by else []
        parts += [f"passphrase: '{passphrase}'"] if passphrase else []
        return f"{feed_file()}pgp: {{{', '.join(parts)}}}\n"

    def vendor(self) -> str:
        return self.file("vendor.asc", public(VENDOR))

    def found_in(self, text: str) -> list[str]:
        return [secret for secret in self.secrets if secret in text]


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


def public(key: pysequoia.Tsk) -> str:
    return str(key.extract_certificate())


def encrypted(
    content: bytes = DROP,
    *,
    to: pysequoia.Tsk = OURS,
    signed: pysequoia.Tsk | None = None,
    armor: bool = False,
) -> bytes:
    signer = signed.signer() if signed else None
    return bytes(pysequoia.encrypt(recipients=[to.extract_certificate()], bytes=content, signer=signer, armor=armor))


def damaged() -> bytes:
    data = bytearray(encrypted(signed=VENDOR))
    data[-20] ^= 1
    return bytes(data)


def written(account: Account) -> str:
    """All that the connector keeps and reports, unpacked."""
    blobs = account.runs() | account.summaries()
    return "\n".join((gzip.decompress(d) if n.endswith(".gz") else d).decode() for n, d in blobs.items())


def files(folder: Path, feed: str, name: str, content: bytes) -> tuple[str, str]:
    """The arguments of `preview`."""
    (folder / "people.yaml").write_text(feed)
    (folder / name).write_bytes(content)
    return str(folder / "people.yaml"), str(folder / name)


def previewed(folder: Path, feed: str, name: str, content: bytes, before: str) -> tuple[int, bytes, str]:
    """Exit code, bodies and what is said of them, of `python -m connector preview`; `before` is Python to run first."""
    program = f"{before}\nfrom connector.__main__ import main\nimport sys\nsys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program, "preview", *files(folder, feed, name, content)],
        cwd=PROJECT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        check=False,
        timeout=PATIENCE,
    )
    return done.returncode, done.stdout, done.stderr.decode()


IMPORTED = """
import atexit, sys
wanted = ("pysequoia", "azure.keyvault.secrets")
atexit.register(lambda: print("imported:", *(name for name in wanted if name in sys.modules), file=sys.stderr))
"""


def test_preview_decrypts_with_a_key_file_what_only_then_loads_openpgp(keys: Keys) -> None:
    counts = "3 rows: 3 send; 1 bulk requests\n"
    plain = previewed(keys.folder, feed_file(), "today.csv", DROP, IMPORTED)
    assert (plain[0], plain[2]) == (0, f"{counts}imported:\n")
    secret = previewed(
        keys.folder, keys.feed(signed_by=keys.vendor()), "today.csv.pgp", encrypted(signed=VENDOR), IMPORTED
    )
    assert secret == (0, plain[1], f"{counts}imported: pysequoia\n")


def test_preview_says_why_it_cannot_decrypt_and_shows_nothing(keys: Keys) -> None:
    feed = keys.feed(signed_by=keys.vendor())
    ran = command("preview", *files(keys.folder, feed, "today.csv.pgp", encrypted(signed=STRANGER)))
    said = f"{keys.folder}/today.csv.pgp: {UNSIGNED[0]} ({UNSIGNED[1]})\n"
    assert (ran.code, ran.output, ran.errors) == (2, "", said)


def test_encrypted_drops_come_home_binary_armoured_packed_and_signed(
    account: Account, graph: Stranger, keys: Keys, collected: Collector
) -> None:
    account.feed("people", keys.feed(signed_by=keys.vendor()))
    drops = {
        "a.csv.pgp": encrypted(csv_of(workers(2, first=10)), signed=VENDOR),
        "b.csv.gpg": encrypted(csv_of(workers(2, first=20)), signed=VENDOR, armor=True),
        "c.csv.gz.PGP": encrypted(gzip.compress(csv_of(workers(2, first=30))), signed=VENDOR),
    }
    for name, content in drops.items():
        account.drop(f"people/{name}", content)
    collected.take()

    account.bring_home("people")

    summaries = [
        json.loads(data)
        for name, data in account.summaries().items()
        if name.endswith(".json") and "/latest" not in name
    ]
    assert {s["drop"]["name"]: (s["state"], s["rows"], s["outcomes"], s["drop"]["bytes"]) for s in summaries} == {
        name: ("settled", rows(sent=2), outcomes(created=2), len(content)) for name, content in drops.items()
    }
    assert sorted(graph.people) == [key for first in (10, 20, 30) for key in ids(workers(2, first=first))]
    records = "\n".join(text_of(record) for record in collected.records)
    kept = written(account)
    assert (keys.found_in(records), keys.found_in(kept), leaks(kept)) == ([], [], [])


def test_a_drop_that_cannot_be_trusted_is_rejected_as_a_whole_with_the_reason(
    account: Account, graph: Stranger, keys: Keys, collected: Collector
) -> None:
    cases = {
        "another": (encrypted(to=STRANGER, signed=VENDOR), "the file is encrypted for another key"),
        "plain": (DROP, DAMAGED[0]),
        "damaged": (damaged(), DAMAGED[0]),
        "cut": (encrypted(signed=VENDOR)[:-30], DAMAGED[0]),
        "empty": (b"", "the file is empty"),
        "unsigned": (encrypted(), UNSIGNED[0]),
        "forged": (encrypted(signed=STRANGER), UNSIGNED[0]),
    }
    feed = keys.feed(signed_by=keys.vendor())
    for name, (content, _) in cases.items():
        account.feed(name, feed)
        account.drop(f"{name}/today.csv.pgp", content)
    collected.take()

    account.tick_here()

    found = {name: account.summary(name) for name in cases}
    assert {name: (s["state"], s["problem"]["code"], s["problem"]["message"]) for name, s in found.items()} == {
        name: ("rejected", "drop", message) for name, (_, message) in cases.items()
    }
    assert {name: s["rows"] for name, s in found.items()} == dict.fromkeys(cases, rows())
    assert [name for name, s in found.items() if not (adds_up(s) and s["problem"]["advice"])] == []
    kept = written(account)
    records = "\n".join(text_of(record) for record in collected.records)
    assert (graph.bodies, leaks(kept), keys.found_in(kept), keys.found_in(records)) == ([], [], [], [])


def test_a_mended_feed_file_brings_the_rejected_drop_home(account: Account, graph: Stranger, keys: Keys) -> None:
    account.feed("people", keys.feed(key=keys.private("wrong.asc", str(STRANGER))))
    account.drop("people/today.csv.pgp", encrypted())
    account.tick_here()
    assert account.summary("people")["problem"]["message"] == "the file is encrypted for another key"
    account.feed("people", keys.feed())
    assert account.bring_home("people")["outcomes"] == outcomes(created=3)


def test_a_key_with_a_passphrase_needs_exactly_that(
    account: Account, graph: Stranger, keys: Keys, collected: Collector
) -> None:
    key = keys.private("locked.asc", LOCKED)
    keys.secrets.append(PASSPHRASE)
    passphrases = {
        "right": keys.file("right", f"{PASSPHRASE}\n"),
        "trimmed": keys.file("trimmed", PASSPHRASE.strip()),
        "wrong": keys.file("wrong", "battery staple"),
        "none": "",
    }
    (keys.folder / "binary").write_bytes(b"\xff\xfe\x00")
    passphrases["binary"] = f"file:{keys.folder / 'binary'}"
    secret = encrypted(to=pysequoia.Tsk.from_bytes(LOCKED.encode()))
    for name, passphrase in passphrases.items():
        account.feed(name, keys.feed(key=key, passphrase=passphrase))
        account.drop(f"{name}/today.csv.pgp", secret)
    collected.take()

    account.bring_home(*passphrases)

    assert account.summary("right")["outcomes"] == outcomes(created=3)
    refused = {name: account.summary(name) for name in passphrases if name != "right"}
    assert {name: (s["state"], s["problem"]["message"]) for name, s in refused.items()} == {
        **dict.fromkeys(("trimmed", "wrong", "none"), ("rejected", UNLOCKABLE[0])),
        "binary": ("rejected", f"what {passphrases['binary']} names is no UTF-8 text"),
    }
    kept = written(account)
    records = "\n".join(text_of(record) for record in collected.records)
    assert (keys.found_in(kept), keys.found_in(records)) == ([], [])
    assert graph.people == ids(workers(3))


def test_a_key_file_that_is_not_there_is_named_by_the_summary(account: Account, graph: Stranger, keys: Keys) -> None:
    account.feed("people", keys.feed(key=f"file:{keys.folder / 'nowhere.asc'}"))
    account.drop("people/today.csv.pgp", encrypted())
    account.tick_here()
    summary = account.summary("people")
    assert (summary["state"], summary["problem"]["message"], graph.bodies) == (
        "rejected",
        f"file:{keys.folder / 'nowhere.asc'} cannot be read: No such file or directory",
        [],
    )


def test_a_tick_whose_feeds_have_no_pgp_loads_neither_openpgp_nor_key_vault(account: Account, graph: Stranger) -> None:
    account.feed("people")
    account.drop("people/today.csv", DROP)
    done = subprocess.run(
        [sys.executable, "-c", f"{IMPORTED}\nfrom connector.__main__ import main\nsys.exit(main())", "tick"],
        cwd=PROJECT,
        env={"PATH": os.environ["PATH"], **account.environment},
        capture_output=True,
        check=False,
        text=True,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stderr, graph.people) == (0, "imported:\n", ids(workers(3)))
