"""Regular expressions as .NET writes them, translated for the `regex` package, whose time bound no row can escape.

Facts: "Regular expression language - quick reference", "Grouping constructs", "Character classes" and "Substitutions"
(.NET documentation). Every construct is known by name: what .NET lacks, or `regex` has no equal for, is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import regex

from connector.mapping.dotnet.faults import PatternError, TimedOut, TooLong
from connector.mapping.dotnet.substitution import substitution
from connector.mapping.dotnet.translation import UNNAMED, Translation, group_name

_FIRST_SECONDS: Final = 0.1
_LATER_SECONDS: Final = 0.005
_PATIENCE: Final = 5
_SECONDS_PER_CHARACTER: Final = 2e-6

# Asking the engine to watch the clock costs more than most matches do.
_CHEAP_STEPS: Final = 1_000_000


class DotnetPattern:
    """A compiled pattern. A search that could take long has a bound in time; after many that ran out, a short one.

    `steps` is the most that a match against a text of a given length can take; None if nobody can say.
    """

    def __init__(
        self,
        text: str,
        compiled: regex.Pattern[str],
        *,
        names: tuple[str, ...],
        unnamed: int,
        steps: Callable[[int], int] | None,
    ) -> None:
        self.text = text
        self._compiled = compiled
        self._names = names
        self._unnamed = unnamed
        self._timeouts = 0
        lengths = (1, 4, 16, 32, 64, 128, 256, 1024, 4096)
        self._cheap_length = max((length for length in lengths if steps and steps(length) <= _CHEAP_STEPS), default=0)

    def group(self, reference: str) -> str | None:
        """What the engine calls the group that .NET calls `reference` (a name or a number); None if there is none."""
        return group_name(reference, self._names, self._unnamed)

    @property
    def last_group(self) -> str | None:
        """The group with the highest number, which `$+` means."""
        if self._names:
            return self._names[-1]
        return f"{UNNAMED}{self._unnamed}" if self._unnamed else None

    def substitution(self, template: str, *, strict: bool) -> Callable[[regex.Match[str]], str] | str:
        """What a replacement text writes for a match of this pattern: see `substitution.substitution`."""
        return substitution(template, self, strict=strict)

    def replace(
        self, source: str, replacement: Callable[[regex.Match[str]], str] | str, *, longest: int = 1 << 16
    ) -> str:
        """Every match replaced; a replacement that is text is taken literally.

        Raises TimedOut, and TooLong where all that replaces a match has more than `longest` characters.
        """
        by: Callable[[regex.Match[str]], str] | str = replacement
        if not isinstance(by, str):
            by = _measured(by, longest)
        elif len(by) * (len(source) + 1) <= longest:
            by = by.replace("\\", "\\\\")
        else:
            literal = by
            by = _measured(lambda _: literal, longest)
        seconds = self._seconds(source)
        try:
            return self._compiled.sub(by, source, timeout=seconds)
        except TimeoutError:
            raise self._timed_out(seconds) from None

    def search(self, source: str) -> regex.Match[str] | None:
        """The first match. Raises TimedOut."""
        seconds = self._seconds(source)
        try:
            return self._compiled.search(source, timeout=seconds)
        except TimeoutError:
            raise self._timed_out(seconds) from None

    def _seconds(self, source: str) -> float | None:
        if len(source) <= self._cheap_length:
            return None
        base = _FIRST_SECONDS if self._timeouts < _PATIENCE else _LATER_SECONDS
        return base + len(source) * _SECONDS_PER_CHARACTER

    def _timed_out(self, seconds: float | None) -> TimedOut:
        self._timeouts += 1
        return TimedOut(seconds or 0.0)


def _measured(by: Callable[[regex.Match[str]], str], longest: int) -> Callable[[regex.Match[str]], str]:
    left = longest

    def measured(match: regex.Match[str]) -> str:
        nonlocal left
        text = by(match)
        left -= len(text)
        if left < 0:
            raise TooLong
        return text

    return measured


def dotnet_pattern(text: str) -> DotnetPattern:
    """Compiles a .NET pattern. Raises PatternError."""
    translation = Translation(text)
    python = translation.python()
    try:
        # (?-f): .NET folds case one character for one, so ß does not match ss.
        compiled = regex.compile("(?-f)" + python, regex.V1)
    except (regex.error, OverflowError, RecursionError, MemoryError, IndexError, ValueError) as error:
        detail = str(error) if isinstance(error, regex.error) else "it is too large"
        raise PatternError(f"the pattern cannot be used: {detail}", 0) from None
    return DotnetPattern(
        text,
        compiled,
        names=tuple(translation.names),
        unnamed=translation.unnamed,
        steps=translation.steps,
    )
