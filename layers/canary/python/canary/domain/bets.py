"""The three bets and the promotion bound: what outcomes say of a stack, whenever one looks. See docs/judgement.md.

A bet is a wealth that a stack as good as current multiplies by one on average, whatever happens: by Ville's inequality it grows
above 1/α with a chance of α at most, in the whole life of a release. All values are natural logarithms, finite for any counts.

Sources: Wald, Sequential Tests of Statistical Hypotheses; Ville's inequality; Grünwald, de Heide, Koolen, Safe Testing;
Lindon and Malek, Anytime-Valid Inference for Multinomial Count Data; Turner, Ly, Grünwald, Generic E-Variables for Exact
Sequential k-Sample Tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import combinations, pairwise
from math import ceil, exp, expm1, floor, lgamma, log, log1p, sqrt
from operator import mul
from typing import Final

#: How the chance of a wrong abort is divided: three quarters for failures, one for durations.
FAILURES_PART: Final = 0.75
DURATIONS_PART: Final = 0.25
#: What promotion needs: ln 20, which is 95 %.
PASS_AT: Final = log(20)

#: Where the history's durations are cut into five bins.
CUTS: Final = (0.25, 0.50, 0.75, 0.95)
#: How often the bins are hit when the logarithm of the duration is shifted by 0.35, 0.8, 1.5, 2.5 standard deviations.
SLOWER: Final = (
    (0.1528, 0.2104, 0.2640, 0.2751, 0.0977),
    (0.0702, 0.1417, 0.2382, 0.3508, 0.1991),
    (0.0148, 0.0520, 0.1377, 0.3530, 0.4425),
    (0.0008, 0.0055, 0.0278, 0.1623, 0.8036),
)
_LOG_SLOWER: Final = tuple(tuple(log(q) for q in bins) for bins in SLOWER)
#: Every quicker bin with every slower one.
_PAIRS: Final = tuple(combinations(range(len(CUTS) + 1), 2))
#: How much more often than current the concurrent bet supposes latest to fail.
_THETAS: Final = (2.0, 5.0, 25.0, 200.0)
#: A history shorter than this is filled up with successes, so that two failures in a row are still news.
_LEAST_HISTORY: Final = 20
#: Of so many times its own size a history can tell; of more only the proportions count. It does not know its own rate any better,
#: and a closed bet that went on growing would in the end throw out every good version whose history had been lucky.
_TELLS: Final = 5
#: So many rates the history bet supposes.
_ALTERNATIVES: Final = 5
#: What rounding may make of two numbers that are the same.
_ROUNDING: Final = 1e-9
#: So many results of a function are remembered. A pass asks for the same more than once, and a simulation thousands of times.
_REMEMBERED: Final = 8_192


def fails_at(alpha: float) -> float:
    """The wealth in failures that says FAIL."""
    return -log(FAILURES_PART * alpha)


def slow_at(alpha: float) -> float:
    """The wealth in durations that says FAIL."""
    return -log(DURATIONS_PART * alpha)


@lru_cache(_REMEMBERED)
def normal_rate(executions: int, failed: int) -> float:
    """How often current fails, as the history of ``executions``, ``failed`` of them, tells it: above 0 and below 1."""
    a, c = _prior(executions, failed)
    return a / (a + c)


def most_told(history: int) -> int:
    """How many executions a history of so many can tell of. Of more only the proportions count."""
    return _TELLS * max(history, _LEAST_HISTORY)


@lru_cache(_REMEMBERED)
def history_bet(started: int, failed: int, executions: int, failures: int) -> float:
    """Bet that latest fails more often than the history, ``failures`` of ``executions``: ``failed`` of ``started`` did."""
    return _log_mean(_against_history(started, failed, executions, failures, closed=False))


@lru_cache(_REMEMBERED)
def closed_history_bet(started: int, failed: int, executions: int, failures: int) -> float:
    """The same, but more failures never make it less: this is what decides.

    Each alternative keeps what it had won where it fitted best; beyond that more failures speak for a worse one. What runs may
    therefore be counted as if it had succeeded.
    """
    most = most_told(executions)
    if started > most:
        started, failed = most, failed * most // started
    return _log_mean(_against_history(started, failed, executions, failures, closed=True))


def concurrent_bet(epochs: Iterable[tuple[float, int, int]]) -> float:
    """Bet on who failed, for requests of a coin: (share of latest below 1, failures of either stack, those on latest)."""
    told = tuple(epochs)
    return _log_mean(
        sum(latest * log(theta) - both * log(1 - share + share * theta) for share, both, latest in told) for theta in _THETAS
    )


def marks(durations: int) -> tuple[int, ...]:
    """Which of so many durations, the shortest being the first, are the cuts."""
    return tuple(round(cut * durations) for cut in CUTS)


def duration_bet(counts: Sequence[int], durations: int) -> float:
    """Bet that latest is slower: ``counts`` of its executions in the five bins of ``durations`` (4 at least) in the history."""
    return _log_mean(_against_durations([tuple(counts)] * len(SLOWER), _gaps(durations)))


def closed_duration_bet(counts: Sequence[int], durations: int) -> float:
    """The same, but an execution in a slower bin never makes it less: this is what decides.

    Each alternative counts executions in quicker bins where that fits it better. What runs may therefore be counted in the
    quickest bin that its age allows.
    """
    return _closed_duration_bet(tuple(counts), durations)


def promotion_bound(finished: int, failed: int, normal: float, bad: float) -> float:
    """Wald's ratio of a stack that fails at the ``normal`` rate to one that fails at the ``bad`` one (below 1)."""
    return failed * log(normal / bad) + (finished - failed) * (log1p(-normal) - log1p(-bad))


