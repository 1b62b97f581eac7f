"""How explained decisions look. These functions take values and return something to print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from canary import __version__
from canary.cli.text import clock, plain
from canary.domain.judge import Verdict
from canary.domain.release import Release, timestamp
from canary.domain.words import weight_of_proof
from canary.operating.explaining import Explained
from canary.operating.telling import normal, numbers_of, stakes, told

_STYLES: Final = {"verdict": "bold", "done": "cyan"}
#: Of more decisions than this the first and the last ones are shown, and those that differ.
_MANY: Final = 20
_FIRST: Final = 3
_LAST: Final = 12
_NOT_DONE: Final = "it was not carried out: the flipper was interrupted, or something had changed meanwhile"


def explained_view(release: Release, decisions: Sequence[Explained], *, whole: bool = False) -> RenderableType:
    """Show decisions, oldest first: what was normal, then each with its numbers; of many the first and last, or the whole."""
    preset = f" by the plan {release.plan.preset!r}" if release.plan.preset else ""
    heading = (
        f"{release.app}: release {release.release} ({plain(release.tag)}){preset} is {release.state}: {plain(release.reason)}"
    )
    parts: list[RenderableType] = [Text(heading, style="bold"), _grid(_premises(release, decisions))]
    left_out = [] if whole or len(decisions) <= _MANY else decisions[_FIRST:-_LAST]
    for number, each in enumerate(decisions):
        if left_out and number == _FIRST:
            parts.append(Text(f"\n… {len(left_out)} decisions more: --all shows them, --at one of them", style="dim"))
        if left_out and _FIRST <= number < len(decisions) - _LAST and each.agrees:
            continue
        parts += [Text(f"\n{clock(each.record.at)}", style="bold"), _grid(_lines(each))]
    parts.append(Text(f"\n{_checked(decisions)}", style="green" if all(each.agrees for each in decisions) else "bold red"))
    return Group(*parts)


def explained_document(release: Release, decisions: Sequence[Explained]) -> dict[str, Any]:
    """Write the records, and what came out when they were judged again."""
    return {
        "app": release.app,
        "release": release.release,
        "tag": release.tag,
        "state": release.state.value,
        "code": __version__,
        "agrees": all(each.agrees for each in decisions),
        "records": [_document(each) for each in decisions],
    }


def _premises(release: Release, decisions: Sequence[Explained]) -> Iterator[tuple[str, Text]]:
    """What holds for all decisions: it was frozen when the release opened."""
    if proof := weight_of_proof(release.plan):
        yield "proof", Text(f"{proof}. The plan 'careful' asks for more")
    weighed = ((each.case, numbers_of(each.record)) for each in decisions)
    case, numbers = next(((case, numbers) for case, numbers in weighed if case and numbers), (None, None))
    if case is not None and numbers is not None:
        yield "normal", Text(plain(normal(case.baseline)))
        yield "the bets", Text(stakes(numbers, timed=case.baseline.timed))


def _lines(each: Explained) -> Iterator[tuple[str, Text]]:
    record = each.record
    if each.case is None:
        yield "verdict", Text(f"{record.judgement}: {plain(record.reason)}")
        yield "done", Text(plain(record.decision))
    else:
        yield from ((label, Text(plain(words), style=_STYLES.get(label, ""))) for label, words in told(record, each.case))
    if each.dropped:
        yield "but", Text(_NOT_DONE, style="yellow")
    if not each.agrees:
        yield "DIFFERENT", Text(f"decided by version {record.code}: {record.judgement}: {plain(record.reason)}", style="bold red")
        now = plain(str(each.again)) if each.again else "no answer"
        yield "", Text(f"computed by version {__version__}: {now}", style="bold red")
        yield from (("", Text(plain(difference), style="red")) for difference in each.differences)


def _checked(decisions: Sequence[Explained]) -> str:
    differing = sum(not each.agrees for each in decisions)
    count = "1 decision was" if len(decisions) == 1 else f"{len(decisions)} decisions were"
    return f"{count} computed again from the record: " + (f"{differing} otherwise" if differing else "the same")


def _document(each: Explained) -> dict[str, Any]:
    record = each.record
    return {
        "name": record.name,
        "at": timestamp(record.at),
        "rev": record.rev,
        "code": record.code,
        "judgement": record.judgement,
        "reason": record.reason,
        "decision": record.decision,
        "carried_out": not each.dropped,
        "numbers": dict(record.numbers),
        "case": dict(record.case),
        "again": _verdict(each.again),
        "differences": list(each.differences),
    }


def _verdict(verdict: Verdict | None) -> dict[str, Any] | None:
    if verdict is None:
        return None
    numbers = asdict(verdict.numbers) if verdict.numbers else {}
    return {"judgement": verdict.judgement.value, "reason": verdict.reason, "numbers": numbers}


def _grid(lines: Sequence[tuple[str, Text]] | Iterator[tuple[str, Text]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, words in lines:
        grid.add_row(f"  {label}", words)
    return grid
