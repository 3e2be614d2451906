"""The rooms, read from the folders and the source: what imports what, and who touches the outside world."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest

from connector.sandbox.servers import PROJECT
from tests.kit.people import csv_of, feed_file, workers
from tools.package import deployed as deployed_files

CONNECTOR = PROJECT / "connector"

ROOMS = (
    ("vocabulary",),
    ("feed",),
    ("readers",),
    ("mapping",),
    ("outside",),
    ("provisioning",),
    ("reporting",),
    # Three steps of one story, that meet in storage and in the pipeline alone.
    ("planning", "sending", "settling"),
    ("watching",),
    ("pipeline",),
    ("wiring",),
    ("commands",),
    ("__main__", "function_app"),
)
"""Bottom up: a room imports from its own and from those before it. Rooms of one line know nothing of each other."""

LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}
# Not deployed (.funcignore); may import everything, and nothing deployed needs them.
BESIDE = frozenset({"sandbox"})
# Plain functions over plain data.
CORE = frozenset({"vocabulary", "feed", "readers", "mapping"})
# Of the rooms between the core and the pipeline, who may reach for what is outside.
DOERS = frozenset({"provisioning", "planning", "sending", "settling", "watching"})
# A room of a language of its own, which could be anybody's: what it may know of the house.
LANGUAGES = {
    "connector.mapping.dotnet": ("connector.mapping.dotnet", "connector.vocabulary"),
    "connector.mapping.expressions": (
        "connector.mapping.expressions",
        "connector.mapping.dotnet",
        "connector.vocabulary",
    ),
}

MOST_LINES = 500
MOST_FLAT = 8

# What the core may import: nothing here reads a clock, the environment, a disk or a network by being called properly.
_STANDARD = """
__future__ array base64 binascii bisect calendar codecs collections contextlib copy csv dataclasses datetime decimal
difflib email.utils enum fnmatch fractions functools gzip hashlib heapq io ipaddress itertools json math
operator re string struct textwrap types typing unicodedata urllib.parse warnings xml.parsers zipfile zlib
"""
_THIRD_PARTY = "jinja2 openpyxl orjson pydantic pydantic_core pysequoia regex yaml"
# Paths as text: a name's suffix. What opens a file is found by its call.
_PATHS = "pathlib"
PURE = frozenset(f"{_STANDARD} {_THIRD_PARTY} {_PATHS}".split())

IO_CALLS = frozenset({"open", "input", "print", "breakpoint", "__import__"})
_CLOCKS = "now today utcnow monotonic perf_counter getenv getLogger urlopen"
_FILES = "read_text read_bytes write_text write_bytes unlink mkdir iterdir glob rglob exists is_file is_dir stat"
IO_METHODS = frozenset(f"{_CLOCKS} {_FILES}".split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One import. `lazy`: inside a function, so that it costs nothing until that function runs."""

    module: str
    line: int
    lazy: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    name: str
    path: Path
    tree: ast.Module

    @property
    def unit(self) -> str:
        """The room, or the module's own name where it stands in none."""
        return self.name.split(".")[1] if self.name.startswith("connector.") else self.name

    def imports(self) -> Iterator[Import]:
        lazy = {
            id(node)
            for function in ast.walk(self.tree)
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
            for node in ast.walk(function)
        }
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{self.name}: imports are absolute"
                # `from connector.reporting import causes` names a module in the second place.
                names = [
                    inner if _is_module(inner := f"{node.module}.{alias.name}") else str(node.module)
                    for alias in node.names
                ]
            else:
                continue
            for name in dict.fromkeys(names):
                yield Import(module=name, line=node.lineno, lazy=id(node) in lazy)

    @property
    def lines(self) -> int:
        return len(self.path.read_text(encoding="utf-8").splitlines())

    def where(self, line: int) -> str:
        return f"{self.path.relative_to(PROJECT)}:{line}"