@lru_cache(_REMEMBERED)
def at_most(finished: int, failed: int, normal: float) -> float:
    """The failure rate that is excluded at 95 %, whenever one looks: from above ``normal`` to 1 (nothing is known).

    In v = −ln(1 − rate) the promotion bound is convex, and to the right of its root at first: Newton's steps come down to it.
    """
    succeeded = finished - failed
    if succeeded == 0:
        return 1.0
    step = v = (PASS_AT - failed * log(normal)) / succeeded - log1p(-normal)
    while failed and step > _ROUNDING * v:
        over = failed * log(-normal / expm1(-v)) + succeeded * (log1p(-normal) + v) - PASS_AT
        step = over / (succeeded + failed * exp(-v) / expm1(-v))
        v -= step
    return -expm1(-v)


def _prior(executions: int, failures: int) -> tuple[float, float]:
    return failures + 0.5, executions - failures + 0.5 + max(0, _LEAST_HISTORY - executions)


def _against_history(started: int, failed: int, executions: int, failures: int, *, closed: bool) -> list[float]:
    """What each alternative has won against the history."""
    a, c = _prior(executions, failures)
    at_zero, alternatives = _log_beta(a, c), _alternatives(executions, failures)
    predicted: dict[int, float] = {}
    won = [0.0] * (_ALTERNATIVES - len(alternatives))
    for q, log_q, log_rest in alternatives:
        best = floor(q * (a + c + started - 1) - a) + 1  # up to here one more failure speaks for q, from here against it
        f = min(failed, max(0, best)) if closed else failed
        if f not in predicted:
            predicted[f] = _log_beta(a + f, c + started - f) - at_zero
        won.append(f * log_q + (started - f) * log_rest - predicted[f])
    return won


@lru_cache(_REMEMBERED)
def _alternatives(executions: int, failures: int) -> tuple[tuple[float, float, float], ...]:
    """Rates that are bet on, each with the logarithms of it and of the rest.

    None is at the normal rate or below: where most of a history failed, what fails less often is no reason for an abort.
    """
    normal = normal_rate(executions, failures)
    b = min(normal, 0.3)
    rates = (2 * b, min(5 * b, 0.9), min(sqrt(2.5 * b), 0.9), max(0.5, min(2 * b, 0.9)), 0.95)
    return tuple((q, log(q), log1p(-q)) for q in rates if q > normal)


