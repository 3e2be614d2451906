"""What is deployed: built here, for the Python of Azure, whatever Python builds it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.infra.bicep import ROOT, resources
from tools import package


def test_the_package_is_for_the_python_of_the_app_and_nothing_is_built_there() -> None:
    [app] = resources("modules/function-app.bicep", "Microsoft.Web/sites").values()
    assert app["properties"]["functionAppConfig"]["runtime"] == {"name": "python", "version": package.PYTHON}
    service = yaml.safe_load((ROOT / "azure.yaml").read_text("utf-8"))["services"]["connector"]
    assert (service["remoteBuild"], service["dist"], service["project"]) == (False, ".package", ".")


def test_the_package_is_built_before_azd_packs_it_in_both_shells() -> None:
    service = yaml.safe_load((ROOT / "azure.yaml").read_text("utf-8"))["services"]["connector"]
    assert {system: hook["run"] for system, hook in service["hooks"]["prepackage"].items()} == {
        "posix": "bash infra/hooks/prepackage.sh",
        "windows": "./infra/hooks/prepackage.ps1",
    }
    for ending in ("sh", "ps1"):
        assert "tools/package.py" in (ROOT / "infra/hooks" / f"prepackage.{ending}").read_text("utf-8")


def test_markers_are_those_of_the_target_and_not_of_the_python_that_builds() -> None:
    locked = (
        "# made by uv\n"
        "functions==1.0 ; python_full_version < '3.13' \\\n    --hash=sha256:a\n    # via -r requirements.in\n"
        "functions==2.0 ; python_full_version >= '3.13' \\\n    --hash=sha256:b \\\n    --hash=sha256:c\n    # via x\n"
        "windows-only==1.0 ; sys_platform == 'win32' \\\n    --hash=sha256:d\n"
        "all==1.0 \\\n    --hash=sha256:e\n"
    )
    assert list(package.for_target(locked)) == [
        "functions==2.0 \\",
        "    --hash=sha256:b \\",
        "    --hash=sha256:c",
        "all==1.0 \\",
        "    --hash=sha256:e",
    ]


def test_of_the_lock_the_package_takes_what_a_host_of_3_13_needs() -> None:
    taken = [line for line in package.for_target((ROOT / "requirements.txt").read_text("utf-8")) if "==" in line]
    functions = [line for line in taken if line.startswith("azure-functions")]
    assert functions == ["azure-functions==2.3.0 \\", "azure-functions-runtime==1.3.0 \\"]
    assert [line for line in taken if ";" in line] == []


def test_pip_takes_wheels_for_linux_alone_each_by_its_hash() -> None:
    command = package.install(Path("lock.txt"), Path("there"))
    assert command[1:4] == ["-m", "pip", "install"]
    options = {"--no-deps", "--require-hashes", "--only-binary=:all:", "--python-version=3.13", "--implementation=cp"}
    assert options <= set(command)
    assert [part for part in command if part.startswith("--abi")] == ["--abi=cp313", "--abi=abi3", "--abi=none"]
    assert {part for part in command if part.startswith("--platform") and "_x86_64" not in part} == set()
    assert command[-4:] == ["--target", "there", "--requirement", "lock.txt"]


def test_whatever_else_lies_in_the_folder_is_not_deployed() -> None:
    ours = [path.relative_to(ROOT).as_posix() for path in package.deployed(ROOT)]
    assert {path.partition("/")[0] for path in ours} == set(package.DEPLOYED)
    assert [path for path in ours if path.startswith("connector/sandbox") or path.endswith(".pyc")] == []
    # What `func azure functionapp publish` would take from the root is no more than that.
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    lines = (ROOT / ".funcignore").read_text("utf-8").splitlines()
    patterns = [line.rstrip("/") for line in lines if line and not line.startswith("#")]
    tops = {path.partition("/")[0] for path in tracked} - {".funcignore"}
    assert {top for top in tops if not any(Path(top).match(pattern) for pattern in patterns)} == set(package.DEPLOYED)


def test_bytecode_goes_along_and_is_taken_whatever_the_times_of_files(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("VALUE = 1\n", "utf-8")
    assert package.compile_all(sys.executable, tmp_path) is True
    [compiled] = (tmp_path / "__pycache__").iterdir()
    # PEP 552: by the hash of the source, which is not checked.
    assert compiled.read_bytes()[4:8] == b"\x01\0\0\0"
    assert (tmp_path / ".funcignore").is_file()


def test_a_package_without_a_worker_is_not_deployed(tmp_path: Path) -> None:
    (tmp_path / "function_app.py").write_text("", "utf-8")
    (tmp_path / "requirements.txt").write_text("worker==1 ; python_version < '3.13' \\\n    --hash=sha256:0\n", "utf-8")
    says = re.escape("requirements.txt brings no azure/functions, azure_functions_runtime")
    with pytest.raises(package.NotBuilt, match=says):
        package.build(tmp_path, tmp_path / ".package")


def test_what_pip_cannot_find_is_said(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("./no-such-folder \\\n    --hash=sha256:0\n", "utf-8")
    with pytest.raises(package.NotBuilt, match=re.escape("pip found no wheels for Python 3.13 on Linux")):
        package.build(tmp_path, tmp_path / ".package")
