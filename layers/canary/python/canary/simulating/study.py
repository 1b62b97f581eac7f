"""Studies: every version goes through every policy, release by release, on the same traces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import product
from multiprocessing import get_context
from typing import Final

from canary.simulating.measured import Found, measured
from canary.simulating.policy import Fate, Policy
from canary.simulating.trace import Trace
from canary.simulating.world import VERSIONS, Version, World

#: So many releases are one piece of work.
_PIECE: Final = 25

Fates = dict[tuple[str, str], list[Fate]]


@dataclass(frozen=True, kw_only=True)
class Study:
    """What is to be found out. The same study has the same result, on any number of processors."""

    world: World
    policies: Sequence[Policy]
    versions: Sequence[Version] = VERSIONS
    releases: int = 2000
    seed: int = 1

    def run(self, jobs: int = 1, progress: Callable[[int], None] = lambda _: None) -> Found:
        """Measure each policy with each version, by their names. ``progress`` is told how many releases are done."""
        pieces = [range(first, min(first + _PIECE, self.releases)) for first in range(0, self.releases, _PIECE)]
        found: dict[int, Fates] = {}
        for number, fates in self._each(pieces, jobs):
            found[number] = fates
            progress(min(self.releases, len(found) * _PIECE))
        names = [(policy.name, version.name) for policy, version in product(self.policies, self.versions)]
        return {name: measured([fate for number in sorted(found) for fate in found[number][name]]) for name in names}

    def fates(self, numbers: range) -> Fates:
        """Put some of the releases through everything."""
        names = product(self.policies, self.versions)
        found: Fates = {(policy.name, version.name): [] for policy, version in names}
        for number in numbers:
            trace = Trace(self.world, self.seed, number)
            for policy, version in product(self.policies, self.versions):
                found[policy.name, version.name].append(policy.release(trace, version))
        return found

    def _each(self, pieces: Sequence[range], jobs: int) -> Iterator[tuple[int, Fates]]:
        if jobs <= 1 or len(pieces) == 1:
            yield from ((number, self.fates(piece)) for number, piece in enumerate(pieces))
            return
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            going = {pool.submit(self.fates, piece): number for number, piece in enumerate(pieces)}
            for done in as_completed(going):
                yield going[done], done.result()
