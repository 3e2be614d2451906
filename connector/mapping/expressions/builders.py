"""How each function of the language looks as Python source. What has no builder is a plain call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Final

from connector.mapping.expressions import functions
from connector.mapping.expressions.date_functions import DateConversion
from connector.mapping.expressions.diacritics import normalize_diacritics
from connector.mapping.expressions.emitter import Builder, Builders, Emitter, Kind, Piece
from connector.mapping.expressions.functions import NUMBERS, STRICT, TRUTHS
from connector.mapping.expressions.replacement import Replacement
from connector.mapping.expressions.syntax import Call
from connector.mapping.expressions.values import IGNORE, LONGEST, Value, number

_CACHED_DATES: Final = 4096
_FEW: Final = 32
"""Texts that are put together without a look at what they amount to: a row's cells have 65,536 characters in all."""


def _given(pieces: Sequence[Piece | None], index: int) -> Piece | None:
    return pieces[index] if index < len(pieces) else None


def _constant_text(pieces: Sequence[Piece | None], index: int) -> str | None:
    piece = _given(pieces, index)
    return piece.value if piece is not None and piece.constant and isinstance(piece.value, str) else None


def _constant_whole(pieces: Sequence[Piece | None], index: int) -> int | None:
    written = _constant_text(pieces, index)
    found = None if written is None else number(written)
    return found if isinstance(found, int) else None


_RESULTS: Final[dict[str, Kind]] = {
    **dict.fromkeys(("Word",), Kind.TEXT),
    **dict.fromkeys(("Split",), Kind.LIST | Kind.NULL),
    **dict.fromkeys(("RemoveDuplicates",), Kind.TEXT | Kind.LIST | Kind.NULL),
    **dict.fromkeys(TRUTHS, Kind.TRUTH),
    **dict.fromkeys(NUMBERS, Kind.NUMBER | Kind.NULL),
    **dict.fromkeys(("Count", "InStr"), Kind.NUMBER),
}


