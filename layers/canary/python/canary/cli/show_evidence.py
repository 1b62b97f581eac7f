"""How evidence looks: what each bet has won beside what would decide, and the failure rate that is excluded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from rich.text import Text

from canary.domain.baseline import Baseline
from canary.domain.words import percent
from canary.operating.judging import Weighed

_WIDTH: Final = 16
_FULL, _EMPTY = "█", "░"


@dataclass(frozen=True, slots=True)
class Bar:
    """One bet: the logarithm of what it has won, and of what decides. ``good``: it speaks for latest."""

    name: str
    won: float
    at: float
    good: bool = False

    @property
    def filled(self) -> int:
        """How many of the bar's parts are filled: none while it has lost, all once it has decided."""
        return max(0, min(_WIDTH, int(_WIDTH * self.won / self.at)))


def normal_words(baseline: Baseline) -> str:
    """Say what latest is held against."""
    if not baseline.executions:
        return f"current has no history: {percent(baseline.rate)} failures are taken for normal, and durations are not compared"
    words = f"{baseline.failed} of current's {baseline.executions} executions failed, which counts as {percent(baseline.rate)}"
    return words if baseline.timed else f"{words}; too few to compare durations"


def evidence_bars(weighed: Weighed) -> Text:
    """Draw the bets."""
    bars = list(_bars(weighed))
    width = max(len(bar.name) for bar in bars)
    lines = [_line(bar, width) for bar in bars]
    return Text("\n").join(lines)


def _bars(weighed: Weighed) -> Iterator[Bar]:
    case, numbers = weighed.case, weighed.verdict.numbers
    if numbers is None:
        return
    yield Bar("fails more than before", numbers.failures - numbers.concurrent, numbers.failures_at)
    if case.evidence.epochs:
        yield Bar("fails more than current", numbers.concurrent, numbers.failures_at)
        yield Bar("both together", numbers.failures, numbers.failures_at)
    if case.baseline.timed:
        yield Bar("is slower", numbers.durations_decide, numbers.durations_at)
    yield Bar("is good enough", numbers.bound, numbers.bound_at, good=True)


def _line(bar: Bar, width: int) -> Text:
    style = "green" if bar.good else "red"
    words = (
        Text(f"{bar.name:<{width}}  ").append(_FULL * bar.filled, style=style).append(_EMPTY * (_WIDTH - bar.filled), style="dim")
    )
    return words.append(f"  {max(0.0, bar.won):.2f} of {bar.at:.2f}")
