"""The states of a release and what may follow what: one table, from which the diagram in ``docs/concepts.md`` is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class ReleaseState(StrEnum):
    OPENING = "OPENING"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    HELD = "HELD"
    PROMOTING = "PROMOTING"
    WATCHING = "WATCHING"
    PROMOTED = "PROMOTED"
    ABORTING = "ABORTING"
    ABORTED = "ABORTED"
    SUPERSEDED = "SUPERSEDED"
    REJECTED = "REJECTED"
    ROLLING_BACK = "ROLLING_BACK"
    ROLLED_BACK = "ROLLED_BACK"


_S = ReleaseState

#: The whole state machine: from each state, the states that may follow.
TRANSITIONS: Final[Mapping[ReleaseState, frozenset[ReleaseState]]] = MappingProxyType(
    {
        _S.OPENING: frozenset({_S.RUNNING, _S.REJECTED, _S.ABORTING, _S.ABORTED, _S.SUPERSEDED}),
        _S.RUNNING: frozenset({_S.PAUSED, _S.HELD, _S.PROMOTING, _S.ABORTING, _S.ABORTED, _S.SUPERSEDED}),
        _S.PAUSED: frozenset({_S.RUNNING, _S.PROMOTING, _S.ABORTING, _S.ABORTED, _S.SUPERSEDED}),
        _S.HELD: frozenset({_S.RUNNING, _S.PAUSED, _S.PROMOTING, _S.ABORTING, _S.ABORTED, _S.SUPERSEDED}),
        _S.PROMOTING: frozenset({_S.WATCHING, _S.HELD, _S.ROLLED_BACK}),
        _S.WATCHING: frozenset({_S.PROMOTED, _S.ROLLING_BACK}),
        _S.PROMOTED: frozenset({_S.ROLLING_BACK}),
        _S.ABORTING: frozenset({_S.ABORTED}),
        _S.ROLLING_BACK: frozenset({_S.ROLLED_BACK, _S.PROMOTED}),
        _S.ABORTED: frozenset(),
        _S.SUPERSEDED: frozenset(),
        _S.REJECTED: frozenset(),
        _S.ROLLED_BACK: frozenset({_S.PROMOTING}),
    }
)

#: States in which a release has ended (a promoted one can still be taken back, and that again).
ENDED: Final = frozenset({_S.PROMOTED, _S.ABORTED, _S.SUPERSEDED, _S.REJECTED, _S.ROLLED_BACK})
#: States in which the evidence decides.
ON_TRIAL: Final = frozenset({_S.RUNNING, _S.PAUSED, _S.HELD})


class Gate(StrEnum):
    """Whether slots can be claimed at all."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"


class Hold(StrEnum):
    """Why a release is HELD: what it needs to go on.

    APPROVAL: a person at a manual gate. LOST, UNSENT: a person, since requests are unknown or could not be sent. OBSERVATION,
    ALARM, CURRENT: what cannot be seen has to be seen again; then it goes on by itself. FOREIGN: a person, since somebody else
    wrote current. DEADLINE: a person, since its time is over and its plan says that one decides.
    """

    APPROVAL = "APPROVAL"
    LOST = "LOST"
    UNSENT = "UNSENT"
    OBSERVATION = "OBSERVATION"
    ALARM = "ALARM"
    CURRENT = "CURRENT"
    FOREIGN = "FOREIGN"
    DEADLINE = "DEADLINE"


#: What goes away by itself.
PASSING_HOLDS: Final = frozenset({Hold.OBSERVATION, Hold.ALARM, Hold.CURRENT})


class IllegalMove(Exception):
    """A transition that the table does not have: a defect, never a situation."""
