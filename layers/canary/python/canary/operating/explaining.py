"""Explaining decisions: each evidence record is judged once more, and told in sentences with its numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isclose

from canary.domain.case import case_from, judged_again
from canary.domain.judge import Case, Verdict
from canary.domain.record import Record

#: Numbers that are the same may differ by so much: another machine may round otherwise.
_RELATIVE, _ABSOLUTE = 1e-9, 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """A record, and what comes out when it is judged ``again``: None where it cannot be read, and ``differences`` say so.

    ``dropped``: its decision was not carried out, since the flipper was interrupted or somebody was faster.
    """

    record: Record
    case: Case | None = None
    again: Verdict | None = None
    differences: tuple[str, ...] = ()
    dropped: bool = False

    @property
    def agrees(self) -> bool:
        return not self.differences


def explained(records: Sequence[Record], newest: str | None) -> list[Explained]:
    """Judge records again, oldest first. ``newest`` names the last one whose decision the release bears, None: it bears none."""
    borne = _borne(records, newest)
    return [_explained(record, record.name not in borne) for record in records]


def in_force(decisions: Sequence[Explained], at: int) -> Explained | None:
    """The decision that held at a time; None before the first one."""
    return next((each for each in reversed(decisions) if each.record.at <= at and not each.dropped), None)


def _borne(records: Sequence[Record], newest: str | None) -> set[str]:
    """The names of those whose decisions were carried out: the newest, the one before that, and so on to the first."""
    before = {record.name: record.before for record in records}
    borne: set[str] = set()
    name = newest
    while name is not None and name not in borne:
        borne.add(name)
        name = before.get(name)
    return borne


def _explained(record: Record, dropped: bool) -> Explained:  # noqa: FBT001 - whether it was carried out
    try:
        case, again = case_from(record.case), judged_again(record)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        return Explained(record=record, differences=(f"it cannot be computed again: {error}",), dropped=dropped)
    return Explained(record=record, case=case, again=again, differences=tuple(_differences(record, again)), dropped=dropped)


def _differences(record: Record, again: Verdict) -> Iterator[str]:
    for what, kept, now in (("verdict", record.judgement, again.judgement.value), ("reason", record.reason, again.reason)):
        if kept != now:
            yield f"{what}: {kept!r} on record, {now!r} computed again"
    numbers: Mapping[str, float] = asdict(again.numbers) if again.numbers else {}
    for name in sorted(record.numbers.keys() | numbers.keys()):
        kept_number, number = record.numbers.get(name), numbers.get(name)
        if not _same(kept_number, number):
            yield f"{name}: {_shown(kept_number)} on record, {_shown(number)} computed again"


def _same(kept: float | None, number: float | None) -> bool:
    if kept is None or number is None:
        return kept is number
    return isclose(kept, number, rel_tol=_RELATIVE, abs_tol=_ABSOLUTE)


def _shown(number: float | None) -> str:
    return "nothing" if number is None else f"{number:.12g}"
