"""`python -m connector …` in the test's own process: it starts no interpreter, and its log records are looked at."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest import mock

from connector.__main__ import main
from tests.kit.privacy import LEVELS


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What is seen of a command from outside."""

    code: int
    output: str
    errors: str

    @property
    def lines(self) -> list[str]:
        return self.output.splitlines()


def command(*arguments: str, environment: Mapping[str, str] | None = None) -> Ran:
    """With `environment` for all of its environment, where it is given."""
    output, errors = _stream(), _stream()
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
    return Ran(code=code, output=_text(output), errors=_text(errors))


def _stream() -> io.TextIOWrapper:
    # As a process has it: over bytes, which some commands write.
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)


def _text(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()


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
