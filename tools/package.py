"""`python tools/package.py` builds what is deployed, in `.package/`: our code, and in `.python_packages/` its packages.

For CPython 3.13 on Linux, whatever Python and system build it: only wheels, those of requirements.txt by their hashes.
The remote build of Azure Functions has been seen to run Python 3.11 for an app of 3.13 (Azure/azure-dev#8538): what has
a marker for 3.13 is left out then, it "succeeds", and no function appears. So nothing is built there.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
PYTHON = "3.13"
DEPLOYED = ("connector", "function_app.py", "host.json", "requirements.txt")
# The local Entra, with all that needs it.
NOT_DEPLOYED = "connector/sandbox/"
SITE_PACKAGES = ".python_packages/lib/site-packages"
# What Azure's image for Python 3.13 takes; pip adds no older tag to a newer one by itself (PEP 600).
PLATFORMS = (*(f"manylinux_2_{minor}_x86_64" for minor in range(28, 4, -1)), "manylinux2014_x86_64")
TARGET: Mapping[str, str] = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": f"{PYTHON}.0",
    "python_version": PYTHON,
    "sys_platform": "linux",
}
# Without these the host of 3.13 finds no function, and says so nowhere.
NEEDED = ("azure/functions", "azure_functions_runtime", "azurefunctions/extensions/bindings/blob")


class NotBuilt(Exception):
    """The message says what failed and what to do."""


def main(project: Path = PROJECT) -> int:
    """The exit code: 0 when the package is there, 1 (with the reason on stderr) when not."""
    package = project / ".package"
    try:
        build(project, package)
    except NotBuilt as error:
        print(f"package: {error}", file=sys.stderr)
        return 1
    interpreter = sys.executable if sys.version.startswith(f"{PYTHON}.") else shutil.which(f"python{PYTHON}")
    if interpreter is None or not compile_all(interpreter, package):
        print(f"package: there is no Python {PYTHON} here to compile it, so each cold start does: two seconds more")
    size = sum(path.stat().st_size for path in package.rglob("*") if path.is_file())
    print(f"package: {package.relative_to(project)} for Python {PYTHON}, {size / 1e6:.0f} MB")
    return 0


def build(project: Path, package: Path) -> None:
    """Leaves the whole package behind. Raises NotBuilt."""
    shutil.rmtree(package, ignore_errors=True)
    for source in deployed(project):
        target = package / source.relative_to(project)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    site_packages = package / SITE_PACKAGES
    with tempfile.TemporaryDirectory() as folder:
        chosen = Path(folder) / "requirements.txt"
        chosen.write_text("\n".join(for_target((project / "requirements.txt").read_text("utf-8"))), "utf-8")
        done = subprocess.run(install(chosen, site_packages), capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.splitlines()
        said = "\n".join(f"  {line}" for line in [line for line in lines if line.startswith("ERROR")] or lines[-3:])
        raise NotBuilt(f"pip found no wheels for Python {PYTHON} on Linux; is its registry reached?\n{said}")
    if missing := [name for name in NEEDED if not (site_packages / name).is_dir()]:
        raise NotBuilt(
            f"requirements.txt brings no {', '.join(missing)} for Python {PYTHON}; restore it, or `make lock`"
        )


def compile_all(interpreter: str, package: Path) -> bool:
    """Bytecode beside each module, which is not compared with it: packing changes times. Whether there is any."""
    # With a file of its own, azd leaves nothing out; without one, bytecode.
    (package / ".funcignore").write_text("# Nothing of this folder is left out.\n", "utf-8")
    command = [interpreter, "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash", str(package)]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return any(package.rglob("*.pyc"))


def deployed(project: Path) -> Iterator[Path]:
    """Files of ours that are deployed: named ones, so that whatever else lies in the folder stays here."""
    for name in DEPLOYED:
        top = project / name
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            inside = path.relative_to(project).as_posix()
            if path.is_file() and path.suffix != ".pyc" and not inside.startswith(NOT_DEPLOYED):
                yield path


def for_target(locked: str) -> Iterator[str]:
    """The lines of the lock that apply there, without their markers: pip would ask the Python that it runs on."""
    try:
        from packaging.markers import Marker
    except ModuleNotFoundError:
        raise NotBuilt(
            f"{sys.executable} has no `packaging`: python -m pip install -r requirements.txt, then try again"
        ) from None
    applies = True
    for line in locked.splitlines():
        if re.match(r"[A-Za-z0-9]", line):
            pin, _, marker = line.removesuffix("\\").partition(" ; ")
            applies = not marker or Marker(marker).evaluate(dict(TARGET))
            if applies:
                yield f"{pin.strip()} \\"
        elif applies and not line.lstrip().startswith("#"):
            yield line


def install(requirements: Path, target: Path) -> list[str]:
    """The command. All that is needed is locked, so nothing is resolved; what comes without a wheel is refused."""
    tags = [f"--platform={platform}" for platform in PLATFORMS]
    tags += [f"--abi={abi}" for abi in (f"cp{PYTHON.replace('.', '')}", "abi3", "none")]
    return [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"),
        *("--no-deps", "--require-hashes", "--only-binary=:all:", f"--python-version={PYTHON}", "--implementation=cp"),
        *(*tags, "--target", str(target), "--requirement", str(requirements)),
    ]


if __name__ == "__main__":
    sys.exit(main())
