"""How a study looks: tables for people, one document for programs."""

from __future__ import annotations

from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from canary.simulating.measured import Chance, Found, Measured, Spread
from canary.simulating.policy import Policy
from canary.simulating.study import Study

#: What the columns mean.
_LEGEND: Final = "Executions on latest and hours to a promotion: median … 95 %. ± is two standard errors."


def view(study: Study, found: Found) -> RenderableType:
    """Show a study, a table for each policy."""
    head = f"{study.releases} simulated releases of each version, seed {study.seed}: {study.world}.\n{_LEGEND}"
    parts: list[RenderableType] = [Text(head, style="dim")]
    for policy in study.policies:
        parts += [Text(f"\n{policy.name}", style="bold"), _table(study, found, policy)]
        parts += [Text(f"  {each}.", style="dim") for each in policy.assumptions]
    return Group(*parts)


def document(study: Study, found: Found) -> dict[str, Any]:
    """Write a study as a JSON document."""
    return {
        "releases": study.releases,
        "seed": study.seed,
        "world": str(study.world),
        "policies": [
            {
                "policy": policy.name,
                "assumptions": list(policy.assumptions),
                "versions": [{"version": each.name, **found[policy.name, each.name].document()} for each in study.versions],
            }
            for policy in study.policies
        ],
    }


def _table(study: Study, found: Found, policy: Policy) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="dim", show_edge=False)
    table.add_column("a version that …", no_wrap=True)
    for column in ("out, %", "promoted, %", "executions", "hours"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("why out, %")
    for version in study.versions:
        row = found[policy.name, version.name]
        table.add_row(version.name, _chance(row.out), _chance(row.shipped), _spread(row.exposed), _spread(row.hours), _why(row))
    return table


def _chance(chance: Chance) -> str:
    if chance.times in {0, chance.of}:
        return _short(100 * chance.rate)
    return f"{_short(100 * chance.rate)} ± {200 * chance.error:.1f}"


def _spread(spread: Spread) -> str:
    return f"{_short(spread.median)} … {_short(spread.p95)}" if spread.count else ""


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.2g}"


def _why(row: Measured) -> str:
    words = [f"{cause} {_short(100 * count / row.releases)}" for cause, count in sorted(row.causes.items(), key=_most)]
    if row.taken_back.times:
        words.append(f"of these in the watch {_short(100 * row.taken_back.rate)}")
    if row.undecided.times:
        words.append(f"undecided {_short(100 * row.undecided.rate)}")
    return ", ".join(words)


def _most(cause: tuple[str, int]) -> int:
    return -cause[1]
