"""What must be reached, and whether it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from bench.router.samples import Figure, Measure, Samples, figure, ratio
from bench.router.subjects import IDIOMATIC_DECORATED, NAIVE_DECORATED, Subject


@dataclass(frozen=True, slots=True)
class Target:
    """A bound for a measure: for its ratio to a baseline's, or (``against`` None) for the figure itself."""

    measure: Measure
    bound: float
    against: Subject | None = None
    at_least: bool = False

    def __str__(self) -> str:
        sign = "≥" if self.at_least else "≤"
        return f"{sign} {self.bound:g}" + (f" × {self.against.name}" if self.against else "")

    def met(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound


@dataclass(frozen=True, slots=True)
class Row:
    """A target beside what one of our routers reaches: its figure, the baseline's, and what is compared with the bound."""

    target: Target
    subject: str
    reached: Figure
    baseline: Figure | None
    compared: Figure

    @property
    def met(self) -> bool:
        return self.target.met(self.compared.middle)

    @property
    def close(self) -> bool:
        """Whether the bound lies within the spread: another run may say otherwise."""
        return self.target.met(self.compared.low) != self.target.met(self.compared.high)


TARGETS: Final = (
    Target(Measure.READY, 0.15, NAIVE_DECORATED),
    Target(Measure.START, 0.2, NAIVE_DECORATED),
    Target(Measure.CPU_IDLE, 0.1, IDIOMATIC_DECORATED),
    Target(Measure.CPU_CANARY, 0.1, IDIOMATIC_DECORATED),
    Target(Measure.CPU_BATCHED, 0.1, IDIOMATIC_DECORATED),
    Target(Measure.CALLS_IDLE, 1),
    Target(Measure.CALLS_DUE, 1),
    Target(Measure.CALLS_CANARY, 4),
    Target(Measure.CALLS_BATCHED, 4),
    Target(Measure.CALLS_SPENT, 1),
    Target(Measure.OVER_IDLE, 1),
    Target(Measure.OVER_CANARY, 11),
    Target(Measure.OVER_BATCHED, 11),
    Target(Measure.OVER_IDLE_P99, 2),
    Target(Measure.RESIDENT, 0.45, IDIOMATIC_DECORATED),
    Target(Measure.ZIPPED, 2.5),
    Target(Measure.RATE, 8, IDIOMATIC_DECORATED, at_least=True),
)


def rows(samples: Samples, subjects: tuple[Subject, ...]) -> Iterator[Row]:
    """Compare what our routers reach with the targets."""
    for target in TARGETS:
        for subject in subjects:
            mine = samples.get((target.measure, subject.name))
            theirs = samples.get((target.measure, target.against.name)) if target.against else None
            if not mine or (target.against and not theirs):
                continue
            compared = ratio(mine, theirs) if theirs else figure(mine)
            yield Row(target, subject.name, figure(mine), figure(theirs) if theirs else None, compared)
