"""What went wrong, grouped: the endings that one cause explains, and what to do about each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from connector.reporting.advice import LOOK_IT_UP, UNREADABLE, advise, without_values
from connector.vocabulary.run import Ending, Outcome

# The outcomes that somebody must look at: what `summary_json` and `html` expect as `failures`.
FAILURES: Final = frozenset({Outcome.FAILED, Outcome.REFUSED, Outcome.UNCONFIRMED})


_VARIANTS: Final = 5


_UNCONFIRMED_ADVICE: Final = (
    "Entra's log did not mention this person in time. Check that the provisioning job is started and not in "
    "quarantine, then drop the file again."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """The endings that one cause explains. `reason` is Entra's own where all agree, else what they have in common."""

    outcome: Outcome
    code: str
    reason: str
    advice: str
    endings: tuple[Ending, ...]

    @property
    def people(self) -> int:
        return len(self.endings)


def causes(failures: Iterable[Ending]) -> tuple[Cause, ...]:
    """Group endings by what went wrong: most people first, then by first row. Order within a group is as given."""
    by_code: dict[tuple[Outcome, str, str], dict[str, list[Ending]]] = {}
    for ending in failures:
        reasons = by_code.setdefault((ending.outcome, ending.code, advice_for(ending)), {})
        reasons.setdefault(without_values(ending.reason), []).append(ending)
    found = []
    for (outcome, code, advice), reasons in by_code.items():
        # A reason that names each person would otherwise make a cause of each.
        if len(reasons) > _VARIANTS:
            example = f"{next(iter(reasons))} (and {len(reasons) - 1:,} more wordings)"
            reasons = {example: [ending for endings in reasons.values() for ending in endings]}  # noqa: PLW2901 (folded)
        for shared, endings in reasons.items():
            same = len({ending.reason for ending in endings}) == 1
            found.append(
                Cause(
                    outcome=outcome,
                    code=code,
                    reason=endings[0].reason if same else shared,
                    advice=advice,
                    endings=tuple(endings),
                )
            )
    return tuple(sorted(found, key=lambda cause: (-cause.people, cause.endings[0].row, cause.code)))


def advice_for(ending: Ending) -> str:
    """What to do about one person's ending: Entra's recommendation, else our own; "" where all is well."""
    if ending.advice:
        return ending.advice
    if ending.outcome is Outcome.UNCONFIRMED and not ending.code:
        return _UNCONFIRMED_ADVICE
    if ending.outcome is Outcome.REFUSED:
        # Entra never had this person: its log has no entry to look up.
        found = advise(ending.code, ending.reason)
        return UNREADABLE if found in {"", LOOK_IT_UP} else found
    if ending.outcome in FAILURES or ending.outcome is Outcome.SKIPPED:
        return advise(ending.code, ending.reason)
    return ""
