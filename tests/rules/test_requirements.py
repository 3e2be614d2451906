"""What is installed is locked: every package by version and hashes, for the Python of Azure and for this one."""

from __future__ import annotations

import re
import subprocess
from importlib import metadata
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement

from tools.package import TARGET

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements", "requirements-dev", "requirements-checkov", "requirements-node")


def chosen(name: str) -> list[Requirement]:
    """What somebody chose: the lines of `<name>.in`."""
    lines = (ROOT / f"{name}.in").read_text("utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def locked(name: str) -> list[tuple[Requirement, list[str]]]:
    """The pins of `<name>.txt`, each with its hashes."""
    text = (ROOT / f"{name}.txt").read_text("utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    return [(Requirement(line.partition(" --hash=")[0]), re.findall(r"--hash=(\S+)", line)) for line in lines]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_is_pinned_with_its_hashes(name: str) -> None:
    loose = [
        str(pin)
        for pin, hashes in locked(name)
        if not re.fullmatch(r"==[^,*]+", str(pin.specifier))
        or not hashes
        or not all(re.fullmatch(r"sha256:[0-9a-f]{64}", found) for found in hashes)
    ]
    assert loose == []
    assert len(locked(name)) > len(chosen(name))


@pytest.mark.parametrize("name", LOCKS)
def test_the_lock_has_what_was_chosen(name: str) -> None:
    pins = {(normal(pin.name), str(pin.specifier)) for pin, _ in locked(name)}
    assert {(normal(pin.name), str(pin.specifier)) for pin in chosen(name)} - pins == set()


@pytest.mark.parametrize("environment", [TARGET, None], ids=["Azure", "this Python"])
@pytest.mark.parametrize("name", ["requirements", "requirements-dev"])
def test_whatever_a_locked_package_needs_is_locked_too(name: str, environment: dict[str, str] | None) -> None:
    """So that `pip install` alone works: with hashes it takes nothing that has none."""
    asked = {"extra": "", **(environment or {})}
    pins = [pin for pin, _ in locked(name) if pin.marker is None or pin.marker.evaluate(environment)]
    there = {normal(pin.name) for pin in pins}
    missing = []
    for pin in pins:
        try:
            needs = metadata.requires(pin.name) or []
        except metadata.PackageNotFoundError:
            continue
        extras = pin.extras or {""}
        for need in map(Requirement, needs):
            if need.marker is None or any(need.marker.evaluate({**asked, "extra": extra}) for extra in extras):
                missing += [f"{pin.name} needs {need.name}"] if normal(need.name) not in there else []
    assert missing == []


def test_developers_have_the_versions_that_run_in_azure() -> None:
    running = {(normal(pin.name), str(pin.marker)): pin.specifier for pin, _ in locked("requirements")}
    differ = [
        str(pin)
        for pin, _ in locked("requirements-dev")
        if running.get((normal(pin.name), str(pin.marker)), pin.specifier) != pin.specifier
    ]
    assert differ == []


def test_the_tests_worker_is_the_locked_one() -> None:
    """On Python 3.11 it is installed in spite of its marker: the Makefile takes its lines out of the lock."""
    (line,) = re.findall(r"^\t(sed .+) > \$\(VENV\)/worker\.txt$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    done = subprocess.run(["sh", "-c", line], cwd=ROOT, capture_output=True, text=True, check=True)
    [(pin, hashes)] = [found for found in locked("requirements") if found[0].name == "azure-functions-runtime"]
    assert pin.marker == Marker("python_full_version >= '3.13'")
    assert done.stdout.replace("\\\n", " ").split() == [
        f"{pin.name}{pin.specifier}",
        *(f"--hash={it}" for it in hashes),
    ]


def test_the_locks_are_made_by_the_command_that_their_heads_name() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8").replace("\\\n", " ")
    (made,) = re.findall(r"uv (pip compile .+?) ?\|\| exit", makefile)
    for name in LOCKS:
        head = (ROOT / f"{name}.txt").read_text("utf-8").splitlines()[1]
        given = set(made.replace("$(UPGRADE)", "").replace("$$name", name).split()) - {"--quiet"}
        assert set(head.lstrip("# ").split()) == {"uv", *given}
