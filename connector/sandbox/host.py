"""What the Azure Functions host does with `function_app.py`, as far as the demo needs it.

Asks the app for its functions, reads the triggers that they declare, and fires those. What the host would refuse or
would never fire is a fault here.
"""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_type_hints

import azure.functions as func
from azure.functions.timer import TimerRequest
from azure.storage.blob import BlobClient

from connector.vocabulary.errors import Fault, Unusable

NAME: Final = "function_app.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobFunction:
    """A function with a blob trigger. `path` is the declared pattern, `connection` the account's setting."""

    name: str
    argument: str
    path: str
    connection: str
    call: Callable[..., Any]

    def matches(self, container: str, blob: str) -> bool:
        """Whether the declared path takes this blob."""
        return _pattern(self.path).fullmatch(f"{container}/{blob}") is not None

    async def fire(self, blob: BlobClient) -> None:
        """As the host does for a blob that landed. Raises what the function raises."""
        await _invoke(self.call, {self.argument: blob})


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerFunction:
    """A function with a timer trigger. `schedule` is the declared NCRONTAB expression."""

    name: str
    argument: str
    schedule: str
    call: Callable[..., Any]

    async def fire(self) -> None:
        """As the host does when the schedule is due. Raises what the function raises."""
        await _invoke(self.call, {self.argument: TimerRequest(past_due=False, schedule={"AdjustForDST": True})})


@dataclass(frozen=True, slots=True, kw_only=True)
class Functions:
    """What an app registers: at least one function of each kind."""

    blob: tuple[BlobFunction, ...]
    timer: tuple[TimerFunction, ...]

    def for_blob(self, container: str, blob: str) -> BlobFunction:
        """The function that this blob starts. Raises Unusable where there is none, or more than one."""
        found = [function for function in self.blob if function.matches(container, blob)]
        if len(found) == 1:
            return found[0]
        declared = " and ".join(f"'{function.path}' ({function.name})" for function in self.blob)
        what = "no blob trigger takes" if not found else "more than one blob trigger takes"
        raise Unusable(NAME, [Fault(message=f"{what} the blob {container}/{blob}: declared is {declared}")])


def registered(folder: Path, environment: Mapping[str, str] = os.environ) -> Functions:
    """The functions that `function_app.py` of the folder registers, by its `app`'s own account.

    `environment` are the app settings that bindings refer to. Raises Unusable with every fault of the bindings.
    """
    app = _app(folder)
    blob: list[BlobFunction] = []
    timer: list[TimerFunction] = []
    faults: list[Fault] = []
    for function in app.get_functions():
        name, call = str(function.get_function_name()), function.get_user_function()
        # The host sees a function as JSON: so do we.
        for binding in map(json.loads, function.get_raw_bindings()):
            kind = binding["type"]
            if kind not in {"blobTrigger", "timerTrigger"}:
                continue
            problems = _problems(binding, call, environment)
            faults += [Fault(message=f"{name}: {problem}", column=name) for problem in problems]
            if problems:
                continue
            common = {"name": name, "argument": binding["name"], "call": call}
            if kind == "blobTrigger":
                path = _resolved(binding["path"], environment)
                blob.append(BlobFunction(**common, path=path, connection=binding["connection"]))
            else:
                timer.append(TimerFunction(**common, schedule=_resolved(binding["schedule"], environment)))
    if not faults:
        faults += [
            Fault(message=f"no function has a {kind} trigger")
            for kind, found in (("blob", blob), ("timer", timer))
            if not found
        ]
    if faults:
        raise Unusable(NAME, faults)
    return Functions(blob=tuple(blob), timer=tuple(timer))


def _app(folder: Path) -> func.FunctionApp:
    # By its path and not by its name: whatever else is called function_app stays what it is.
    specification = importlib.util.spec_from_file_location("function_app", folder / NAME)
    if specification is None or specification.loader is None or not (folder / NAME).is_file():
        raise Unusable(NAME, [Fault(message=f"there is none in {folder}")])
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    apps = [value for value in vars(module).values() if isinstance(value, func.FunctionApp)]
    if len(apps) != 1:
        raise Unusable(NAME, [Fault(message=f"it has {len(apps)} FunctionApp objects, where the host wants one")])
    return apps[0]


