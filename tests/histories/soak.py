"""Many histories: what they reached, what failed, and how to see it again."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing import get_context

from canary.domain.states import TRANSITIONS, Hold
from tests.histories.history import History
from tests.histories.telling import tell
from tests.histories.theme import PLANS

_CHUNK = 50
_MOST_SHOWN = 3


@dataclass
class Reached:
    """What a number of histories came to."""

    histories: int = 0
    calls: int = 0
    answers: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    moves: Counter[str] = field(default_factory=Counter)
    holds: Counter[str] = field(default_factory=Counter)
    plans: Counter[str] = field(default_factory=Counter)
    problems: Counter[int] = field(default_factory=Counter)
    broken: dict[int, str] = field(default_factory=dict)

    def add(self, history: History) -> None:
        """Add one."""
        watch = history.watch
        self.histories += 1
        self.calls += history.place.board.calls
        self.answers += history.deeds.answers.told
        self.faults += history.place.board.faults
        self.moves += Counter({f"{before} → {after}": n for (before, after), n in watch.moves.items()})
        self.holds += watch.holds
        self.plans[history.theme.plan] += 1
        self.problems += Counter(history.deeds.answers.problems)
        if history.broken:
            self.broken[history.seed] = history.broken[0]

    def join(self, other: Reached) -> None:
        """Add what others came to."""
        self.histories += other.histories
        self.calls += other.calls
        self.answers += other.answers
        for name in ("faults", "moves", "holds", "plans", "problems"):
            getattr(self, name).update(getattr(other, name))
        self.broken |= other.broken

    @property
    def never(self) -> list[str]:
        """Transitions of the table, causes to hold and plans that no history has come to."""
        table = [f"{before} → {after}" for before, afters in TRANSITIONS.items() for after in sorted(afters)]
        missed = [move for move in table if not self.moves[move]]
        missed += [f"HELD for {hold}" for hold in Hold if not self.holds[hold.value]]
        return missed + [f"plan {plan!r}" for plan in PLANS if not self.plans[plan]]

    def told(self) -> str:
        """All of it, in words."""
        lines = [
            f"{self.histories:,} histories, {len(self.broken)} of them broken",
            f"{self.calls:,} AWS calls, {self.answers:,} answers to upstream apps",
            "faults: " + ", ".join(f"{name} {number:,}" for name, number in sorted(self.faults.items())),
            "transitions: " + ", ".join(f"{name} {number:,}" for name, number in sorted(self.moves.items())),
            "held for: " + ", ".join(f"{name} {number:,}" for name, number in sorted(self.holds.items())),
            "errors answered: " + ", ".join(f"{status} {number:,}" for status, number in sorted(self.problems.items())),
            f"never reached: {', '.join(self.never) or 'nothing: all of the table was'}",
        ]
        return "\n".join(lines)

    def as_json(self) -> str:
        """The counts, for a page that quotes them."""
        counts = {name: dict(sorted(getattr(self, name).items())) for name in ("faults", "moves", "holds", "broken")}
        return json.dumps(
            {"histories": self.histories, "calls": self.calls, "answers": self.answers, **counts, "never": self.never}
        )


def run(seeds: Iterable[int]) -> Reached:
    """Run histories one after the other, in this process."""
    reached = Reached()
    for seed in seeds:
        reached.add(History(seed).run())
    return reached


def soak(first: int, last: int | None, *, minutes: float | None, jobs: int) -> Reached:
    """Run seeds from ``first`` on, up to before ``last`` or until the time is over; progress goes to standard error."""
    started, reached, shown = time.monotonic(), Reached(), 0
    until = started + minutes * 60 if minutes is not None else None
    for part in _parts(_chunks(first, last), jobs):
        reached.join(part)
        for seed in sorted(part.broken)[: _MOST_SHOWN - shown]:
            print(tell(History(seed).run()), file=sys.stderr)
            shown += 1
        spent = time.monotonic() - started
        if reached.histories % (20 * _CHUNK) < _CHUNK:
            rate = reached.histories / spent
            print(
                f"{spent:6.0f} s  {reached.histories:,} histories ({rate:.0f}/s), {len(reached.broken)} broken", file=sys.stderr
            )
        if until is not None and time.monotonic() > until:
            break
    return reached


def _chunks(first: int, last: int | None) -> Iterator[range]:
    while last is None or first < last:
        end = first + _CHUNK if last is None else min(first + _CHUNK, last)
        yield range(first, end)
        first = end


def _parts(chunks: Iterator[range], jobs: int) -> Iterator[Reached]:
    if jobs == 1:
        yield from map(run, chunks)
        return
    with get_context("fork").Pool(jobs) as pool:
        yield from pool.imap(run, _bounded(chunks))


def _bounded(chunks: Iterator[range]) -> Iterator[range]:
    """A pool reads all of its input at once: there has to be an end."""
    for number, chunk in enumerate(chunks):
        if number >= 1_000_000 // _CHUNK:
            return
        yield chunk
