"""How the demo looks on a terminal: the requests on the left, the release on the right, what is happening below."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from canary.cli.demo.scene import Scene, happening, short, verdict
from canary.cli.demo.traffic import Sent
from canary.cli.show_status import STATE_STYLES
from canary.cli.text import plain
from canary.domain.audit import Row, Status
from canary.domain.release import Release, timestamp
from canary.domain.states import Gate
from canary.domain.words import duration

#: A live view takes this much room; without it there are lines.
LEAST_WIDTH: Final = 78
LEAST_HEIGHT: Final = 22
_MOST_WIDTH: Final = 110
_LEFT: Final = 40
#: The panels' lines, without their borders; below them are the two lines of what is happening.
_LINES: Final = 12
_NEWS_MS: Final = 8_000

STATUS_STYLES: Final = {
    Status.CLAIMED: "cyan",
    Status.RUNNING: "cyan",
    Status.SUCCEEDED: "green",
    Status.FAILED: "red",
    Status.TIMED_OUT: "red",
    Status.ABORTED: "red",
    Status.LOST: "yellow",
}

Line = tuple[str, Text]


def frame(scene: Scene, width: int, now: int) -> RenderableType:
    """Draw a scene: always as high, so that nothing jumps."""
    width = min(width, _MOST_WIDTH)
    left = _panel("requests, newest last", _requests(scene, _LINES))
    right = _panel("parameters and release", _facts(scene, now))
    panels = Table.grid(padding=0)
    panels.add_column(width=_LEFT)
    panels.add_column(width=width - _LEFT)
    panels.add_row(left, right)
    below = Table.grid(padding=(0, 1))
    below.add_column(width=1)
    below.add_column(width=width - 4)
    below.add_row(Text("»", style="bold yellow"), Text(_two_lines(happening(scene), width - 4), style="bold"))
    return Group(panels, below)


def _panel(title: str, content: RenderableType) -> Panel:
    return Panel(content, title=Text(title, style="dim"), title_align="left", border_style="dim", height=_LINES + 2)


def _two_lines(words: str, width: int) -> str:
    """Keep the height, also when one line would do."""
    return words if len(words) > width else f"{words}\n"


def _requests(scene: Scene, lines: int) -> Table:
    table = Table.grid(padding=(0, 1))
    for width in (8, 7, 7, 6, 4):
        table.add_column(width=width, no_wrap=True, overflow="ellipsis")
    table.add_row(*(Text(word, style="dim") for word in ("UTC", "request", "to", "tag", "HTTP")))
    for sent in scene.sent[-(lines - 1) :]:
        table.add_row(*_request(sent))
    return table


def _request(sent: Sent) -> Iterator[Text]:
    style = "bold yellow" if sent.routed_to == "latest" else ""
    yield Text(timestamp(sent.at)[11:19], style="dim")
    yield Text(short(sent.request_id), style=style)
    yield Text("fell back" if sent.fell_back else sent.routed_to, style=style)
    yield Text(plain(sent.tag), style=style)
    yield Text(str(sent.status or "none"), style="green" if sent.served else "bold red")


def _facts(scene: Scene, now: int) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(style="dim", width=8)
    table.add_column()
    for name, words in (*_stacks(scene, now), ("", Text()), *_trial(scene)):
        table.add_row(name, words)
    return table


def _trial(scene: Scene) -> Iterator[Line]:
    """The last line is the one that may need more room than there is."""
    trial, release = scene.trial, scene.look.release
    if trial is None or release is None:
        yield "release", Text(f"{plain(trial.tag)}: not opened yet" if trial else "none is running", style="dim")
        return
    state = Text(release.state.value, style=f"bold {STATE_STYLES[release.state]}")
    yield "release", Text(f"{plain(trial.tag)} ", style="bold").append(state)
    yield "slots", _slots(scene, release)
    rows = scene.look.rows
    for place in range(2):
        yield "workflow", _row(rows[place], now=scene.look.at) if place < len(rows) else Text("none yet", style="dim")
    judgement, colon, reason = verdict(release, scene.look.at).partition(":")
    style = {"PASS": "bold green", "FAIL": "bold red"}.get(judgement, "bold")
    yield "verdict", Text(judgement, style=style).append(f"{colon}{reason}", style="default not bold")


def _slots(scene: Scene, release: Release) -> Text:
    styles = [STATUS_STYLES[row.status] for row in scene.look.rows]
    styles += ["cyan"] * (release.claimed - len(styles))
    words = Text()
    for place in range(release.granted):
        taken = place < release.claimed
        words.append("▮" if taken else "▯", style=styles[place] if taken else "dim")
    words.append(f" {release.claimed}/{release.granted} claimed, gate ")
    return words.append(release.gate.value, style="green" if release.gate is Gate.OPEN else "red")


def _row(row: Row, now: int) -> Text:
    words = Text(no_wrap=True, overflow="ellipsis").append(f"{short(row.request_id)} ")
    words.append(row.status.value, style=STATUS_STYLES[row.status])
    if row.error:
        return words.append(f" {plain(row.error)}", style=STATUS_STYLES[row.status])
    took = row.duration_ms
    if took is None and row.status is Status.RUNNING and row.started_at is not None:
        took = max(0, now - row.started_at)
    return words.append(f" {duration(took)}", style="dim") if took is not None else words


def _stacks(scene: Scene, now: int) -> Iterator[Line]:
    for name in ("current", "latest", "previous"):
        tag, parameter = scene.look.tag(name), scene.look.parameters.get(name)
        words = Text(plain(tag) if tag else "blank", style="bold" if tag else "dim")
        if scene.trial and parameter and parameter.modified_at > max(scene.trial.written_at - 1_000, now - _NEWS_MS):
            words.append("  just written", style="not bold yellow")
        yield name, words
    last = scene.look.item.last_pass
    yield "flipper", Text(f"last pass {duration(now - last)} ago" if last else "no pass yet", style="dim")
