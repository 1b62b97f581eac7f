"""The trail of a release: whatever somebody decided of it has a line in its history, of the same write, by whom and why.

Whatever is not listed here as a fact or as following the evidence counts as decided: a new field is, until somebody says why not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Final

from canary.domain.release import FLIPPER, STOPPING, Ask, Change, Release
from canary.domain.states import Gate, ReleaseState
from tests.histories.theme import OPERATOR, SKEW_MS

#: Nobody may change these at all.
IDENTITY: Final = frozenset({"app", "release", "value", "target", "tag", "written_at", "by", "commit", "restored_from"})
#: What routers write without a new revision: claims, each of which has its row in the audit.
CLAIMS: Final = frozenset({"claimed", "open", "batches"})
#: What is observed and kept count of, and stands elsewhere, with its time. Nobody decides on it.
FACTS: Final = {
    "rev": "how often the item was written",
    "history": "the trail itself",
    "claimed": "a row of the audit for each",
    "open": "claims whose rows are not settled",
    "batches": "slots that a router holds for its rows",
    "tally": "the outcomes of rows",
    "counted": "marks at rows that are in the tally",
    "gathered": "the outcomes of rows, by the share at which they were claimed",
    "state_machine": "learned from rows",
    "named": "learned from rows",
    "control": "where current's workflows run: found when the release is accepted, or learned from rows of control samples",
    "probes": "how synthetic requests ended; the line that opens or ends the release follows from it",
    "watched": "what was counted of executions since the promotion",
    "notices": "events on their way out: the line that they tell of came with them",
    "record": "the name of an evidence record, which says what was judged, and when",
    "asks": "each says who, when and why itself; its end has a line, see below",
}
#: What follows the evidence while requests flow, within what the stage allows. Rows are on record, each with the coin's share.
EARNED: Final = frozenset({"granted", "share"})

_NAMES: Final = tuple(field.name for field in fields(Release))


class Trail:
    """Hears of every writing of a release. A flipper signs for itself, or in the name of whoever has asked; else whoever acts."""

    def __init__(self) -> None:
        self._askers: set[str] = set()

    def gaps(self, before: Release | None, after: Release, acting: str, now: int) -> list[str]:
        """What ``acting`` has changed and not told, in words."""
        found = list(untold(before, after))
        self._askers |= {ask.who for ask in after.asks}
        may = {FLIPPER, *self._askers} if acting.startswith("flipper") else {OPERATOR}
        for line in after.history[len(before.history) :] if before else ():
            if line.who not in may:
                found.append(f"{acting} writes {line.what!r} in the name of {line.who}")
            if line.at > now + SKEW_MS:
                found.append(f"{line.what!r} is told before it was done, at {line.at}")
        return [f"on record: {what}" for what in found]


def untold(before: Release | None, after: Release) -> Iterator[str]:
    """Say what changed between two writings of a release that its history does not tell, in words."""
    told = before.history if before else ()
    if after.history[: len(told)] != told:
        yield "a line of the history changed"
    yield from _unsigned(after.history[len(told) :])
    if before is None:
        if [line.what for line in after.history] != ["opened"]:
            yield f"a release begins with one line that says so, not {after.history}"
        return
    changed = {name for name in _NAMES if getattr(before, name) != getattr(after, name)}
    if fixed := changed & IDENTITY:
        yield f"{_list(fixed)} of a release changed"
    if before.rev != after.rev:
        yield from _silent(before, after, changed - FACTS.keys() - IDENTITY)
    elif changed - CLAIMS:
        yield f"{_list(changed - CLAIMS)} changed without a new revision"


def _silent(before: Release, after: Release, changed: set[str]) -> Iterator[str]:
    """What of the ``changed`` was decided, and no line tells it."""
    lines = after.history[len(before.history) :]
    moves = [line.what for line in lines if " → " in line.what]
    if moves != ([f"{before.state} → {after.state}"] if "state" in changed else []):
        yield f"{before.state} became {after.state}, and the history says {moves}"
    yield from _unanswered(before, after, lines)
    if _stopped_by(before, after):
        changed = changed - {"gate"}
    if _flows(before) and _flows(after) and before.stage == after.stage and _allowed(after):
        changed = changed - EARNED
    if changed and not lines:
        yield f"{_list(changed)} changed, and no line says by whom and why"


def _unsigned(lines: tuple[Change, ...]) -> Iterator[str]:
    for line in lines:
        if line.at <= 0 or not (line.who.strip() and line.what.strip() and line.why.strip()):
            yield f"a line says who, when, what and why, not {line}"


def _unanswered(before: Release, after: Release, lines: tuple[Change, ...]) -> Iterator[str]:
    """An ask that goes leaves a line by whoever asked; one that comes says itself who, when and why."""
    gone = Counter(ask.who for ask in before.asks if ask not in after.asks)
    if missing := gone - Counter(line.who for line in lines):
        yield f"asks of {_list(missing)} went, and no line says what became of them"
    for ask in _new_asks(before, after):
        if ask.at <= 0 or not (ask.who.strip() and ask.why.strip()):
            yield f"an ask says who, when and why, not {ask}"


def _stopped_by(before: Release, after: Release) -> bool:
    """Whether an operator has closed the gate, by an ask that says who and why."""
    return after.gate is Gate.CLOSED and any(ask.verb in STOPPING for ask in _new_asks(before, after))


def _new_asks(before: Release, after: Release) -> list[Ask]:
    return [ask for ask in after.asks if ask not in before.asks]


def _flows(release: Release) -> bool:
    return release.state is ReleaseState.RUNNING and release.gate is Gate.OPEN


def _allowed(release: Release) -> bool:
    return release.allowed is None or release.granted <= release.allowed


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
