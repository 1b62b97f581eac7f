"""How an app's status looks. These functions take values and return something to print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from canary.cli.show_trial import Line, trial_lines
from canary.cli.text import ago, clock, plain
from canary.domain.app import App, Parameter
from canary.domain.asks import RETURN_MS
from canary.domain.release import Release, version_of
from canary.domain.states import ON_TRIAL, ReleaseState
from canary.domain.target import is_blank
from canary.domain.words import duration, percent
from canary.operating.holds import next_commands
from canary.operating.reading import Overview

_S = ReleaseState
STATE_STYLES: Final = {
    _S.OPENING: "cyan",
    _S.RUNNING: "cyan",
    _S.PAUSED: "yellow",
    _S.HELD: "bold red",
    _S.PROMOTING: "green",
    _S.WATCHING: "green",
    _S.PROMOTED: "green",
    _S.ABORTING: "red",
    _S.ABORTED: "red",
    _S.REJECTED: "red",
    _S.SUPERSEDED: "dim",
    _S.ROLLING_BACK: "red",
    _S.ROLLED_BACK: "red",
}


def status_view(overview: Overview) -> RenderableType:
    """Show an app: its stacks, the release that counts, and the newest ones."""
    facts = _grid([*_stacks(overview), *(_release(overview, overview.release) if overview.release else []), *_switches(overview)])
    parts: list[RenderableType] = [Text(overview.app, style="bold"), facts]
    if overview.release and overview.release.history:
        parts += [Text("\nwhat happened", style="bold"), _history(overview.release)]
    others = [release for release in overview.recent if overview.release is None or release.release != overview.release.release]
    if others:
        parts += [Text("\nearlier releases", style="bold"), releases_table(others, overview.at)]
    return Group(*parts)


def summary(overview: Overview) -> str:
    """Say in a line where an app stands."""
    release = overview.release
    current = overview.parameters.get("current")
    tag = current.pointer.tag if current and current.pointer else "unknown"
    words = [f"{overview.app}: current {plain(tag)}"]
    if release is not None:
        words.append(f"{release.release} ({plain(release.tag)}) {release.state}")
        if release.state in ON_TRIAL:
            tally = release.tally
            words.append(f"{release.claimed} of {release.granted} slots claimed, gate {release.gate}")
            words.append(f"{tally.succeeded} succeeded, {tally.failures} failed, {tally.lost} lost")
        if (numbers := overview.weighed.verdict.numbers if overview.weighed else None) is not None:
            words.append(f"fails at most {percent(numbers.at_most)} at 95 %")
        if overview.first is not None:
            words.append(f"waits behind release {overview.first.release}")
        if release.reason and release.state is not _S.RUNNING:
            words.append(plain(release.reason))
    if overview.item.stopped:
        words.append("all gates stopped")
    return "; ".join(words)


def apps_table(overviews: Sequence[Overview]) -> Table:
    """Show all apps, a line for each."""
    table = _table("app", "current", "release", "state", "why")
    for one in overviews:
        current, release = one.parameters.get("current"), one.release
        pointer = current.pointer if current else None
        table.add_row(
            Text(one.app, style="bold"),
            plain(pointer.tag) if pointer else Text("missing", style="red"),
            plain(release.tag) if release else "none",
            _state(release.state) if release else "",
            plain(_why(one, release)) if release else "",
        )
    return table


def releases_table(releases: Sequence[Release], now: int) -> Table:
    """Show releases, newest first."""
    table = _table("release", "tag", "state", "ok/bad/lost", "opened", "why")
    table.columns[0].min_width = max((len(one.release) for one in releases), default=0)  # it is typed into the next command
    for one in releases:
        tally = one.tally
        table.add_row(
            Text(one.release, no_wrap=True),
            Text(plain(one.tag)).append(f"\n{one.plan.preset}" if one.plan.preset else "", style="dim"),
            _state(one.state),
            f"{tally.succeeded}/{tally.failures}/{tally.lost}",
            f"{duration(now - one.opened_at)} ago",
            plain(one.reason),
        )
    return table


def next_step(release: Release, item: App, now: int) -> str | None:
    """The command to type next, where there is one."""
    app = release.app
    if release.state is _S.HELD:
        return next_commands(app, release.hold)
    if release.state is _S.PAUSED:
        return f"canary resume {app}, or canary abort {app}"
    if release.state in {_S.WATCHING, _S.PROMOTED} and item.promoted == release.release:
        return f"canary rollback {app} would take it back"
    if release.state is _S.ROLLED_BACK and item.promoted == release.release and now < release.since + RETURN_MS:
        return f"canary rollback {app} would make it current again at once, for {duration(release.since + RETURN_MS - now)} more"
    if release.target in item.quarantine and release.ended:
        look = "explain" if release.plan.judged else "audit"
        return f"canary {look} {app} --release {release.release}; canary retry {app} {release.target} to try it again"
    return None


def _why(seen: Overview, release: Release) -> str | None:
    """Why a release stands as it does: what it waits for, where the judge says so."""
    return seen.weighed.verdict.reason if seen.weighed and release.state is _S.RUNNING else release.reason


def _stacks(seen: Overview) -> list[Line]:
    lines: list[Line] = []
    if seen.trouble:
        lines.append(("parameters", Text(f"cannot be read: {seen.trouble}", style="red")))
        if seen.item.mirror:
            lines.append(("mirror", Text(f"serves meanwhile: {plain(seen.item.mirror.value)}")))
        return lines
    for name in ("current", "previous", "latest"):
        parameter = seen.parameters.get(name)
        if parameter is None or is_blank(parameter.value):
            lines.append((name, Text("missing", style="red") if name == "current" else Text("blank", style="dim")))
        else:
            lines.append((name, _stack(parameter, seen.at)))
    return lines


def _stack(parameter: Parameter, now: int) -> Text:
    pointer = parameter.pointer
    if pointer is None:
        return Text(f"names no target: {plain(parameter.value)}", style="red")
    words = Text(plain(pointer.tag), style="bold")
    words.append(f" since {ago(parameter.modified_at, now)}", style="not bold")
    return words.append(f"\n{pointer.target.arn}", style="not bold dim")


def _release(seen: Overview, release: Release) -> list[Line]:
    now = seen.at
    by = f" by {plain(release.by)}" if release.by else ""
    commit = f", commit {plain(release.commit)}" if release.commit else ""
    lines: list[Line] = [
        ("release", Text(f"{release.release} of {plain(release.tag)}{by}{commit}, opened {ago(release.opened_at, now)}")),
        (
            "state",
            _state(release.state).append(f" since {duration(now - release.since)}: {plain(release.reason)}", style="default"),
        ),
    ]
    lines += trial_lines(seen, release)
    if release.warning:
        lines.append(("warning", Text(plain(release.warning), style="yellow")))
    lines += [("asked", Text(f"{ask.verb} by {plain(ask.who)}: {plain(ask.why)}", style="yellow")) for ask in release.asks]
    if release.restored_from:
        lines.append(("put back", Text(f"from version {version_of(release.restored_from)} of latest ({release.restored_from})")))
    if step := next_step(release, seen.item, now):
        lines.append(("next", Text(step, style="cyan")))
    return lines


def _switches(seen: Overview) -> list[Line]:
    lines: list[Line] = []
    if stopped := seen.item.stopped:
        words = f"by {plain(stopped.who)}, {ago(stopped.at, seen.at)}: {plain(stopped.why)}. canary start-all opens the gates"
        lines.append(("ALL STOPPED", Text(words, style="bold red")))
    for arn, entry in seen.item.quarantine.items():
        words = f"{plain(entry.tag)}, {ago(entry.at, seen.at)}: {plain(entry.reason)}"
        lines.append(("quarantine", Text(words).append(f"\n{arn}", style="dim")))
    return lines


def _history(release: Release) -> Table:
    table = _table("when", "who", "what", "why")
    for change in release.history[-8:]:
        table.add_row(clock(change.at)[:19], plain(change.who), change.what, plain(change.why))
    return table


def _state(state: ReleaseState) -> Text:
    return Text(state.value, style=STATE_STYLES[state])


def _grid(lines: Sequence[Line]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, words in lines:
        grid.add_row(f"  {label}", words)
    return grid


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="dim", show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