@lru_cache(_REMEMBERED)
def _closed_duration_bet(counts: tuple[int, ...], durations: int) -> float:
    gaps, counted = _gaps(durations), _in_proportion(counts, most_told(durations))
    return _log_mean(_against_durations([_fitting(counted, gaps, bins) for bins in SLOWER], gaps))


@lru_cache
def _gaps(durations: int) -> tuple[int, ...]:
    """How much the history weighs in each bin."""
    first, second, third, fourth = marks(durations)
    return first, second - first, third - second, fourth - third, durations + 1 - fourth


def _against_durations(counted: Iterable[tuple[int, ...]], gaps: tuple[int, ...]) -> list[float]:
    """What each alternative has won with the counts that it is given."""
    return [
        sum(map(mul, counts, logs)) - _log_predictive(counts, gaps) for counts, logs in zip(counted, _LOG_SLOWER, strict=True)
    ]


def _in_proportion(counts: Sequence[int], most: int) -> tuple[int, ...]:
    """The counts, or their proportions where they are ``most`` together; rounding makes them quicker, never slower."""
    total = sum(counts)
    if total <= most:
        return tuple(counts)
    at_least = [sum(counts[number:]) * most // total for number in range(len(counts) + 1)]
    return tuple(here - beyond for here, beyond in pairwise(at_least))


def _fitting(counts: tuple[int, ...], gaps: Sequence[int], bins: Sequence[float]) -> tuple[int, ...]:
    """Move executions to quicker bins until an alternative has won the most.

    One more in a bin multiplies its wealth by the bin's chance over (gap + count). So what two bins hold together is shared out
    at once, as far as none ends up slower than it was; and when no pair gains any more, nothing does.
    """
    if _fits(counts, gaps, bins):
        return counts
    fitted, moved = list(counts), True
    while moved:
        moved = False
        for quick, slow in _PAIRS:
            quicker, slower = bins[quick] * (gaps[slow] + fitted[slow]), bins[slow] * (gaps[quick] + fitted[quick])
            gain = (quicker - slower + bins[slow]) / (bins[quick] + bins[slow])  # so many would each be better off
            if gain > 1 + _ROUNDING:
                moves = min(fitted[slow], ceil(gain - _ROUNDING) - 1)
            elif gain < -_ROUNDING:
                spare = min(sum(counts[k:]) - sum(fitted[k:]) for k in range(quick + 1, slow + 1))
                moves = -min(fitted[quick], spare, ceil(-gain - _ROUNDING))
            else:
                continue
            fitted[quick] += moves
            fitted[slow] -= moves
            moved = moved or moves != 0
    return tuple(fitted)


def _fits(counts: Sequence[int], gaps: Sequence[int], bins: Sequence[float]) -> bool:
    """Whether no execution is better off in a quicker bin: the usual case."""
    best = 0.0
    for n, gap, q in zip(counts, gaps, bins, strict=True):
        if n and q < best * (gap + n - 1):
            return False
        best = max(best, q / (gap + n))
    return True


def _log_mean(values: Iterable[float]) -> float:
    terms = list(values)
    top = max(terms)
    return top + log(sum([exp(term - top) for term in terms]) / len(terms))


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)


@lru_cache(_REMEMBERED)
def _log_predictive(counts: tuple[int, ...], weights: tuple[int, ...]) -> float:
    """The Dirichlet-multinomial chance of one sequence with these counts."""
    total = sum(weights)
    ratio = lgamma(total) - lgamma(total + sum(counts))
    return ratio + sum([lgamma(weight + n) - lgamma(weight) for n, weight in zip(counts, weights, strict=True) if n])
