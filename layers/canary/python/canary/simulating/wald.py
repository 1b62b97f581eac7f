"""Wald's bound: how many executions any test needs that errs no more often than ours.

Of all tests that throw out a version failing at the rate ``p`` at most ``alpha`` of the time, and let one failing at ``q`` pass
at most ``beta`` of the time, none needs fewer executions on average, under either rate, than Wald's sequential probability ratio
test (Wald and Wolfowitz). The numbers here are lower bounds for every test; that one meets them up to its overshoot.
"""

from __future__ import annotations

from math import log, log1p


def divergence(p: float, q: float) -> float:
    """The information, in nats, by which one execution that fails at the rate ``p`` speaks against the rate ``q``."""
    return p * log(p / q) + (1 - p) * (log1p(-p) - log1p(-q))


def to_throw_out(p: float, q: float, alpha: float = 0.01, beta: float = 0.05) -> float:
    """The least mean number of executions until a version failing at the rate ``q`` is told from one at ``p``."""
    return _evidence(beta, alpha) / (divergence(q, p) if q < 1 else -log(p))


def to_promote(p: float, q: float, alpha: float = 0.01, beta: float = 0.05) -> float:
    """The least mean number of executions until a version failing at the rate ``p`` is told from one at ``q``.

    A test that may throw out the good one as well (``alpha``) is done a little sooner; with 0 it goes on until it promotes.
    """
    return _evidence(alpha, beta) / divergence(p, q)


def _evidence(wrong: float, other: float) -> float:
    """The divergence of the test's two answers: right with 1 − ``wrong`` here, and with ``other`` there."""
    mistaken = wrong * log(wrong / (1 - other)) if wrong else 0.0
    return (1 - wrong) * log((1 - wrong) / other) + mistaken
