"""`python -m connector new`: a first feed file for a file, from its columns' names.

What is written out are column names, date formats and the words of a status column, which its other words show to be
one; no other value of the file. What is not certain becomes a comment.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from connector.commands.drafting import hr_columns as hr
from connector.commands.drafting.feed_text import BEGINNING, comment, entry, nameable, quoted
from connector.commands.local_files import landed_at
from connector.feed.file_options import FileOptions
from connector.mapping import load_feed
from connector.mapping.expressions.interpreter import Surroundings, evaluate
from connector.mapping.expressions.parser import parse
from connector.mapping.expressions.values import ValueFault
from connector.readers import BadRow, ScimTable, Table, open_drop
from connector.vocabulary.column_names import is_usual, looks_like_a_name, plain
from connector.vocabulary.errors import Fault, Unusable
from connector.vocabulary.scim import ENTERPRISE_USER

ROWS_READ: Final = 50_000
WORDS: Final = 20
"""Words of a column that is a status; a column with more is something else."""
SAMPLED: Final = 500
DATE_TIME: Final = "yyyy-MM-ddTHH:mm:ssZ"

_DATE_FORMATS: Final = (
    *("yyyy-MM-dd", "yyyy-MM-ddTHH:mm:ss", "yyyy-MM-dd HH:mm:ss", "yyyy-MM-ddTHH:mm:ss.fff", "yyyyMMdd", "yyyy/MM/dd"),
    *("yyyy-MM-ddzzz", "yyyy-MM-ddTHH:mm:sszzz", "yyyy-MM-ddTHH:mm:ss.fffzzz"),
    *("dd.MM.yyyy", "d.M.yyyy", "dd.MM.yyyy HH:mm:ss", "dd.MM.yy"),
    *("dd/MM/yyyy", "MM/dd/yyyy", "d/M/yyyy", "M/d/yyyy", "dd-MM-yyyy", "MM-dd-yyyy", "dd/MM/yy", "MM/dd/yy"),
    *("dd-MMM-yyyy", "dd MMM yyyy", "d MMM yyyy", "MMM d, yyyy", "dd MMMM yyyy", "MMMM d, yyyy"),
)
_LOOKS_LIKE_DATA: Final = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+|[\d\s./:+-]*\d[\d\s./:+-]*")


def new_feed(path: Path) -> int:
    """The feed file to stdout. Gives 0; raises Unusable for a file that cannot be read, or needs no mapping."""
    landed_at(path)
    with path.open("rb") as stream:
        table = open_drop(stream, name=str(path), options=FileOptions(), wanted=())
        if isinstance(table, ScimTable):
            advice = "a feed for it still has a mapping, which is not used: copy one"
            raise Unusable(str(path), [Fault(message="is a SCIM bulk request already", advice=advice)])
        print(draft(table, name=path.name), end="")
    return 0


def draft(table: Table, *, name: str) -> str:
    """A feed file that `load_feed` takes, for a table with these columns and rows; `name` is the file's.

    Raises Unusable where the first row holds a person instead of the columns' names.
    """
    _check_header(table.columns, name)
    columns = [_Column(name=column, place=place) for place, column in enumerate(table.columns) if column]
    identifiers = [column for column in columns if hr.EXTERNAL_ID in hr.candidates(column.name)]
    for column in columns:
        column.identifying = not identifiers or column in identifiers or hr.MANAGER in hr.candidates(column.name)
    _read(table, columns)
    text = "\n".join(_Drafting(columns, name, table.notes).lines()).rstrip("\n") + "\n"
    load_feed(text.encode(), name=f"the draft for {name}", graph=None)
    return text


def _check_header(columns: Sequence[str], name: str) -> None:
    named = [column for column in columns if column]
    strange = not any(map(is_usual, named)) and not all(map(looks_like_a_name, named))
    if strange or any(_LOOKS_LIKE_DATA.fullmatch(column) for column in named):
        raise Unusable(
            name,
            [
                Fault(
                    message="the first row looks like a person's, not like the columns' names",
                    advice="write the names into the first row, or list them in the feed file: file: {header: [ID, …]}",
                )
            ],
        )


@dataclass(slots=True, kw_only=True, eq=False)
class _Column:
    """A column and what its cells showed, which is not for writing down.

    `words` has up to WORDS of them with their counts; `many` says there are more. `values` are the hashes of all where
    the column may be `identifying`, `samples` some that are not empty.
    """

    name: str
    place: int
    identifying: bool = False
    filled: int = 0
    words: Counter[str] = field(default_factory=Counter)
    many: bool = False
    values: set[int] = field(default_factory=set)
    samples: list[str] = field(default_factory=list)

    def see(self, cell: object) -> None:
        if not isinstance(cell, str) or not cell.strip():
            return
        self.filled += 1
        if self.identifying:
            self.values.add(hash(cell))
        if len(self.samples) < SAMPLED:
            self.samples.append(cell)
        if not self.many:
            self.words[cell] += 1
            self.many = len(self.words) > WORDS

    @property
    def known(self) -> dict[str, bool]:
        """Its status words, as they are spelt, and what each says."""
        said = {word: hr.STATUS.get(plain(word)) for word in self.words if word.isprintable()}
        found = {word: active for word, active in said.items() if active is not None}
        # A digit is a word of status only among its like: SAP's 0 to 3 say something else.
        if {"0", "1"} & found.keys() and not self.words.keys() <= {"0", "1"}:
            return {}
        return found

    @property
    def is_status(self) -> bool:
        """Most of its cells say whether somebody works here."""
        return not self.many and 2 * sum(self.words[word] for word in self.known) > self.filled

    @property
    def usable(self) -> bool:
        """Whether an expression can name it."""
        return nameable(self.name)

    @property
    def reference(self) -> str:
        return f"[{self.name}]"


def _read(table: Table, columns: Sequence[_Column]) -> None:
    for row in table:
        if isinstance(row, BadRow):
            continue
        number, cells = row
        for column in columns:
            column.see(cells[column.place])
        if number >= ROWS_READ:
            return


class _Drafting:
    def __init__(self, columns: Sequence[_Column], name: str, notes: Sequence[str]) -> None:
        self._columns = columns
        self._name = name
        self._notes = notes
        self._chosen: dict[str, _Column] = {}
        self._unsure: dict[str, str] = {}
        self._choose()

    def lines(self) -> Iterator[str]:
        yield f"# A first feed file, drafted from the columns of {comment(self._name)}."
        yield from (f"# Note: {comment(note)}" for note in self._notes)
        yield from BEGINNING
        for path in hr.NAMES:
            yield from self._attribute(path)
        yield from self._extensions()
        yield from self._rest()

    def _choose(self) -> None:
        """One column for each attribute: the likeliest name, if its cells do not speak against it."""
        wanted: dict[str, list[tuple[int, int, _Column]]] = {}
        for column in self._columns:
            if column.usable:
                for path, rank in hr.candidates(column.name).items():
                    wanted.setdefault(path, []).append((rank, column.place, column))
        for path, found in wanted.items():
            ranked = [column for _, _, column in sorted(found, key=lambda entry: entry[:2])]
            if path == hr.ACTIVE:
                ranked = [column for column in ranked if column.is_status]
            if path == hr.REGION:
                ranked = [column for column in ranked if not column.is_status]
            if ranked:
                self._chosen[path] = ranked[0]
        self._settle_names()
        self._settle_identifier()
        self._settle_manager(wanted.get(hr.MANAGER, []))

    def _settle_names(self) -> None:
        """A German export's `Vorname` and `Name`, a French one's `Prénom` and `Nom`: the latter is the family's."""
        name = self._chosen.get(hr.DISPLAY)
        if name and plain(name.name) == "name" and hr.GIVEN in self._chosen and hr.FAMILY not in self._chosen:
            self._chosen[hr.FAMILY] = self._chosen.pop(hr.DISPLAY)

    def _settle_identifier(self) -> None:
        if hr.EXTERNAL_ID in self._chosen:
            return
        usable = [column for column in self._columns if column.usable]
        if not usable:
            raise Unusable(self._name, [Fault(message="no column has a name that an expression can use")])
        complete = max(column.filled for column in usable)
        different = [column for column in usable if column.filled == complete == len(column.values)]
        self._chosen[hr.EXTERNAL_ID] = (different or usable)[0]
        self._unsure[hr.EXTERNAL_ID] = (
            "No column's name says that it identifies a person. Is this one the same for a person in every file,"
            " and different for everybody?"
        )

    def _settle_manager(self, found: Sequence[tuple[int, int, _Column]]) -> None:
        """The column with managers' externalIds; their names or addresses would be of no use."""
        people = self._chosen[hr.EXTERNAL_ID].values
        self._chosen.pop(hr.MANAGER, None)
        for _, _, column in sorted(found, key=lambda entry: entry[:2]):
            if not column.filled or 2 * len(column.values & people) >= len(column.values):
                self._chosen[hr.MANAGER] = column
                return

    def _attribute(self, path: str) -> Iterator[str]:
        column = self._chosen.get(path)
        if path in self._unsure:
            yield f"  # {self._unsure[path]}"
        if path == hr.ACTIVE:
            yield from self._active(column)
        elif path == hr.USER_NAME:
            yield from self._user_name(column)
        elif path == hr.DISPLAY and column is None and (given := self._chosen.get(hr.GIVEN)):
            if family := self._chosen.get(hr.FAMILY):
                yield entry(path, f'Join(" ", {given.reference}, {family.reference})')
        elif column is None:
            return
        elif path in {hr.HIRED, hr.LEFT}:
            yield from self._date(path, column)
        else:
            if path == hr.STREET:
                yield "  # Is this where people work? A home address does not belong into the directory."
            yield entry(path, column.reference)
            if path == hr.EXTERNAL_ID:
                yield entry(f"{ENTERPRISE_USER}:employeeNumber", column.reference)
            if path == hr.MAIL:
                yield '  emails[type eq "work"].primary: true'

    def _active(self, column: _Column | None) -> Iterator[str]:
        named = [c for c in self._columns if c.usable and plain(c.name) in hr.CERTAIN_STATUS]
        if column is None and named:
            self._chosen[hr.ACTIVE] = named[0]
            yield "  # No word of it is understood: all rows are rejected until a Switch makes each True or False."
            yield entry(hr.ACTIVE, named[0].reference)
            return
        if column is None:
            yield "  # No column says who works here. Everybody in the file does then, and nobody is ever disabled."
            yield f"  {hr.ACTIVE}: true"
            return
        known = column.known
        unknown = [word for word in column.words if word not in known]
        yield "  # Rows with another word are rejected: nobody is disabled by a spelling mistake."
        if unknown:
            yield f'  # Not understood: {comment(", ".join(map(quoted, unknown)))}. Add each with "True" or "False".'
        by_meaning = sorted(known.items(), key=lambda entry: not entry[1])
        pairs = ", ".join(f'{quoted(word)}, "{active}"' for word, active in by_meaning)
        yield entry(hr.ACTIVE, f"Switch({column.reference}, {column.reference}, {pairs})")

    def _user_name(self, column: _Column | None) -> Iterator[str]:
        mail, given, family = (self._chosen.get(path) for path in (hr.MAIL, hr.GIVEN, hr.FAMILY))
        if column and _share(column.samples, _has_at) > 0.9:
            yield entry(hr.USER_NAME, column.reference)
            return
        if column:
            yield "  # contoso.com stands for a domain of the tenant."
            yield entry(hr.USER_NAME, f'Join("@", ToLower(StripSpaces({column.reference})), "contoso.com")')
        elif mail:
            yield "  # The mail address, for want of a column with the sign-in name."
            yield entry(hr.USER_NAME, mail.reference)
        elif given and family:
            yield "  # contoso.com stands for a domain of the tenant; two people of the same name need another rule."
            names = f'Join(".", {given.reference}, {family.reference})'
            yield entry(hr.USER_NAME, f'Join("@", ToLower(NormalizeDiacritics(StripSpaces({names}))), "contoso.com")')

    def _date(self, path: str, column: _Column) -> Iterator[str]:
        shares = {text: _share(column.samples, _reads(text)) for text in _DATE_FORMATS}
        best = max(shares.values())
        # A few may be no dates at all: they are rejected, and reported, when the time comes.
        formats = [text for text, share in shares.items() if share == best > 0.9]
        # What reads two digits only and what reads one or two are the same date.
        meant = {_order(text) for text in formats}
        if len(meant) == 1:
            expression = f'FormatDateTime({column.reference}, , "{formats[0]}", "{DATE_TIME}")'
            yield entry(path, expression)
            return
        if not column.samples:
            yield f"  # {comment(column.reference)} is empty throughout: {path.rpartition(':')[2]} is not mapped."
        elif meant:
            yield f"  # The days of {comment(column.reference)} are not told from its months: choose the right line."
            for text in formats:
                yield "  #" + entry(path, f'FormatDateTime({column.reference}, , "{text}", "{DATE_TIME}")')
        else:
            yield f"  # The date format of {comment(column.reference)} is not known: write it in place of FORMAT."
            yield "  #" + entry(path, f'FormatDateTime({column.reference}, , "FORMAT", "{DATE_TIME}")')

    def _extensions(self) -> Iterator[str]:
        dates = [path.rpartition(":")[2] for path in (hr.HIRED, hr.LEFT) if path in self._chosen]
        if dates:
            yield ""
            yield "# The attribute list of the provisioning app must have these too, as must its attribute mapping."
            yield "extensions:"
            yield f"  {hr.CUSTOM}: {{{', '.join(f'{name}: DateTime' for name in dates)}}}"

    def _rest(self) -> Iterator[str]:
        used = {id(column) for column in self._chosen.values()}
        rest = [column for column in self._columns if id(column) not in used]
        if not rest:
            return
        yield ""
        yield "# Columns that are not mapped:"
        for column in rest:
            likely = [path for path in hr.candidates(column.name) if path in self._chosen]
            if not column.usable:
                yield f"#   {comment(column.reference)}: rename it, no expression can name it"
            elif hr.MANAGER in hr.candidates(column.name) and hr.MANAGER not in self._chosen:
                yield f"#   {comment(column.reference)}: manager.value needs the manager's externalId, which it has not"
            elif likely:
                yield f"#   {comment(column.reference)}: {likely[0]} has another column"
            else:
                yield f"#   {comment(column.reference)}"
        yield ""


def _has_at(text: str) -> bool:
    return "@" in text


def _share(texts: Sequence[str], test: Callable[[str], bool]) -> float:
    return sum(map(test, texts)) / len(texts) if texts else 0.0


def _reads(text: str) -> Callable[[str], bool]:
    """Whether a cell is a date of that format, as FormatDateTime reads it."""
    root = parse(f'FormatDateTime([Date], , "{text}", "{DATE_TIME}")').root

    def reads(value: str) -> bool:
        try:
            return bool(evaluate(root, Surroundings(row={"Date": value})))
        except ValueFault:
            return False

    return reads


def _order(text: str) -> str:
    return re.sub(r"(.)\1*", r"\1", text)
