"""How a backtest looks. These functions take values and return something to print."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from canary.cli.show_status import STATE_STYLES
from canary.cli.text import clock, plain
from canary.domain.plan import Plan
from canary.domain.plan_document import plan_document
from canary.domain.release import Release, timestamp
from canary.domain.words import duration, requests
from canary.operating.backtesting import Backtest, LeftOut, Tested, counts
from canary.operating.replaying import Decision, Replayed

_STYLES: Final = {Decision.PROMOTE: "green", Decision.ABORT: "red", Decision.REJECT: "red", Decision.UNDECIDED: "yellow"}
#: As long as a release's id.
_ID_WIDTH: Final = 17
_AGREES: Final = {True: Text("yes"), False: Text("no", style="bold yellow"), None: Text("")}


def backtest_view(found: Backtest, name: str) -> RenderableType:
    """Show what a plan would have done, release by release, newest first, and all in all."""
    heading = f"{found.app}: what {plain(name)} would have decided about {_releases(len(found.tested))}"
    parts: list[RenderableType] = [Text(heading, style="bold")]
    if found.tested:
        parts += [Text(""), _table(found)]
    if found.left_out:
        parts += [Text("\nleft out", style="bold"), *(Text(f"  {_left_out(each)}") for each in found.left_out)]
    parts += [Text(""), Text(summary(found), style="bold")]
    parts += [Text(f"  {line}", style="dim") for line in assumptions(found)]
    return Group(*parts)


def backtest_document(found: Backtest) -> dict[str, Any]:
    """Write the same for programs."""
    return {
        "app": found.app,
        "plan": plan_document(found.plan),
        "releases": [_tested_document(each) for each in found.tested],
        "left_out": [{**_names(each.release), "state": each.release.state.value, "why": each.why} for each in found.left_out],
        "summary": {**counts(found.tested), "left_out": len(found.left_out)},
        "assumptions": list(assumptions(found)),
    }


def summary(found: Backtest) -> str:
    """Say in a line what came out."""
    number = counts(found.tested)
    words = [f"{_releases(number['replayed'])} replayed: {number['same']} as it really was"]
    otherwise = f"{number['otherwise']} otherwise"
    details = [
        f"{number['not_promoted']} promoted that it would have stopped" if number["not_promoted"] else "",
        f"{number['caught']} of them taken back later" if number["caught"] else "",
        f"{number['not_thrown_out']} thrown out that it would have promoted" if number["not_thrown_out"] else "",
    ]
    told = ", ".join(filter(None, details))
    words.append(f"{otherwise} ({told})" if told else otherwise)
    words.append(f"{number['undecided']} undecided")
    if number["without_comparison"]:
        words.append(f"{number['without_comparison']} really superseded")
    if found.left_out:
        words.append(f"{len(found.left_out)} left out")
    least = ", and more where it is undecided" if number["undecided"] else ""
    return f"{', '.join(words)}. Of {requests(number['sent'])} that went to latest it would have sent {number['exposed']}{least}."


def assumptions(found: Backtest) -> Iterator[str]:
    """Say what the answer rests on."""
    yield "decided by the code of the flipper, after every outcome, in the order in which they really came"
    yield "requests come when they really came, whatever share of them the plan asks for; where it had no slot they are left out"
    if found.plan.judged:
        for words, count in Counter(each.against for each in found.tested).items():
            yield f"latest is held against {words}: {_releases(count)}"
        for words, count in Counter(each.meanwhile for each in found.tested).items():
            yield f"{plain(words)}: {_releases(count)}"
    yield from _unknown(found.plan)


def _unknown(plan: Plan) -> Iterator[str]:
    """Parts of a plan about which nothing is on record."""
    if plan.preflight:
        yield "the preflight is left out"
    if any(stage.alarms for stage in plan.stages):
        yield "its alarms are taken to be OK, since how they stood is not on record"
    if any(stage.gate for stage in plan.stages):
        yield "what a person would have said at a manual gate is not known, so a release that comes there is undecided"
    if plan.watch:
        yield "PROMOTE is said before the watch, which is not replayed"


def _table(found: Backtest) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="dim", show_edge=False)
    table.add_column("release", no_wrap=True, min_width=_ID_WIDTH)
    for column in ("really", "this plan", "exposed", "same?"):
        table.add_column(column, overflow="fold")
    for each in found.tested:
        table.add_row(
            Text(each.release.release).append(f"\n{plain(each.release.tag)}", style="bold"),
            _really(each),
            _would(each.replayed),
            f"{each.replayed.exposed} of {each.sent}",
            _AGREES[each.agrees],
        )
    return table


def _really(each: Tested) -> Text:
    release = each.release
    words = Text(release.state, style=STATE_STYLES[release.state])
    if release.ended_at is not None:
        words.append(f" {clock(release.ended_at)}", style="dim")
    return words.append(f"\n{plain(release.reason)}", style="default")


def _would(replayed: Replayed) -> Text:
    words = Text(replayed.decision, style=_STYLES[replayed.decision])
    if replayed.clean_runs:
        words.append(f", {replayed.clean_runs} clean {'run' if replayed.clean_runs == 1 else 'runs'} short at least")
    words.append(f" after {requests(replayed.ended)}, {duration(replayed.after_ms)}", style="dim")
    return words.append(f"\n{plain(replayed.reason)}", style="default")


def _left_out(each: LeftOut) -> str:
    reason = f": {plain(each.release.reason)}" if each.release.reason else ""
    return f"{each.release.release} ({plain(each.release.tag)}): {each.why} ({each.release.state}{reason})"


def _releases(count: int) -> str:
    return "1 release" if count == 1 else f"{count} releases"


def _names(release: Release) -> dict[str, str]:
    return {"release": release.release, "tag": release.tag}


def _tested_document(each: Tested) -> dict[str, Any]:
    release, replayed = each.release, each.replayed
    really = {
        "state": release.state.value,
        "reason": release.reason,
        "ended_at": timestamp(release.ended_at) if release.ended_at is not None else None,
        "requests": each.sent,
    }
    would = {
        "decision": replayed.decision.value,
        "reason": replayed.reason,
        "finished": replayed.ended,
        "after_ms": replayed.after_ms,
        "requests": replayed.exposed,
        "without_slot": replayed.left_out,
        "clean_runs": replayed.clean_runs,
    }
    document = {
        **_names(release),
        "really": _known(really),
        "would": _known(would),
        "agrees": each.agrees,
        "against": each.against,
        "baseline": {"executions": each.baseline.executions, "failed": each.baseline.failed},
        "meanwhile": each.meanwhile or None,
    }
    return _known(document)


def _known(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if value is not None}