def _plainly(emitter: Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    return emitter.called(STRICT[node.name], node, pieces, _RESULTS.get(node.name, Kind.TEXT | Kind.NULL))


def _append(emitter: Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    site = emitter.name(node.site, "site")
    parts = [emitter.text(piece or emitter.fixed(None), site, index).source for index, piece in enumerate(pieces)]
    return Piece(f"({' + '.join(parts)})", Kind.TEXT)


def _join(emitter: Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    separator = _constant_text(pieces, 0)
    sources = [emitter.value(piece) for piece in pieces[1:] if piece is not None]
    if separator is None or len(sources) > _FEW or any(source.kind & Kind.LIST for source in sources):
        return emitter.called(functions.join, node, pieces, Kind.TEXT)
    sources = _merged(emitter, separator, sources)
    variable = [source for source in sources if not source.constant]
    site = emitter.name(node.site, "site")
    if len(sources) == 1 or not separator:
        parts = [emitter.text(source, site, 1).source for source in sources]
        return Piece(f"({' + '.join(parts)})" if len(parts) > 1 else parts[0], Kind.TEXT)
    between = f" + {separator!r} + "
    if len(variable) == 1:
        return _join_one(emitter, separator, sources)
    if len(sources) == 2 and variable[1].atom:
        first, again = emitter.held(sources[0])
        last = sources[1].source
        empty = "" if sources[1].kind == Kind.TEXT else ' or ""'
        source = f"({again}{between}{last} if {first} and {last} else {again} or {last}{empty})"
        return Piece(source, Kind.TEXT)
    listed = ", ".join(source.source for source in sources)
    return Piece(f"{separator!r}.join({emitter.name(filter, 'filter')}(None, ({listed})))", Kind.TEXT)


def _merged(emitter: Emitter, separator: str, sources: Sequence[Piece]) -> list[Piece]:
    """Constants side by side as one; those that are empty disappear."""
    merged: list[Piece] = []
    for source in sources:
        if source.constant and not source.value:
            continue
        if source.constant and merged and merged[-1].constant:
            merged[-1] = emitter.fixed(f"{merged[-1].value}{separator}{source.value}")
        else:
            merged.append(source)
    return merged


def _join_one(emitter: Emitter, separator: str, sources: Sequence[Piece]) -> Piece:
    """One source that varies, with a constant before, after or on both sides."""
    place = next(index for index, source in enumerate(sources) if not source.constant)
    before, after = sources[:place], sources[place + 1 :]
    first, again = emitter.held(sources[place])
    full = [repr(f"{before[0].value}{separator}")] if before else []
    full.append(again)
    full += [repr(f"{separator}{after[0].value}")] if after else []
    alone = separator.join(str(source.value) for source in (*before, *after))
    return Piece(f"({' + '.join(full)} if {first} else {alone!r})", Kind.TEXT)


def _coalesce(emitter: Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    del node
    sources: list[str] = []
    kind = Kind(0)
    for index, given in enumerate(pieces):
        piece = emitter.value(given or emitter.fixed(None))
        if index == len(pieces) - 1:
            sources.append(piece.source)
            return Piece(f"({' or '.join(sources)})", kind | piece.kind, atom=len(sources) == 1 and piece.atom)
        if piece.kind & Kind.IGNORED:
            first, again = emitter.held(piece)
            sources.append(f"(None if {first} is {emitter.name(IGNORE, 'IGNORE')} else {again})")
        else:
            sources.append(piece.source)
        kind |= piece.kind & ~(Kind.NULL | Kind.IGNORED)
    raise ValueError("Coalesce without arguments")


def _iif(emitter: Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    test = emitter.truth(pieces[0] or emitter.fixed(None), emitter.name(node.site, "site"))
    one, other = pieces[1] or emitter.fixed(None), pieces[2] or emitter.fixed(None)
    if not one.kind == other.kind == Kind.TRUTH:
        one, other = emitter.value(one), emitter.value(other)
    return Piece(f"({one.source} if {test.source} else {other.source})", one.kind | other.kind)


def _not(emitter: Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    piece = pieces[0]
    if piece is not None and piece.kind == Kind.TRUTH:
        return Piece(f"(not {piece.source})", Kind.TRUTH)
    return emitter.called(functions.negate, node, pieces, Kind.TRUTH)


def _is_empty(emitter: Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    del node
    return Piece(f"(not {emitter.value(pieces[0] or emitter.fixed(None)).source})", Kind.TRUTH)


def _is_present(emitter: Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    del node
    return Piece(emitter.value(pieces[0] or emitter.fixed(None)).source, Kind.TRUTH)


def _ignore_flow(emitter: Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    del node
    piece = emitter.value(pieces[0] or emitter.fixed(None))
    kind = (piece.kind & ~Kind.NULL) | Kind.IGNORED
    return Piece(f"({piece.source} or {emitter.name(IGNORE, 'IGNORE')})", kind)


def _c_bool(emitter: Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    return emitter.truth(pieces[0] or emitter.fixed(None), emitter.name(node.site, "site"))


def _left(emitter: Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    many = _constant_whole(pieces, 1)
    if many is None:
        return emitter.called(functions.left, node, pieces, Kind.TEXT)
    source = emitter.text(pieces[0] or emitter.fixed(None), emitter.name(node.site, "site"), 0)
    return source if many < 0 else Piece(f"{source.source}[:{many}]", Kind.TEXT)


def _mid(emitter: Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    start, length = _constant_whole(pieces, 1), _constant_whole(pieces, 2)
    if start is None or length is None:
        return _plainly(emitter, node, pieces)
    return emitter.on_text(node, pieces, lambda it: f"{it}[{start - 1}:{start - 1 + length}]", twice=False)


def _cased(method: str) -> Builder:
    def build(emitter: Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
        if _given(pieces, 1) is not None:
            return _plainly(emitter, node, pieces)
        slow, site = emitter.name(STRICT[node.name], node.name), emitter.name(node.site, "site")
        return emitter.on_text(
            node, pieces, lambda it: f"{it}.{method}() if {it}.isascii() else {slow}({it}, site={site})", twice=True
        )

    return build


def _method(call: str) -> Builder:
    def build(emitter: Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
        return emitter.on_text(node, pieces, lambda it: f"{it}.{call}", twice=False)

    return build


def _normalize(emitter: Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    slow = emitter.name(normalize_diacritics, "normalize")
    return emitter.on_text(node, pieces, lambda it: f"{it} if {it}.isascii() else {slow}({it})", twice=True)


def _c_str(emitter: Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    piece = emitter.value(pieces[0] or emitter.fixed(None))
    return _plainly(emitter, node, pieces) if piece.kind & Kind.LIST else piece


def _is_string(emitter: Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    del node
    piece = emitter.value(pieces[0] or emitter.fixed(None))
    return Piece(f"({piece.source}.__class__ is {emitter.name(str, 'str')})", Kind.TRUTH)


def _redact(emitter: Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    del node
    return emitter.value(pieces[0] or emitter.fixed(None))


def _now(emitter: Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    del node, pieces
    return Piece(emitter.now(), Kind.TEXT)


def _replace(emitter: Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    plan = node.plan
    if not isinstance(plan, Replacement):
        raise TypeError(type(plan))
    old, value = _constant_text(pieces, 1), _constant_text(pieces, 4)
    source = pieces[0] or emitter.fixed(None)
    if plan.mode == "value" and old is not None and value is not None and emitter.value(source).kind == Kind.TEXT:
        if len(value) <= len(old):
            return Piece(f"{emitter.value(source).source}.replace({old!r}, {value!r})", Kind.TEXT)
        first, again = emitter.held(emitter.value(source))
        pieces[0] = Piece(again, Kind.TEXT, atom=True)
        slow = emitter.called(plan.apply, node, pieces, Kind.TEXT).source
        most = LONGEST // len(value)
        return Piece(f"({again}.replace({old!r}, {value!r}) if len({first}) <= {most} else {slow})", Kind.TEXT)
    template = _constant_text(pieces, 6)
    if plan.mode == "template" and old is not None and template is not None:
        first, again = emitter.held(emitter.text(source, emitter.name(node.site, "site"), 0))
        pieces[0] = Piece(again, Kind.TEXT, atom=True)
        slow = emitter.called(plan.apply, node, pieces, Kind.TEXT).source
        most = (LONGEST - len(template)) // max(template.count(old), 1)
        return Piece(f"({template!r}.replace({old!r}, {again}) if len({first}) <= {most} else {slow})", Kind.TEXT)
    return emitter.called(plan.apply, node, pieces, Kind.TEXT | Kind.NULL)


def _format_date_time(emitter: Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    plan = node.plan
    if not isinstance(plan, DateConversion):
        return _plainly(emitter, node, pieces)
    # A file has far fewer dates than rows.
    convert = lru_cache(_CACHED_DATES)(partial(plan.convert, site=node.site))
    source = emitter.text(pieces[0] or emitter.fixed(None), emitter.name(node.site, "site"), 0).source
    return Piece(f"{emitter.name(convert, 'convert')}({source})", Kind.TEXT | Kind.NULL)


def _switch(emitter: Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    site = emitter.name(node.site, "site")
    source = emitter.text(pieces[0] or emitter.fixed(None), site, 0)
    default = emitter.value(pieces[1] or emitter.fixed(None))
    keys = [piece or emitter.fixed(None) for piece in pieces[2::2]]
    values = [emitter.value(piece or emitter.fixed(None)) for piece in pieces[3::2]]
    kind = default.kind
    for value in values:
        kind |= value.kind
    if not all(key.constant and isinstance(key.value, str) for key in keys):
        first, again = emitter.held(source)
        tests = [emitter.text(key, site, 2 + 2 * index).source for index, key in enumerate(keys)]
        chain = " or ".join(
            f"{first if index == 0 else again} == {test} and {index + 1}" for index, test in enumerate(tests)
        )
        return _chosen(emitter, f"({chain} or 0)", [default, *values], kind)
    table: dict[str, Piece] = {}
    for key, value in zip(keys, values, strict=True):
        table.setdefault(str(key.value), value)
    if all(value.constant and not value.kind & Kind.LIST for value in table.values()):
        return _looked_up(emitter, emitter.name(_constants(table), "table"), source, default, kind)
    places = emitter.name({key: place for place, key in enumerate(table, start=1)}, "places")
    return _chosen(emitter, f"{places}.get({source.source}, 0)", [default, *table.values()], kind)


def _constants(table: Mapping[str, Piece]) -> dict[str, Value]:
    return {key: piece.value for key, piece in table.items()}


def _looked_up(emitter: Emitter, table: str, source: Piece, default: Piece, kind: Kind) -> Piece:
    if default.atom:
        rest = "" if default.source == "None" else f", {default.source}"
        return Piece(f"{table}.get({source.source}{rest})", kind)
    first, again = emitter.held(source)
    return Piece(f"({table}[{again}] if {first} in {table} else {default.source})", kind)


def _chosen(emitter: Emitter, place: str, values: Sequence[Piece], kind: Kind) -> Piece:
    """The value at `place`, by halving: a chain of conditions would nest as deep as there are values."""
    temporary = emitter.temporary()

    def half(low: int, high: int, test: str) -> str:
        if high - low == 1:
            return values[low].source
        middle = (low + high) // 2
        return f"({half(low, middle, temporary)} if {test} < {middle} else {half(middle, high, temporary)})"

    return Piece(half(0, len(values), f"({temporary} := {place})"), kind)


def _lookup(emitter: Emitter, node: Call, pieces: list[Piece | None]) -> Piece:
    site = emitter.name(node.site, "site")
    source = emitter.text(pieces[0] or emitter.fixed(None), site, 0)
    default = emitter.value(pieces[1] or emitter.fixed(None))
    name = _constant_text(pieces, 2) or ""
    return _looked_up(emitter, emitter.table(name), source, default, Kind.TEXT | default.kind)


BUILDERS: Final[Builders] = {
    "": _plainly,
    "Append": _append,
    "CBool": _c_bool,
    "CStr": _c_str,
    "Coalesce": _coalesce,
    "FormatDateTime": _format_date_time,
    "IIF": _iif,
    "IgnoreFlowIfNullOrEmpty": _ignore_flow,
    "IsNull": _is_empty,
    "IsNullOrEmpty": _is_empty,
    "IsPresent": _is_present,
    "IsString": _is_string,
    "Join": _join,
    "Left": _left,
    "Lookup": _lookup,
    "Mid": _mid,
    "NormalizeDiacritics": _normalize,
    "Not": _not,
    "Now": _now,
    "Redact": _redact,
    "Replace": _replace,
    "StripSpaces": _method("replace(' ', '')"),
    "Switch": _switch,
    "ToLower": _cased("lower"),
    "ToUpper": _cased("upper"),
    "Trim": _method("strip()"),
}
