"""The picture of a study: what becomes of each version, how much it does meanwhile, and how long it takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from canary.simulating.measured import Found, Measured

_GOOD, _BAD, _OPEN = "#2a7f62", "#b8433b", "#9a9a9a"
#: Told apart without colours, too: each has its own marker.
_MARKS: Final = ("o", "s", "D", "^", "v", "P", "X", "<", ">")
_COLOURS: Final = ("#1b1b1b", "#d1495b", "#edae49", "#00798c", "#30638e", "#7a5195", "#66a182", "#8d5524", "#5c5c5c")
_STYLE: Final[Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
}


def draw(found: Found, title: str, path: Path) -> None:
    """Draw a study into a file; its suffix says which kind."""
    policies = list(dict.fromkeys(policy for policy, _ in found))
    versions = list(dict.fromkeys(version for _, version in found))
    with mpl.rc_context(_STYLE):
        row = 0.34 + 0.13 * (len(policies) - 1)
        figure = Figure(figsize=(12, 1.9 + row * len(versions) + 0.2 * _legend_rows(policies)), layout="constrained")
        figure.suptitle(title, fontsize=10, x=0.01, ha="left")
        ends, exposed, hours = figure.subplots(1, 3, sharey=True, width_ratios=[1.2, 1, 1])
        if len(policies) == 1:
            _bars(ends, [found[policies[0], version] for version in versions])
        else:
            _dots(ends, found, policies, versions)
        _ranges(exposed, found, policies, versions, "exposed")
        _ranges(hours, found, policies, versions, "hours")
        ends.set_yticks(range(len(versions)), versions)
        ends.set_ylim(len(versions) - 0.5, -0.5)
        exposed.set_title("executions exposed: median to 95 %")
        hours.set_title("hours to promotion: median to 95 %")
        handles, labels = ends.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower left", ncols=3 if len(policies) == 1 else 2, frameon=False)
        figure.savefig(path, dpi=150)


def _legend_rows(policies: Sequence[str]) -> int:
    return 1 if len(policies) == 1 else (len(policies) + 1) // 2


def _bars(axes: Axes, rows: Sequence[Measured]) -> None:
    left = [0.0] * len(rows)
    for name, colour, label in (
        ("shipped", _GOOD, "promoted"),
        ("undecided", _OPEN, "waits for a person"),
        ("out", _BAD, "thrown out"),
    ):
        widths = [100 * getattr(each, name).rate for each in rows]
        if name == "undecided" and not any(widths):
            continue
        axes.barh(range(len(rows)), widths, left=left, color=colour, height=0.62, label=label)
        for at, (start, width) in enumerate(zip(left, widths, strict=True)):
            if width >= 8:
                axes.text(start + width / 2, at, f"{width:.3g}", color="white", ha="center", va="center", fontsize=8)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    axes.set_xlim(0, 100)
    axes.set_title("what becomes of it, % of releases")


def _dots(axes: Axes, found: Found, policies: Sequence[str], versions: Sequence[str]) -> None:
    for number, policy in enumerate(policies):
        rates = [100 * found[policy, version].shipped.rate for version in versions]
        errors = [200 * found[policy, version].shipped.error for version in versions]
        heights = [at + _beside(number, len(policies)) for at in range(len(versions))]
        axes.errorbar(rates, heights, xerr=errors, label=policy, **_look(number))
    _between(axes, versions)
    axes.set_xlim(-3, 103)
    axes.set_title("promoted, % of releases")


def _ranges(axes: Axes, found: Found, policies: Sequence[str], versions: Sequence[str], what: str) -> None:
    for number, policy in enumerate(policies):
        for at, version in enumerate(versions):
            values = getattr(found[policy, version], what)
            if values.count:
                height = at + _beside(number, len(policies))
                reach = [[0.0], [max(0.0, values.p95 - values.median)]]
                axes.errorbar([values.median], [height], xerr=reach, **_look(number))
                if len(policies) == 1:
                    axes.annotate(
                        f"{values.median:.3g}",
                        (values.median, height),
                        (0, 5),
                        textcoords="offset points",
                        fontsize=8,
                        ha="center",
                    )
    _between(axes, versions if len(policies) > 1 else ())
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if _narrow(axes) else (1,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="x", color="#e5e5e5", linewidth=0.6)
    axes.set_axisbelow(True)


def _narrow(axes: Axes) -> bool:
    low, high = axes.get_xlim()
    return high < 200 * max(low, 1e-9)


def _beside(number: int, of: int) -> float:
    return 0.0 if of == 1 else 0.7 * (number / (of - 1) - 0.5)


def _between(axes: Axes, versions: Sequence[str]) -> None:
    for at in range(1, len(versions)):
        axes.axhline(at - 0.5, color="#e5e5e5", linewidth=0.6, zorder=0)


def _look(number: int) -> dict[str, Any]:
    colour = _COLOURS[number % len(_COLOURS)]
    return {
        "fmt": _MARKS[number % len(_MARKS)],
        "color": colour,
        "ecolor": colour,
        "markersize": 4.5,
        "elinewidth": 1.2,
        "capsize": 2,
    }
