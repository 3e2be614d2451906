"""`python -m connector …` in the test's own process: it starts no interpreter, and its log records are looked at."""

from __future__ import annotations

import io
import logging
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest import mock

from connector.__main__ import main
from tests.kit.privacy import LEVELS, leaks


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What is seen of a command from outside."""

    code: int
    output: str
    errors: str

    @property
    def lines(self) -> list[str]:
        return self.output.splitlines()

    @classmethod
    def of(cls, process: subprocess.Popen[str], patience: float) -> Ran:
        """Of one that runs in a process of its own, once it has ended."""
        output, errors = process.communicate(timeout=patience)
        return cls(code=process.returncode, output=output, errors=errors)

    def __post_init__(self) -> None:
        assert leaks(self.output + self.errors) == []


def command(*arguments: str, environment: Mapping[str, str] | None = None) -> Ran:
    """With `environment` for all of its environment, where it is given."""
    output, errors = io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, environment or {}, clear=environment is not None),
        _unconfigured_logging(),
        redirect_stdout(output),
        redirect_stderr(errors),
    ):
        try:
            code = main(arguments)
        except SystemExit as stop:
            code = int(stop.code or 0)
    return Ran(code=code, output=output.getvalue(), errors=errors.getvalue())


@contextmanager
def _unconfigured_logging() -> Iterator[None]:
    """Logging as a new process has it; afterwards as it was."""
    root = logging.getLogger()
    loggers = [logging.getLogger(name) for name in (*LEVELS, "azure.identity")]
    levels = [(logger, logger.level) for logger in (root, *loggers)]
    handlers, root.handlers = root.handlers, []
    for logger in loggers:
        logger.setLevel(logging.NOTSET)
    try:
        yield
    finally:
        root.handlers = handlers
        for logger, level in levels:
            logger.setLevel(level)