def _problems(binding: Mapping[str, Any], call: Callable[..., Any], environment: Mapping[str, str]) -> list[str]:
    """Why the host could not fire this trigger."""
    problems: list[str] = []
    argument = binding["name"]
    wanted = BlobClient if binding["type"] == "blobTrigger" else func.TimerRequest
    if argument not in inspect.signature(call).parameters:
        problems.append(f"the binding's argument '{argument}' is no parameter of the function")
    elif not _is_kind(get_type_hints(call).get(argument), wanted):
        problems.append(f"the parameter '{argument}' is not annotated as a {wanted.__name__}")
    if binding["type"] == "timerTrigger":
        schedule = _resolved(binding["schedule"], environment)
        if reason := ncrontab_fault(schedule):
            problems.append(f"the schedule '{schedule}' is no NCRONTAB expression: {reason}")
        return problems
    connection = binding["connection"]
    if not {connection, f"{connection}__blobServiceUri", f"{connection}__serviceUri"} & environment.keys():
        problems.append(f"the connection '{connection}' is no app setting")
    if binding.get("source") != "EventGrid":
        # Azure Functions, "Flex Consumption plan": only the event-based blob trigger is there.
        problems.append("the blob trigger's source is not EventGrid, and Flex Consumption has no other")
    return problems


def _is_kind(hint: object, wanted: type) -> bool:
    return isinstance(hint, type) and issubclass(hint, wanted)


def _resolved(text: str, environment: Mapping[str, str]) -> str:
    """`%NAME%` is an app setting (Azure Functions, "Binding expressions"). What is not set stays as it is."""
    return re.sub(r"%(\w+)%", lambda match: environment.get(match[1], match[0]), text)


def _pattern(path: str) -> re.Pattern[str]:
    """The blobs that a trigger's path takes: `{name}` is any text of one folder, and at the end of any depth."""
    parts = re.split(r"(\{\w+\})", path)
    pattern = "".join(
        (".+" if "".join(parts[place + 1 :]) == "" else "[^/]+") if place % 2 else re.escape(part)
        for place, part in enumerate(parts)
    )
    return re.compile(pattern, re.DOTALL)


async def _invoke(call: Callable[..., Any], arguments: Mapping[str, object]) -> None:
    if inspect.iscoroutinefunction(call):
        await call(**arguments)
    else:
        await asyncio.to_thread(call, **arguments)


# Azure Functions, "Timer trigger", NCRONTAB expressions: six fields, the first of them seconds.
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: Final[tuple[tuple[str, int, int, tuple[str, ...]], ...]] = (
    ("second", 0, 59, ()),
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 6, _DAYS),
)


def ncrontab_fault(schedule: str) -> str:
    """Why the host would not take a schedule; "" for one that it takes."""
    fields = schedule.split()
    if len(fields) != len(_FIELDS):
        return f"it has {len(fields)} fields and not 6 ({' '.join(f'{{{field[0]}}}' for field in _FIELDS)})"
    for text, (name, first, last, words) in zip(fields, _FIELDS, strict=True):
        for item in text.split(","):
            span, slash, step = item.partition("/")
            ends = [_number(end, first, words) for end in span.split("-")] if span != "*" else [first, last]
            if len(ends) > 2 or not all(first <= end <= last for end in ends) or ends != sorted(ends):
                return f"the {name} '{text}' is not made of *, {first} to {last}, ranges, lists and steps"
            if slash and not (step.isdecimal() and int(step) > 0):
                return f"the {name} '{text}' has a step that is no number"
    return ""


def _number(text: str, first: int, words: tuple[str, ...]) -> int:
    """-1 for what is neither a number nor one of the words (months and days by their first three letters)."""
    if text.isascii() and text.isdecimal():
        return int(text)
    word = text.lower()[:3]
    return words.index(word) + first if word in words and text.isalpha() else -1
