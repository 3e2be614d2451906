"""Cold start: what importing `function_app.py` costs, against importing Azure Functions and the storage SDK alone.

Each measurement is a process of its own, with warm files, in CPU time: neighbours are never quiet. Bytecode of ours is
kept as that of installed packages is, and what only developers install (httpx loads a console of its own where it finds
rich) is out of sight, as in Azure.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from connector.sandbox.servers import PROJECT

ROUNDS = 15
BASE = "import azure.functions, azure.storage.blob"
BINDING = f"{BASE}, azurefunctions.extensions.bindings.blob"
APP = "import function_app"
HANDLERS = (
    f"{APP}; from connector.wiring import connected; from connector.outside.telemetry.invocation import invocation"
)
TELEMETRY = f"{HANDLERS}; import connector.outside.telemetry.exporting, azure.monitor.opentelemetry"


def seconds(statement: str) -> float:
    """CPU seconds of the statement alone, in a new interpreter."""
    hidden = "import sys; sys.modules.update(dict.fromkeys(('rich', 'click', 'pygments')))"
    code = f"{hidden}; import time; began = time.process_time(); {statement}; print(time.process_time() - began)"
    environment = {
        **os.environ,
        "HR_STORAGE": "UseDevelopmentStorage=true",
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir()) / "connector-bench"),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, env=environment, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def run(rounds: int = ROUNDS, measured: Callable[[str], float] = seconds) -> Iterator[str]:
    """The figures, one line each."""
    statements = (BASE, BINDING, APP, HANDLERS, TELEMETRY)
    for statement in statements:
        measured(statement)
    # In turn and not one after the other, so that a busy moment is everybody's.
    samples = [[measured(statement) for statement in statements] for _ in range(rounds)]
    base, binding, app, handlers, monitored = (statistics.median(taken) for taken in zip(*samples, strict=True))
    # The binding is how a function gets the storage SDK, and imports azure.identity by itself, which we cannot help.
    yield f"azure.functions and the storage SDK, as its binding    {binding * 1000:6.0f} ms   (median of {rounds})"
    yield f"  function_app.py / that                              {app / binding:6.2f}   (goal: at most 1.25)"
    yield f"azure.functions and azure.storage.blob alone           {base * 1000:6.0f} ms"
    yield f"  the binding of azurefunctions, as it is / that      {binding / base:6.2f}"
    yield f"  function_app.py / that                              {app / base:6.2f}"
    yield f"  and all that the first invocation imports           {handlers / base:6.2f}"
    yield f"  and OpenTelemetry, where it is switched on          {monitored / base:6.2f}"
