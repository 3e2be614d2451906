"""What each function of the expression language takes, and which of Entra's functions are refused and why.

Facts: the page "Reference for writing expressions for attribute mappings in Microsoft Entra ID"; `Trim` is Entra
Connect's, `Lookup` this connector's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter: whether it may be left empty, and whether it must be a constant."""

    name: str
    optional: bool = False
    constant: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A function's parameters; the last `repeats` of them may come again, together."""

    name: str
    parameters: tuple[Parameter, ...]
    repeats: int = 0

    @property
    def usage(self) -> str:
        """How the function is written, for messages."""
        names = [parameter.name for parameter in self.parameters]
        return f"{self.name}({', '.join(names)}{', …' if self.repeats else ''})"

    @property
    def fewest(self) -> int:
        """The fewest arguments; those that are optional may be left out at the end."""
        needed = [index for index, parameter in enumerate(self.parameters) if not parameter.optional]
        return needed[-1] + 1 if needed else 0

    def parameter(self, index: int) -> Parameter:
        """The parameter of the argument at `index`, counted from 0."""
        if index < len(self.parameters):
            return self.parameters[index]
        first = len(self.parameters) - self.repeats
        return self.parameters[first + (index - first) % self.repeats]

    def accepts(self, count: int) -> bool:
        """Whether so many arguments can be right."""
        if count < self.fewest:
            return False
        if count <= len(self.parameters):
            return not self.repeats or count == len(self.parameters)
        return bool(self.repeats) and (count - len(self.parameters)) % self.repeats == 0


def _signature(usage: str, *, repeats: int = 0) -> Signature:
    """`Name(a, b?, c!)`: `?` is optional, `!` must be constant."""
    name, _, rest = usage.rstrip(")").partition("(")
    parameters = tuple(
        Parameter(name=word.rstrip("?!"), optional="?" in word, constant="!" in word)
        for word in rest.replace(" ", "").split(",")
        if word
    )
    return Signature(name=name, parameters=parameters, repeats=repeats)


SIGNATURES: Final[dict[str, Signature]] = {
    signature.name: signature
    for signature in (
        _signature("Append(source, suffix)"),
        _signature("BitAnd(value1, value2)"),
        _signature("CBool(expression)"),
        _signature("CDate(expression)"),
        _signature("CStr(value)"),
        _signature("Coalesce(source)", repeats=1),
        _signature("ConvertToBase64(source)"),
        _signature("ConvertToUTF8Hex(source)"),
        _signature("Count(attribute)"),
        _signature("DateAdd(interval, value, dateTime)"),
        _signature("DateDiff(interval, date1, date2)"),
        _signature("DateFromNum(value)"),
        _signature("FormatDateTime(source, dateTimeStyles?!, inputFormat, outputFormat)"),
        _signature("IIF(condition, valueIfTrue, valueIfFalse)"),
        _signature("IgnoreFlowIfNullOrEmpty(expression)"),
        _signature("InStr(value1, value2, start?, compareType?)"),
        _signature("IsNull(expression)"),
        _signature("IsNullOrEmpty(expression)"),
        _signature("IsPresent(expression)"),
        _signature("IsString(expression)"),
        _signature("Item(attribute, index)"),
        _signature("Join(separator, source)", repeats=1),
        _signature("Left(string, numChars)"),
        _signature("Lookup(source, default?, table!)"),
        _signature("Mid(source, start, length)"),
        _signature("NormalizeDiacritics(source)"),
        _signature("Not(source)"),
        _signature("Now()"),
        _signature("NumFromDate(value)"),
        _signature("PCase(source, wordSeparators?)"),
        _signature("Redact(value)"),
        _signature("RemoveDuplicates(attribute)"),
        _signature(
            "Replace(source, oldValue?, regexPattern?!, regexGroupName?!, replacementValue?,"
            " replacementAttributeName?, template?)"
        ),
        _signature("Split(source, delimiter)"),
        _signature("StripSpaces(source)"),
        _signature("Switch(source, defaultValue?, key, value)", repeats=2),
        _signature("ToLower(source, culture?!)"),
        _signature("ToUpper(source, culture?!)"),
        _signature("Trim(source)"),
        _signature("Word(string, wordNumber, delimiters)"),
    )
}

_DIRECTORY: Final = "it asks the directory, which an inbound feed cannot"
_RANDOM: Final = "it gives another value each time, so that every run would change every person"

REFUSED: Final[dict[str, tuple[str, str]]] = {
    "Guid": (_RANDOM, "map a column that identifies the person, such as the employee number"),
    "RandomString": (_RANDOM, "let Entra set the password, or put the value into the file"),
    "SelectUniqueValue": (
        _DIRECTORY,
        "put it into the attribute mapping of the provisioning job in Entra, or build the value from a unique column",
    ),
    "AppRoleAssignmentsComplex": (_DIRECTORY, "it is for provisioning out of Entra; map a column instead"),
    "SingleAppRoleAssignment": (_DIRECTORY, "it is for provisioning out of Entra; map a column instead"),
    "AssertiveAppRoleAssignmentsComplex": (_DIRECTORY, "it is for provisioning out of Entra; map a column instead"),
    "DefaultDomain": (_DIRECTORY, 'write the domain as a constant, such as "contoso.com"'),
}
"""Functions of Entra's that are refused when a feed is loaded: the reason and the alternative."""

KNOWN_NAMES: Final = frozenset(SIGNATURES) | frozenset(REFUSED)

NUMERIC: Final = frozenset({"BitAnd", "Count", "DateDiff", "InStr", "NumFromDate"})
"""Functions whose result is a number, so that a comparison with it is one of numbers."""

DATED: Final = frozenset({"CDate", "DateAdd", "DateFromNum", "Now"})
"""Functions whose result is a date, so that a comparison with it is one of dates."""
