"""Cells: so many releases of one version, under one plan, in one world."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from signal import SIG_IGN, SIGINT, signal

from canary.domain.plan import Plan
from canary.simulating.judged import Judged
from canary.simulating.measured import Measured, measured
from canary.simulating.policy import Fate
from canary.simulating.trace import Trace
from canary.simulating.world import Version, World

_PIECE = 20


@dataclass(frozen=True, kw_only=True)
class Cell:
    """``measure`` is the table that it belongs to, ``row`` what it is called there."""

    measure: str
    row: str
    world: World
    plan: Plan
    version: Version
    releases: int
    seed: int = 1

    def fates(self, numbers: range) -> list[Fate]:
        """Put some of the releases through."""
        policy = Judged(self.plan, "judge")
        return [policy.release(Trace(self.world, self.seed, number), self.version) for number in numbers]


Found = Mapping[Cell, Measured]


def measure(cells: Sequence[Cell], jobs: int, progress: Callable[[int, int], None]) -> Found:
    """Measure all cells, on several processors."""
    fates: dict[int, dict[int, list[Fate]]] = defaultdict(dict)
    pieces = list(_pieces(cells))
    with ProcessPoolExecutor(jobs, get_context("spawn"), signal, (SIGINT, SIG_IGN)) as pool:  # Ctrl-C is for us alone
        going = {pool.submit(cells[at].fates, numbers): (at, numbers.start) for at, numbers in pieces}
        try:
            for done, future in enumerate(as_completed(going), 1):
                at, first = going[future]
                fates[at][first] = future.result()
                progress(done, len(pieces))
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            raise
    return {cell: measured([fate for first in sorted(fates[at]) for fate in fates[at][first]]) for at, cell in enumerate(cells)}


def _pieces(cells: Sequence[Cell]) -> Iterator[tuple[int, range]]:
    for at, cell in enumerate(cells):
        for first in range(0, cell.releases, _PIECE):
            yield at, range(first, min(first + _PIECE, cell.releases))
