"""Rest: when faults stop, a bounded number of passes settles everything, and then nothing more happens."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import TYPE_CHECKING, Any

from canary.domain.alarm import AlarmState
from canary.domain.audit import IN_FLIGHT, Status
from canary.domain.plan import NoData
from canary.domain.release import NoticeKind, Release, release_key
from canary.domain.states import Gate, Hold, ReleaseState
from canary.domain.target import BLANK, is_blank
from tests.fakes.scene import APP

if TYPE_CHECKING:
    from tests.histories.history import History

_S = ReleaseState
#: Between two passes: longer than a lease, so that whoever died has lost it.
_PAUSE_MS = 80_000
_MOST_PASSES = 30
_MOST_TRAFFIC = 10
_DAY_MS = 25 * 3_600_000
_STAYS = {_S.PROMOTED, _S.ABORTED, _S.SUPERSEDED, _S.REJECTED, _S.ROLLED_BACK, _S.HELD, _S.PAUSED, _S.RUNNING, _S.OPENING}
_TOLD = {
    _S.PROMOTED: NoticeKind.PROMOTED,
    _S.ABORTED: NoticeKind.ABORTED,
    _S.SUPERSEDED: NoticeKind.SUPERSEDED,
    _S.REJECTED: NoticeKind.REJECTED,
    _S.ROLLED_BACK: NoticeKind.ROLLED_BACK,
}


def come_to_rest(history: History) -> None:
    """Only the schedule goes on: first without traffic, then with healthy traffic, then past the deadline."""
    place, demand = history.place, history.watch.demand
    calm_down(history)
    promote_what_can_be(history)
    place.stacks.well = True
    for _ in range(2):
        history.let_time_pass(_DAY_MS)
        _settle(history, _end_all)
    if not history.watch.broken:
        _at_rest(history)
        for release in history.watch.releases.values():
            demand(_is_decided(release, history), f"{release.release} is {release.state} for ever: {release.reason}")
        _once_more(history)


def calm_down(history: History) -> None:
    """Stop the faults, let everybody finish, and make passes until nothing changes any more."""
    place = history.place
    place.tell("", "the faults stop")
    history.out.clear()
    place.stacks.blind = False
    place.alarms.alarms["errors"] = AlarmState.OK
    history.bury([actor for actor in history.actors if history.outlived(actor)])
    _finish(history)
    _settle(history, _end_all)
    if not history.watch.broken:
        _at_rest(history)


def open_release(history: History) -> None:
    """Begin with a release that has been opened in peace."""
    history.deeds.do("tag")
    _pass(history)


def promote_what_can_be(history: History) -> None:
    """Let healthy traffic come, as long as there is a release that takes it."""
    history.place.stacks.well = True
    _settle(history, _traffic)
    _settle(history, _end_all)
    history.place.stacks.well = False
    if not history.watch.broken:
        _at_rest(history)


def _finish(history: History) -> None:
    """Let whoever is under way go on to the end."""
    for _ in range(2_000):
        if not history.actors or history.watch.broken:
            return
        history.go_on(history.random.choice(history.actors))
    history.watch.demand(False, f"{[actor.name for actor in history.actors]} never end")


def _settle(history: History, meanwhile: Callable[[History], bool]) -> None:
    """Make passes until two of them in a row change nothing. ``meanwhile`` says whether more is to be expected, for a while."""
    quiet = 0
    for number in range(_MOST_PASSES):
        if history.watch.broken or quiet == 2:
            return
        history.let_time_pass(_PAUSE_MS)
        before = _writes(history)
        busy = meanwhile(history)
        _pass(history)
        if meanwhile is _traffic and number >= _MOST_TRAFFIC:
            return  # the coin may show current for ever
        quiet = 0 if busy or _writes(history) != before else quiet + 1
    history.watch.demand(False, f"{_MOST_PASSES} passes do not settle everything")


def _pass(history: History) -> None:
    history.deeds.do("pass")
    _finish(history)


def _end_all(history: History) -> bool:
    running = history.place.stacks.running()
    for arn in running:
        history.place.stacks.finish(arn)
    return bool(running)


def _traffic(history: History) -> bool:
    """Requests, as long as there is a release that takes them."""
    _end_all(history)
    for _ in range(6):
        history.deeds.do("request")
        _finish(history)
    return any(r.gate is Gate.OPEN and r.claimed < r.granted for r in history.watch.releases.values())


def _writes(history: History) -> tuple[Any, ...]:
    """What tells whether anything was changed."""
    place = history.place
    watched = {name for name, release in place.watch.releases.items() if release.state is _S.WATCHING}  # it counts what it sees
    releases = tuple(release.rev for (_, name), release in place.releases.releases.items() if name not in watched)
    versions = tuple(len(each) for each in place.parameters.versions.values())
    rows = sum(not row.counted for row in place.audit.table.values())
    return releases, versions, rows, len(place.audit.table), place.watch.item.rev


def _at_rest(history: History) -> None:
    """What must hold whenever nothing is under way."""
    place, watch = history.place, history.watch
    demand = watch.demand
    item = watch.item
    for row in watch.rows.values():
        demand(row.counted and row.status not in IN_FLIGHT, f"{row.request_id} is {row.status} and not counted")
        execution = place.stacks.executions.get(row.transform_id or "")
        # A stack that did not answer has failed, whatever becomes of the workflow that it may have started.
        unanswered = row.status is Status.FAILED and (row.fell_back or "Timeout" in (row.error or ""))
        told = row.status is not Status.LOST and not unanswered and row.transform_id not in watch.redriven
        if execution is not None and told:
            demand(execution.status.value == row.status.value, f"{row.request_id} is {row.status}, and was {execution.status}")
    for release in watch.releases.values():
        demand(not release.open and not release.counted, f"{release.release} still holds ids: {release.open} {release.counted}")
        demand(release.in_flight == 0, f"{release.release} has {release.in_flight} requests in flight")
        stays = release.state in _STAYS or (release.state is _S.WATCHING and release.plan.watch)
        demand(stays, f"{release.release} stays {release.state}")
        demand(not release.notices, f"{release.release} has notices that were not sent")
        demand(
            release.state is not _S.HELD or (release.hold and release.reason), f"{release.release} is HELD and does not say why"
        )
        asks = [ask.verb for ask in release.asks]
        waits = release.state is _S.OPENING and release.behind
        demand(not asks or waits, f"{asks} of {release.release} ({release.state}) were never answered")
        if told := _TOLD.get(release.state):
            sent = (release.release, told.value) in place.notices.sent
            demand(sent, f"{release.release} is {release.state}, and nobody was told")
    waiting = _latest(history)  # behind a release that goes first: it is looked at until it is blanked
    going = [name for name in item.followed if name != waiting and watch.releases[name].ended]
    demand(not going, f"{going} have ended and are still followed")
    _parameters(history)
    current = place.parameters.value(APP, "current")
    demand(item.mirror is not None and item.mirror.value == current, f"6: current is {current}, and its mirror {item.mirror}")
    _none_lost(history)


def _parameters(history: History) -> None:
    place, watch = history.place, history.watch
    demand = watch.demand
    latest = _latest(history)
    unfinished = [r for r in watch.releases.values() if not r.ended]
    if latest is None:
        demand(
            all(r.state is _S.WATCHING for r in unfinished),
            f"latest is blank, and {[(r.release, r.state.value) for r in unfinished]} go on",
        )
    else:
        named = watch.releases.get(latest)
        demand(named is not None, f"7: latest names {latest}, and there is no such release")
        waits = named is not None and named.behind in {r.release for r in unfinished}
        demand(named is None or not named.ended or waits, f"latest names {latest}, and that is {named and named.state}")
    promoted = watch.releases.get(watch.item.promoted or "")
    if promoted is not None and promoted.state is _S.PROMOTED and not watch.foreign:
        current = place.parameters.value(APP, "current")
        demand(current == promoted.value, f"6: {promoted.release} is promoted, and current is {current}")
        previous = place.parameters.value(APP, "previous")
        back = promoted.flip.before if promoted.flip else None
        demand(previous == back, f"6: {promoted.release} is promoted, previous was {back}, and is {previous}")
    if promoted is not None and promoted.state is _S.ROLLED_BACK and not watch.foreign:
        previous = place.parameters.value(APP, "previous")
        demand(previous == BLANK, f"6: {promoted.release} was taken back, and previous is {previous}")
        served = [value for value, _ in groupby(version.value for version in place.parameters.versions[APP, "current"])]
        demand(served[-1] == served[-3], f"6: {promoted.release} was taken back, to {served[-1]}; {served[-3]} was before it")


def _latest(history: History) -> str | None:
    """The release that ``latest`` names."""
    versions = history.place.parameters.versions.get((APP, "latest"))
    if not versions or is_blank(versions[-1].value):
        return None
    return release_key(versions[-1].version, versions[-1].value, versions[-1].modified_at)


def _none_lost(history: History) -> None:
    """The newest write of somebody else's to ``latest`` is a release, or was put back and is one then."""
    versions = history.place.parameters.versions.get((APP, "latest"), [])
    theirs = [version for version in versions if version.version in history.watch.theirs]
    if not theirs or is_blank(theirs[-1].value):
        return
    newest = theirs[-1]
    key = release_key(newest.version, newest.value, newest.modified_at)
    releases = history.watch.releases
    back = {release.restored_from for release in releases.values()}
    history.watch.demand(key in releases or key in back, f"7: {key} ({newest.value[-40:]}) was written to latest and lost")


def _is_decided(release: Release, history: History) -> bool:
    """Past every deadline a release has ended, unless a person has to say something."""
    if release.ended:
        return True
    if release.state is _S.HELD:
        return release.hold in {Hold.DEADLINE, Hold.APPROVAL} or release.plan.no_data is NoData.HOLD
    if release.state is _S.PAUSED:
        return release.plan.no_data is NoData.HOLD
    first = history.watch.releases.get(release.behind or "")
    return release.state is _S.OPENING and first is not None and not first.ended


def _once_more(history: History) -> None:
    """A pass where there is nothing to do writes nothing."""
    before = _writes(history)
    history.let_time_pass(_PAUSE_MS)
    _pass(history)
    history.watch.demand(_writes(history) == before, "6: a pass without anything to do has written something")
