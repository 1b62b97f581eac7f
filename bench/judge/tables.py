"""The tables of docs/judgement.md: what was measured, beside what must be reached."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from bench.judge import measures
from bench.judge.cells import Cell, Found
from bench.judge.measures import Effort, excluded
from bench.judge.undelayed import samples
from canary.domain.measure import bad_rate
from canary.simulating.measured import Chance, Measured, spread
from canary.simulating.trace import Trace
from canary.simulating.wald import to_promote, to_throw_out

#: Standard errors that a cell may lie above its target, by chance, among some hundreds of cells.
_BY_CHANCE = 3.3
#: Releases without delays; each takes a millisecond.
_ONE_BY_ONE = 2000


def sections(found: Found, effort: Effort) -> dict[str, str]:
    """Write the tables, by what they measure."""
    tables = {
        measures.WRONG: _wrong,
        measures.OUTAGE: _outage,
        measures.WALD: _wald,
        measures.BROKEN: _broken,
        measures.PROMOTED: _promoted,
        measures.SAMPLES: _samples,
    }
    rows = {measure: [(cell, result) for cell, result in found.items() if cell.measure == measure] for measure in tables}
    return {
        measure: "\n".join([*table(rows[measure]), "", f"(`{effort.name}`; ± is one standard error)"])
        for measure, table in tables.items()
        if rows[measure]
    }


Rows = Sequence[tuple[Cell, Measured]]


def _wrong(rows: Rows) -> Iterator[str]:
    rates = _listed({f"{100 * cell.world.normal:g} %" for cell, _ in rows})
    histories = _listed({str(cell.world.history) for cell, _ in rows})
    yield "**A good version thrown out** over the whole release by `careful`, its watch included (at most 1 %)."
    yield f"Normal failure rates: {rates}. Histories: {histories}."
    yield ""
    yield "| where | releases | thrown out | by failures | by durations | hanging | worst cell | cells above 1 % |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    groups: dict[str, list[tuple[Cell, Measured]]] = defaultdict(list)
    for cell, result in rows:
        groups[cell.row].append((cell, result))
    for name, group in [*groups.items(), ("all", list(rows))]:
        results = [result for _, result in group]
        out = _pooled(results)
        causes = (sum(result.causes.get(cause, 0) for result in results) / out.of for cause in ("failures", "durations", "hung"))
        worst, there = max(group, key=lambda each: each[1].out.rate)
        where = f"{100 * there.out.rate:.2g} % ({100 * worst.world.normal:g} %, {worst.world.history})"
        above = sum(result.out.rate - _BY_CHANCE * result.out.error > 0.01 for result in results)
        shares = " | ".join(f"{100 * each:.2f} %" for each in causes)
        yield f"| {name} | {out.of:,} | {_chance(out)} | {shares} | {where} | {above} of {len(group)} |"
    yield ""
    yield f"A cell counts as above 1 % when it lies more than {_BY_CHANCE} standard errors above it."


def _outage(rows: Rows) -> Iterator[str]:
    yield "**A good version thrown out, where 80 % fail on both stacks for a while** (at most 1 %):"
    yield ""
    yield "| traffic | outage | releases | thrown out | executions |"
    yield "| --- | --- | --- | --- | --- |"
    for cell, result in rows:
        [outage] = cell.world.outages
        minutes, exposed = outage.lasts / 60_000, result.exposed.mean
        yield f"| {cell.row} | {minutes:g} min | {result.releases:,} | {_chance(result.out)} | {exposed:,.0f} |"


def _wald(rows: Rows) -> Iterator[str]:
    yield "**Executions exposed beside Wald's bound**, 100 requests/s, 0.5 % fail normally, a history of 10,000; the plan"
    yield "excludes the version's own rate. At most 1.5 × for 2 ×, and 1.75 × for 5 ×:"
    yield ""
    yield "| version | half take longer than | releases | executions | Wald's bound | ratio | promoted |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for cell, result in rows:
        bound = to_throw_out(cell.world.normal, cell.version.failing(cell.world.normal))
        exposed = result.exposed
        ratio = f"{exposed.mean / bound:.2f} ± {exposed.error / bound:.2f}"
        yield (
            f"| {cell.version.name} | {cell.row} | {result.releases:,} "
            f"| {exposed.mean:,.0f} ± {exposed.error:,.0f} | {bound:,.0f} | {ratio} "
            f"| {_chance(result.shipped)} |"
        )


def _broken(rows: Rows) -> Iterator[str]:
    yield "**Executions exposed to a broken version**, 6 requests/h, a history of 500. At most 9 where half fail, 3.5 where all:"
    yield ""
    yield "| version | half take longer than | releases | executions: mean | median | 95 % | promoted |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for cell, result in rows:
        each = result.exposed
        yield (
            f"| {cell.version.name} | {cell.row} | {result.releases:,} "
            f"| {each.mean:.2f} ± {each.error:.2f} | {each.median:g} | {each.p95:g} "
            f"| {_chance(result.shipped)} |"
        )


def _promoted(rows: Rows) -> Iterator[str]:
    yield "**A bad version promoted** by `careful`, before its watch. At most 5 % at the excluded rate, never without evidence:"
    yield ""
    yield "| version | traffic | fails normally | releases | promoted | executions |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for cell, result in rows:
        rate = f"{100 * cell.version.failing(0):g} %" if cell.version.hanging < 1 else ""
        name = f"{cell.version.name} {rate}".strip()
        normal, exposed = f"{100 * cell.world.normal:g} %", result.exposed.mean
        yield f"| {name} | {cell.row} | {normal} | {result.releases:,} | {_chance(result.shipped)} | {exposed:,.1f} |"


def _samples(rows: Rows) -> Iterator[str]:
    yield "**Samples and hours to the promotion of a good version**, 6 requests/h, half take longer than 40 min. One by one at"
    yield "most 1.05 × Wald's bound; at most 8, 11 and 7 hours (median):"
    yield ""
    yield "| fails normally | excluded | Wald's bound | one by one | ratio | releases | judged, delayed | hours: median | 95 % |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for cell, result in rows:
        p = cell.world.normal
        q = excluded(cell.plan, p)
        judged, traces = result.samples, [Trace(cell.world, cell.seed, number) for number in range(_ONE_BY_ONE)]
        # One by one none is thrown out, so the bound is that of tests which throw out none; at the rates of each history.
        rates = [(trace.baseline.rate, bad_rate(cell.plan, trace.baseline)) for trace in traces]
        bound = spread([to_promote(normal, bad, alpha=0) for normal, bad in rates]).mean
        alone = spread([samples(cell.plan, trace, cell.version) for trace in traces])
        yield (
            f"| {100 * p:g} % | {100 * q:g} % | {bound:.1f} | {alone.mean:.1f} ± {alone.error:.1f} "
            f"| {alone.mean / bound:.2f} ± {alone.error / bound:.2f} "
            f"| {result.releases:,} | {judged.mean:.1f} ± {judged.error:.1f} "
            f"| {result.hours.median:.1f} | {result.hours.p95:.1f} |"
        )


def _pooled(results: Sequence[Measured]) -> Chance:
    return Chance(sum(each.out.times for each in results), sum(each.out.of for each in results))


def _chance(chance: Chance) -> str:
    return f"{100 * chance.rate:.2f} ± {100 * chance.error:.2f} %"


def _listed(words: set[str]) -> str:
    return ", ".join(sorted(words, key=lambda word: float(word.rstrip(" %"))))
