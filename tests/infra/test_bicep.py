"""What the compiler and its linter would say, as far as it can be told without them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.infra.bicep import FILES, INFRA, decorators, modules, parsed, reachable, resources, source

# Bicep's rule no-hardcoded-env-urls, its default list.
ENVIRONMENT_HOSTS = (
    "azuredatalakeanalytics.net",
    "azuredatalakestore.net",
    "batch.core.windows.net",
    "core.windows.net",
    "database.windows.net",
    "datalake.azure.net",
    "gallery.azure.com",
    "graph.windows.net",
    "login.microsoftonline.com",
    "management.azure.com",
    "vault.azure.net",
)


@pytest.mark.parametrize("file", FILES)
def test_every_file_parses(file: str) -> None:
    assert parsed(file)["globals"]["scope"]["value"] in {"subscription", "resourceGroup"}


def test_every_module_file_is_deployed_by_main() -> None:
    assert {file for file in FILES if file.startswith("modules/")} == set(reachable()) - {"main.bicep"}


@pytest.mark.parametrize("file", [*reachable(), "event-subscription.bicep"])
def test_what_main_deploys_compiles_without_a_network(file: str) -> None:
    assert re.findall(r"(?m)^\s*(?:extension|provider|import)\b|'(?:br|ts)[:/]", source(file)) == []


@pytest.mark.parametrize("file", FILES)
def test_no_environment_is_written_down(file: str) -> None:
    assert [host for host in ENVIRONMENT_HOSTS if host in source(file)] == []


@pytest.mark.parametrize("file", FILES)
def test_every_parameter_and_output_has_a_description_and_every_number_bounds(file: str) -> None:
    tree = parsed(file)
    faults = []
    for name, parameter in tree.get("parameters", {}).items():
        says = decorators(parameter)
        if not says.get("description"):
            faults.append(f"param {name}: description")
        if parameter["type"] == "int" and "allowed" not in says and not {"min_value", "max_value"} <= set(says):
            faults.append(f"param {name}: bounds")
    faults += [
        f"output {name}"
        for name, output in tree.get("outputs", {}).items()
        if not decorators(output).get("description")
    ]
    faults += [
        f"type {name}" for name, kind in tree.get("types", {}).items() if not decorators(kind).get("description")
    ]
    assert faults == []


def test_every_parameter_of_main_is_bounded_and_all_but_two_have_defaults() -> None:
    parameters = parsed("main.bicep")["parameters"]
    unbounded = {
        name
        for name, parameter in parameters.items()
        if str(parameter["type"]) not in {"bool", "object"}
        and not {"allowed", "max_length", "max_value"} & set(decorators(parameter))
    }
    assert unbounded == set()
    # pycep has no default for an empty array, object or string: the text decides.
    without = {name for name in parameters if not re.search(rf"(?m)^param {name} \S+ = ", source("main.bicep"))}
    assert without == {"environmentName", "location"}


@pytest.mark.parametrize("file", FILES)
def test_nothing_is_declared_that_is_not_used(file: str) -> None:
    tree, text = parsed(file), source(file)
    names = [
        *tree.get("parameters", {}),
        *tree.get("variables", {}),
        *tree.get("types", {}),
        *resources(file, existing=True),
    ]
    assert [name for name in names if len(re.findall(rf"\b{name}\b", text)) < 2] == []


@pytest.mark.parametrize("file", reachable())
def test_modules_get_the_parameters_that_they_declare(file: str) -> None:
    for name, module in modules(file).items():
        path = (Path(file).parent / module["detail"]["path"]).as_posix()
        declared = {
            parameter: bool(re.search(rf"(?m)^param {parameter} \S+ = ", source(path)))
            for parameter in parsed(path)["parameters"]
        }
        config = module["config"]
        while "config" in config:
            config = config["config"]
        given = set(config["params"])
        assert (name, given - set(declared)) == (name, set())
        assert (name, {parameter for parameter, has_default in declared.items() if not has_default} - given) == (
            name,
            set(),
        )


def test_no_output_gives_a_secret_away() -> None:
    outputs = [(file, name) for file in FILES for name in parsed(file).get("outputs", {})]
    telling = re.compile("password|secret|token|connectionstring|key$", re.IGNORECASE)
    assert [output for output in outputs if telling.search(output[1])] == []
    assert [file for file in FILES if re.search(r"(?m)^output .*(list\w*\(|ConnectionString)", source(file))] == []


def test_api_versions_are_stable_where_there_is_a_stable_one() -> None:
    previews = {
        resource["type"]
        for file in FILES
        for resource in parsed(file).get("resources", {}).values()
        if resource["api_version"].endswith("-preview")
    }
    # Diagnostic settings have never had another version.
    assert previews == {"Microsoft.Insights/diagnosticSettings"}


def test_one_type_has_one_api_version() -> None:
    versions: dict[str, set[str]] = {}
    for file in FILES:
        for resource in parsed(file).get("resources", {}).values():
            versions.setdefault(resource["type"], set()).add(resource["api_version"])
    assert {kind: found for kind, found in versions.items() if len(found) > 1} == {}


def test_the_parameter_file_sets_only_what_main_declares() -> None:
    text = (INFRA / "main.bicepparam").read_text(encoding="utf-8")
    assert text.startswith("using './main.bicep'\n")
    given = re.findall(r"(?m)^param (\w+) =", text)
    assert set(given) - set(parsed("main.bicep")["parameters"]) == set()
    assert {"environmentName", "location"} <= set(given)
    assert re.findall(r"readEnvironmentVariable\('\w+'\)", text) == [], (
        "a variable without a default stops a plain az deployment"
    )


def test_every_feed_file_is_named_in_the_parameter_file() -> None:
    text = (INFRA / "main.bicepparam").read_text(encoding="utf-8")
    feeds = {path.stem for path in (INFRA / "feeds").glob("*.yaml")}
    assert feeds == set(re.findall(r"(?m)^    name: '([\w-]+)'", text))


def test_names_follow_the_cloud_adoption_framework() -> None:
    text = source("main.bicep")
    names = re.findall(r"'((?:[a-z]+-entrainbound|st(?:data|host)))[-$]", text)
    assert {name.split("-")[0].removesuffix("data").removesuffix("host") for name in names} == {
        "rg", "id", "log", "appi", "st", "egst", "asp", "func"
    }  # fmt: skip
