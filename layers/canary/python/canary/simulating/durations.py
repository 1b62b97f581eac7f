"""How long workflows run: distributions to draw from. Times in milliseconds."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Final, Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: The standard normal's 95 % quantile.
_Z95: Final = 1.6448536269514722


class Durations(Protocol):
    """A distribution of durations."""

    def sample(self, rng: Generator, count: int) -> Floats:
        """Draw so many; in pieces they are the same as at once."""

    def __str__(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Lognormal:
    """Half take longer than ``median``, one in twenty ``spread`` times as long."""

    median: float
    spread: float = 2.0

    @property
    def sigma(self) -> float:
        return log(self.spread) / _Z95

    def sample(self, rng: Generator, count: int) -> Floats:
        return rng.lognormal(log(self.median), self.sigma, count)

    def __str__(self) -> str:
        return f"half take longer than {_words(self.median)}, one in twenty than {_words(self.median * self.spread)}"


@dataclass(frozen=True, slots=True)
class Weibull:
    """Stretched: with a ``shape`` below one the longer a workflow has run, the longer it will still run."""

    median: float
    shape: float = 0.6

    def sample(self, rng: Generator, count: int) -> Floats:
        scale = self.median / log(2) ** (1 / self.shape)
        drawn: Floats = scale * rng.weibull(self.shape, count)
        return np.maximum(1.0, drawn)

    def __str__(self) -> str:
        return f"half take longer than {_words(self.median)}, Weibull of shape {self.shape:g}"


@dataclass(frozen=True, slots=True)
class HeavyTailed:
    """Lognormal, but the longest twentieth falls off as a power: at an ``index`` below two its variance is infinite."""

    median: float
    spread: float = 2.0
    index: float = 1.5

    def sample(self, rng: Generator, count: int) -> Floats:
        body, *others = rng.standard_normal((count, 3)).T
        drawn = self.median * np.exp(body * Lognormal(self.median, self.spread).sigma)
        from_here = self.median * self.spread
        farther = (others[0] ** 2 + others[1] ** 2) / 2  # is exponential, with a mean of one
        found: Floats = np.where(drawn > from_here, from_here * np.exp(farther / self.index), drawn)
        return found

    def __str__(self) -> str:
        body = Lognormal(self.median, self.spread)
        return f"{body}, and those longer by a power law of index {self.index:g}"


@dataclass(frozen=True, slots=True)
class Resampled:
    """As they were: drawn from real ones."""

    values: tuple[int, ...]

    def sample(self, rng: Generator, count: int) -> Floats:
        chosen = (rng.random(count) * len(self.values)).astype(np.intp)
        values: Floats = np.asarray(self.values, dtype=np.float64)
        return np.maximum(1.0, values[chosen])

    def __str__(self) -> str:
        ordered = sorted(self.values)
        middle, late = ordered[len(ordered) // 2], ordered[int(0.95 * (len(ordered) - 1))]
        return f"{len(ordered)} real ones: half take longer than {_words(middle)}, one in twenty than {_words(late)}"


def _words(milliseconds: float) -> str:
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000)):
        if milliseconds >= size:
            return f"{milliseconds / size:.3g} {unit}"
    return f"{milliseconds:.3g} ms"
