"""The tables: on the terminal, and in bench/results.md."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.table import Table

from bench.machine import machine
from bench.router.measuring import Effort
from bench.router.samples import Samples, figure
from bench.router.subjects import BASELINES, Subject
from bench.router.targets import Row

_HEADS = ("what", "target", "reached", "baseline", "ratio", "spread", "")
#: Less breaks the words of the table.
LEAST_WIDTH = 118


def lines_of(found: Iterable[Row]) -> Iterator[tuple[str, ...]]:
    """Write each row as its cells. Figures are medians; the spread is the middle half of what is compared."""
    for row in found:
        against = row.target.against is not None
        spread = "" if row.compared.low == row.compared.high else f"{number(row.compared.low)}–{number(row.compared.high)}"
        yield (
            row.target.measure.value,
            str(row.target),
            number(row.reached.middle),
            number(row.baseline.middle) if row.baseline else "",
            number(row.compared.middle) if against else "",
            spread,
            ("OK" if row.met else "missed") + (", close" if row.close else ""),
        )


def show(found: Sequence[Row]) -> None:
    """Print the targets, a table for each of our routers."""
    console = Console()
    console.width = max(console.width, LEAST_WIDTH)
    for name in names(found):
        table = Table(*_HEADS, title=f"{name}, on {machine()}", title_justify="left")
        for cells in lines_of(row for row in found if row.subject == name):
            table.add_row(*cells, style="red" if cells[-1].startswith("missed") else None)
        console.print(table)


def names(found: Sequence[Row]) -> list[str]:
    """The routers that the rows are about."""
    return list(dict.fromkeys(row.subject for row in found))


def page(found: Sequence[Row], samples: Samples, routers: Sequence[Subject], effort: Effort) -> str:
    """Write the tables for bench/results.md: the targets, and everything for everybody."""
    lines = [_about(effort), ""]
    for name in names(found):
        lines += [f"**{name}**", "", *markdown(_HEADS, lines_of(row for row in found if row.subject == name)), ""]
    return "\n".join([*lines, *_everything(samples, routers)])


def _about(effort: Effort) -> str:
    return (
        f"On {machine()}; not Lambda.\n"
        f"`{effort.name}`: {effort.starts} starts of each router, {effort.rounds} rounds of {effort.requests} requests, "
        f"{effort.blocks} blocks of {effort.turns} turns against the clock.\n"
        "In a round all routers have their turn, and a ratio is taken within it; figures are medians of the rounds, the spread\n"
        "is where the middle half of them lies. *Close*: the target lies within the spread; another run may say otherwise.\n"
        "A *canary* request is of a stage that counts requests, some dozens in a release: claim, row, target, outcome, one\n"
        "after the other. One *out of a batch* is of a stage that is a share of the traffic: row, target, outcome; one among\n"
        "dozens takes the batch as well. The 11 ms are meant for two writes of 5 ms."
    )


def _everything(samples: Samples, routers: Sequence[Subject]) -> Iterator[str]:
    subjects = [subject.name for subject in (*routers, *BASELINES)]
    measures = dict.fromkeys(measure for measure, _ in samples)
    yield "Medians of everything that was measured:"
    yield ""
    cells = ((measure.value, *(_middle(samples.get((measure, name))) for name in subjects)) for measure in measures)
    yield from markdown(("", *subjects), cells)


def markdown(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> Iterator[str]:
    """Write a table."""
    yield f"| {' | '.join(heads)} |"
    yield f"| {' | '.join('---' for _ in heads)} |"
    for line in lines:
        yield f"| {' | '.join(line)} |"


def number(value: float) -> str:
    """Write a figure with as many digits as matter."""
    if value == round(value):
        return f"{value:,.0f}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _middle(values: Sequence[float] | None) -> str:
    return number(figure(values).middle) if values else ""
