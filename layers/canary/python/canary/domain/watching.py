"""After the flip: latest is blanked, the promotion goes on record, and for as long as the plan says current is watched."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from canary.domain import flip
from canary.domain.app import Seen
from canary.domain.asks import cannot_go_back, carry_out, rolling_back
from canary.domain.case import case_of, sight_of
from canary.domain.changes import goes_on, save, with_record
from canary.domain.judge import Case, Judgement, Verdict, judge, longest
from canary.domain.plan_words import span_words
from canary.domain.release import FLIPPER, NoticeKind, Release, Watched
from canary.domain.states import Hold, ReleaseState
from canary.domain.steps import SaveApp, SaveRelease, Step

#: Lists of executions lag behind; what started later than this ago is looked at in the next pass.
LAG_MS: Final = 10_000

_S = ReleaseState


def watching(release: Release, seen: Seen, now: int) -> Step | None:
    """Decide on a release that is current, and not settled as such."""
    if step := flip.blank_step(release, seen):
        return step
    if seen.app.promoted != release.release:
        before = seen.app.promoted  # looked at once more: somebody may have asked for its rollback meanwhile
        followed = seen.app.followed if before in {None, *seen.app.followed} else (*seen.app.followed, before)
        return SaveApp(
            replace(seen.app, promoted=release.release, followed=tuple(filter(None, followed))),
            f"{release.release} is the promotion that a rollback takes back",
        )
    if release.returning:
        return _returned(release, seen, now)
    if not release.plan.watch:  # that it was promoted is told before anybody's ask for its rollback is carried out
        return _settled(release, release.verdict or "promoted", now)
    return carry_out(release, seen, now) if release.asks else _watched(release, seen, now)


def _settled(release: Release, why: str, now: int) -> SaveRelease:
    after = release.moved(_S.PROMOTED, now=now, why=why)
    if release.plan.watch:  # that it is current was told when the watch began
        return save(release, after)
    return save(release, after.announcing(NoticeKind.PROMOTED, f"{release.tag} is current now: {release.verdict}", now))


def begun_watch(release: Release, now: int) -> SaveRelease:
    """The flip is done: it is on record that the release is current."""
    after = release.moved(_S.WATCHING, now=now, why=f"{release.tag} is current")
    if release.plan.watch and not release.returning:
        text = f"{release.tag} is current now, and watched {span_words(release.plan.watch)}: {release.verdict}"
        after = replace(after, watched=Watched(since=now, counted_from=now, until=now, failed_until=now)).announcing(
            NoticeKind.PROMOTED, text, now
        )
    return save(release, after)


def _returned(release: Release, seen: Seen, now: int) -> Step | None:
    if (entry := seen.app.quarantine.get(release.target)) and entry.release == release.release:
        kept = {arn: other for arn, other in seen.app.quarantine.items() if arn != release.target}
        return SaveApp(replace(seen.app, quarantine=kept), f"{release.tag} is current again: its quarantine is lifted")
    why = release.reason or "it returned"
    after = release.moved(_S.PROMOTED, now=now, why=why, returning=False)
    return save(release, after.announcing(NoticeKind.PROMOTED, f"{release.tag} is current again: {release.verdict}", now))


def _watched(release: Release, seen: Seen, now: int) -> Step | None:
    if overtaken_by := _newer(release, seen):
        return _settled(release, f"the watch ends: {overtaken_by} was written to latest", now)
    sight = sight_of(release, seen)
    if sight is None or sight.watch is None:
        return None
    case = case_of(release, sight, now)
    verdict = judge(case)
    if sight.unread and verdict.judgement is not Judgement.FAIL:
        if now < release.watched.since + longest(release.plan):
            return None
        verdict = Verdict(Judgement.ERROR, sight.unread)
    if verdict.judgement is Judgement.PASS:
        return with_record(_settled(release, verdict.reason, now), case, verdict)
    if verdict.judgement is Judgement.ERROR and now >= release.watched.since + longest(release.plan):
        why = f"the watch is over, and it could not see everything: {verdict.reason}"
        after = _settled(release, why, now).after.announcing(NoticeKind.HELD, f"{release.tag}: {why}", now)
        return with_record(save(release, after), case, verdict)
    if verdict.judgement is not Judgement.FAIL:
        return _sees(release, case, verdict, now)
    if flip.may_be_old(release, seen, now):
        return None
    if obstacle := cannot_go_back(release, seen):
        why = f"the watch failed ({verdict.reason}), and there is no way back: {obstacle}"
        after = release.moved(_S.PROMOTED, now=now, why=why)
        step = save(release, after.announcing(NoticeKind.HELD, f"{release.tag}: {why}", now))
    else:
        step = save(release, rolling_back(release, seen, now, f"the watch failed: {verdict.reason}", FLIPPER))
    return with_record(step, case, verdict)


def _sees(release: Release, case: Case, verdict: Verdict, now: int) -> Step | None:
    """Say at once when the watch cannot see what it watches, and when it sees it again."""
    hold = Hold.OBSERVATION if case.blind else None
    if hold is release.hold:
        return None
    if hold is None:
        return save(release, release.noted("the watch sees again", now=now, why=verdict.reason, hold=None))
    after = release.noted("the watch is blind", now=now, why=verdict.reason, hold=hold)
    text = f"{release.tag} is current, and its watch is blind: {verdict.reason}. It goes on by itself once that is mended"
    return with_record(save(release, after.announcing(NoticeKind.HELD, text, now)), case, verdict)


def _newer(release: Release, seen: Seen) -> str | None:
    key = flip.latest_key(seen)
    return key if key not in {None, release.release} and not goes_on(release) else None