@cache
def modules() -> tuple[Module, ...]:
    found = [Module(name="function_app", path=PROJECT / "function_app.py", tree=_tree(PROJECT / "function_app.py"))]
    for path in sorted(CONNECTOR.rglob("*.py")):
        if path.name == "__init__.py" and path.parent == CONNECTOR:
            continue
        parts = path.relative_to(PROJECT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append(Module(name=name, path=path, tree=_tree(path)))
    return tuple(found)


def _is_module(name: str) -> bool:
    path = PROJECT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def deployed() -> list[Module]:
    return [module for module in modules() if module.unit not in BESIDE]


def core() -> list[Module]:
    return [module for module in modules() if module.unit in CORE]


def unit_of(imported: str) -> str:
    """The name on the floors of a module of ours; "" for anybody else's."""
    return imported.split(".")[1] if imported.startswith("connector.") else ""


def test_every_room_is_on_the_list_and_every_other_module_is_a_story_or_an_entrance() -> None:
    assert sorted({module.unit for module in deployed()} - LEVEL.keys()) == []


def test_no_room_imports_from_one_above_it_or_beside_it() -> None:
    wrong = [
        f"{module.where(found.line)}: {module.unit} imports {room}"
        for module in deployed()
        for found in module.imports()
        if (room := unit_of(found.module)) in LEVEL
        and module.unit in LEVEL
        and room != module.unit
        and LEVEL[room] >= LEVEL[module.unit]
    ]
    assert wrong == []


def test_a_language_knows_nothing_of_the_house() -> None:
    wrong = [
        f"{module.where(found.line)} imports {found.module}"
        for module in deployed()
        for language, allowed in LANGUAGES.items()
        if module.name.startswith(f"{language}.")
        for found in module.imports()
        if found.module.startswith("connector.") and not found.module.startswith(tuple(f"{a}." for a in allowed))
    ]
    assert wrong == []


def test_only_doers_reach_for_what_is_outside() -> None:
    doers = DOERS | {"outside", "pipeline", "wiring", "commands", "__main__", "function_app"}
    wrong = [
        f"{module.where(found.line)} imports {found.module}"
        for module in deployed()
        for found in module.imports()
        if module.unit not in doers
        and module.name not in {"connector.reporting.publisher", "connector.reporting.run_so_far"}
        and unit_of(found.module) == "outside"
    ]
    assert wrong == []


def test_no_imports_go_in_a_circle() -> None:
    known = {module.name for module in modules()}
    graph: dict[str, set[str]] = {}
    for module in deployed():
        for found in module.imports():
            if found.module in known and found.module != module.name and not found.lazy:
                graph.setdefault(module.name, set()).add(found.module)

    def reaches(start: str) -> set[str]:
        seen: set[str] = set()
        todo = [start]
        while todo:
            for name in graph.get(todo.pop(), ()):
                if name not in seen:
                    seen.add(name)
                    todo.append(name)
        return seen

    assert sorted(name for name in graph if name in reaches(name)) == []


def test_no_module_is_too_long_to_be_read_at_once() -> None:
    long = {module.where(1): count for module in modules() if (count := module.lines) > MOST_LINES}
    assert long == {}


def test_few_modules_stand_outside_the_rooms() -> None:
    assert len(list(CONNECTOR.glob("*.py"))) <= MOST_FLAT
    entrance = next(module for module in modules() if module.name == "function_app")
    assert entrance.lines <= 60


def test_the_core_imports_nothing_that_reaches_outside() -> None:
    outside = [
        f"{module.where(found.line)} imports {found.module}"
        for module in core()
        for found in module.imports()
        if not found.module.startswith("connector.") and not {found.module, found.module.split(".")[0]} & PURE
    ]
    assert outside == []


def test_the_core_reads_no_clock_no_environment_and_opens_no_file() -> None:
    calls = [
        f"{module.where(node.lineno)} calls {ast.unparse(node.func)}"
        for module in core()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and _reaches_outside(node.func)
    ]
    assert calls == []


def _reaches_outside(called: ast.expr) -> bool:
    if isinstance(called, ast.Name):
        return called.id in IO_CALLS
    # `emitter.now()` names the time that was passed in, in the code that is made of a mapping.
    return (
        isinstance(called, ast.Attribute)
        and called.attr in IO_METHODS
        and ast.unparse(called.value) not in {"self", "emitter"}
    )


def _importing(package: str) -> list[str]:
    return sorted(
        {
            str(module.path.relative_to(PROJECT))
            for module in deployed()
            for found in module.imports()
            if f"{found.module}.".startswith(f"{package}.")
        }
    )


def test_blobs_are_read_and_written_by_the_store_alone() -> None:
    modules = ("blobs", "inbox", "probe", "run_index", "store")
    assert _importing("azure.storage.blob") == [f"connector/outside/{name}.py" for name in modules]


def test_http_is_spoken_within_bounds_alone_to_graph_and_for_the_doctor_to_resource_manager() -> None:
    speakers = {f"connector/outside/{name}.py" for name in ("bounded_http", "graph", "resource_manager")}
    assert set(_importing("httpx")) <= speakers
    # The other two hand a transport on, and read addresses.
    clients = {path for path in speakers if "httpx.AsyncClient(" in (PROJECT / path).read_text()}
    assert clients == {"connector/outside/bounded_http.py"}


def test_the_environment_is_read_by_the_settings_alone() -> None:
    readers = {
        str(module.path.relative_to(PROJECT))
        for module in deployed()
        for node in ast.walk(module.tree)
        if (isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv", "environb", "putenv"})
        or (isinstance(node, ast.ImportFrom) and node.module == "os")
    }
    assert readers == {"connector/outside/settings.py"}


def test_nothing_that_is_deployed_needs_what_is_not() -> None:
    # The command line finds them by name, where they are there, each by its own command.
    needs = [
        f"{module.where(found.line)} imports {found.module}"
        for module in deployed()
        for found in module.imports()
        if unit_of(found.module) in BESIDE and not (found.lazy and module.name == "connector.__main__")
    ]
    assert needs == []


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a deployment sends of ours."""
    target = tmp_path_factory.mktemp("package")
    for path in deployed_files(PROJECT):
        copy = target / path.relative_to(PROJECT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    return target


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["-c", "import function_app; print(len(function_app.app.get_functions()))"], 0, "2"),
        (["-m", "connector", "tick"], 2, "HR_STORAGE__blobServiceUri"),
        (["-m", "connector", "preview", "none.yaml", "none.csv"], 2, "none.yaml"),
    ],
)
def test_what_is_deployed_works_without_what_is_not(package: Path, arguments: list[str], code: int, says: str) -> None:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=package,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, says in done.stdout + done.stderr, "Traceback" in done.stderr) == (code, True, False)


def test_everything_that_is_imported_is_installed_by_requirements_txt() -> None:
    lines = (PROJECT / "requirements.txt").read_text().splitlines()
    todo = [_normal(match[0]) for line in lines if (match := re.match(r"[A-Za-z0-9._-]+", line))]
    installed: set[str] = set()
    while todo:
        name = todo.pop()
        if name not in installed:
            installed.add(name)
            with_requirements = metadata.requires(name) if _is_installed(name) else None
            todo += [
                _normal(match[0])
                for line in with_requirements or ()
                if "extra ==" not in line and (match := re.match(r"[A-Za-z0-9._-]+", line))
            ]
    providers = metadata.packages_distributions()
    missing = sorted(
        {
            f"{module.where(found.line)} imports {found.module}"
            for module in deployed()
            for found in module.imports()
            if (top := found.module.split(".")[0]) not in sys.stdlib_module_names
            and top != "connector"
            and not {_normal(name) for name in providers.get(top, ())} & installed
        }
    )
    assert missing == []


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _is_installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


FILES_ALONE = (
    ["preview", "feed.yaml", "people.csv"],
    ["check", "feed.yaml", "people.csv"],
    ["eval", "ToUpper([Name])", "Name=x"],
    ["new", "people.csv"],
    ["import-psd1", "mapping.psd1"],
)


@pytest.mark.parametrize("arguments", FILES_ALONE, ids=[arguments[0] for arguments in FILES_ALONE])
def test_what_works_on_files_alone_loads_neither_an_azure_sdk_nor_asyncio(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "feed.yaml").write_text(feed_file(), encoding="utf-8")
    (tmp_path / "people.csv").write_bytes(csv_of(workers(3)))
    (tmp_path / "mapping.psd1").write_text("@{ externalId = 'WorkerID'; userName = 'UserID' }", encoding="utf-8")
    code = (
        "import sys\nfrom connector.__main__ import main\ncode = main()\n"
        "loaded = [name for name in ('asyncio', 'azure', 'httpx', 'rich') if name in sys.modules]\n"
        "print(code, loaded, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr.splitlines()[-1] == "0 []"
