"""What every policy is to the simulation: something that a release goes through, and that has an end."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from canary.simulating.trace import Trace
from canary.simulating.world import Version


class Ending(StrEnum):
    """How a release ended. UNDECIDED: it waits for a person."""

    PROMOTED = "PROMOTED"
    ABORTED = "ABORTED"
    ROLLED_BACK = "ROLLED_BACK"
    UNDECIDED = "UNDECIDED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What became of one release, ``at`` so many milliseconds after it was opened.

    ``exposed``: executions that had been started on latest by then, those after a promotion left out unless it was taken back.
    ``promoted_at`` is there for one that was taken back, too. ``samples``: finished executions that were judged.
    """

    ending: Ending
    at: float
    exposed: int
    promoted_at: float | None = None
    samples: int = 0
    why: str = ""


class Policy(Protocol):
    """A way to release."""

    @property
    def name(self) -> str: ...

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What is supposed of it, in sentences."""

    def release(self, trace: Trace, version: Version) -> Fate:
        """Put a version through it."""
