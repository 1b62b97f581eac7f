"""Numbers in words, for reasons and for people."""

from __future__ import annotations

from canary.domain.plan import Plan


def duration(milliseconds: int) -> str:
    """Write a duration for people: ``41 s``, ``12 min``, ``3 h 20 min``, ``2 d 4 h``."""
    seconds = max(0, round(milliseconds / 1000))
    if seconds < 90:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def requests(count: int) -> str:
    """Write a number of requests."""
    return "1 request" if count == 1 else f"{count} requests"


def percent(rate: float) -> str:
    """Write a rate as a percentage of three digits: ``0.498 %``, ``9.96 %``, ``100 %``."""
    return f"{100 * rate:.3g} %"


def of_traffic(share: int) -> str:
    """Write a share, in parts of 10,000: ``2.5 % of the traffic``."""
    return f"{percent(share / 10_000)} of the traffic"


def weight_of_proof(plan: Plan) -> str | None:
    """Say how little a short plan proves: the failure rate that n of n successes exclude at 95 %, 1 − 0.05^(1/n)."""
    if plan.judged or plan.quota is None or plan.quota > 10:
        return None
    excluded = 100 * (1 - 0.05 ** (1 / plan.quota))
    return f"{plan.quota} of {plan.quota}: at 95 % only failure rates above {excluded:.1f} % are excluded"
