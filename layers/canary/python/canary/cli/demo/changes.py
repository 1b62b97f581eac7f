"""The demo in lines, where there is no terminal to draw on: one for each change."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile

from canary.cli.demo.scene import Scene, happening, short, verdict
from canary.cli.demo.traffic import Sent
from canary.cli.text import plain
from canary.domain.release import Release


def changes(before: Scene | None, after: Scene) -> Iterator[str]:
    """Say what is different."""
    if before is None or happening(before) != happening(after):
        yield f"» {happening(after)}"
    yield from _requests(before.sent if before else (), after.sent)
    if before is None:
        return
    yield from _release(before, after)
    for name in ("current", "previous", "latest"):
        if before.look.tag(name) != after.look.tag(name):
            yield f"{name} is {after.look.tag(name) or 'blank'} (it was {before.look.tag(name) or 'blank'})"


def _requests(before: tuple[Sent, ...], after: tuple[Sent, ...]) -> Iterator[str]:
    """Name the requests that went elsewhere than the one before them, with the number of those."""
    for place in range(len(before), len(after)):
        where = _where(after[place])
        past = [_where(sent) for sent in after[:place]]
        if past and where == past[-1]:
            continue
        yield f"request {short(after[place].request_id)} {where}{f'; before it {_alike(past)} {past[-1]}' if past else ''}"


def _alike(past: list[str]) -> int:
    """Count how many of the last ones are the same."""
    return sum(1 for _ in takewhile(lambda one: one == past[-1], reversed(past)))


def _where(sent: Sent) -> str:
    if not sent.served:
        return f"FAILED for upstream: HTTP {sent.status or 'none'}, {plain(sent.problem)}"
    return f"→ {sent.routed_to} {plain(sent.tag)} (HTTP {sent.status}{', fell back' if sent.fell_back else ''})"


def _release(before: Scene, after: Scene) -> Iterator[str]:
    release = after.look.release
    if release is None:
        return
    old = before.look.release if before.look.release and before.look.release.release == release.release else None
    if old is None or old.state is not release.state:
        yield f"release {release.release} of {plain(release.tag)} is {release.state}: {plain(release.reason)}"
    if old is None or _slots(old) != _slots(release):
        yield _slots(release)
    known = {row.request_id: row.status for row in before.look.rows}
    for row in after.look.rows:
        if known.get(row.request_id) is not row.status:
            error = f" ({plain(row.error)})" if row.error else ""
            yield f"workflow of {short(row.request_id)} on {plain(row.tag)}: {row.status}{error}"
    if old is None or verdict(old, before.look.at) != verdict(release, after.look.at):
        yield f"verdict {verdict(release, after.look.at)}"


def _slots(release: Release) -> str:
    return f"slots: {release.claimed} of {release.granted} claimed, gate {release.gate}"
