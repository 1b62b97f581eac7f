"""What became of an operator's ask, read from the release's history."""

from __future__ import annotations

from dataclasses import replace

import pytest

from canary.domain.plan import DAY_MS, Plan, Span
from canary.domain.release import Ask, Release, Verb
from canary.domain.states import ReleaseState
from canary.operating.outcome import Result, outcome, passing

_S = ReleaseState


def asked(verb: Verb, state: ReleaseState) -> Release:
    release = Release(
        app="transformer",
        release="00000001-aaaaaaaa",
        rev=1,
        state=state,
        since=0,
        opened_at=0,
        written_at=0,
        value="arn",
        target="arn",
        tag="v2",
    )
    return replace(release, asks=(Ask(verb, "alice", "because", 1),))


def moved(release: Release, *states: ReleaseState, why: str) -> Release:
    after = replace(release, asks=())
    for state in states:
        after = after.moved(state, now=2, why=why, who="alice")
    return after


def test_an_ask_that_is_still_there_is_pending():
    before = asked(Verb.ABORT, _S.RUNNING)
    assert outcome(before, before).result is Result.PENDING
    assert outcome(before, replace(before, rev=7, claimed=1)).result is Result.PENDING


def test_a_release_on_its_way_is_pending_until_it_has_arrived():
    before = asked(Verb.ABORT, _S.RUNNING)
    on_its_way = moved(before, _S.ABORTING, why="abort by alice: because")
    assert outcome(before, on_its_way).result is Result.PENDING
    arrived = outcome(before, on_its_way.moved(_S.ABORTED, now=3, why="abort by alice: because"))
    assert (arrived.result, arrived.why) == (Result.DONE, "abort by alice: because")


@pytest.mark.parametrize(
    ("verb", "begins", "states"),
    [
        (Verb.ROLLBACK, _S.PROMOTED, (_S.ROLLING_BACK, _S.PROMOTED)),
        (Verb.PROMOTE, _S.RUNNING, (_S.PROMOTING, _S.HELD)),
    ],
)
def test_a_flip_that_somebody_elses_write_has_stopped_is_refused(verb, begins, states):
    before = asked(verb, begins)
    came = outcome(before, moved(before, *states, why="somebody else wrote it"))
    assert (came.result, came.why) == (Result.REFUSED, "somebody else wrote it")


def test_a_refusal_is_mine_only_when_it_came_after_my_ask():
    before = asked(Verb.PAUSE, _S.RUNNING).noted("pause refused", now=0, why="long ago", who="alice")
    done = moved(before, _S.PAUSED, why="pause by alice: because")
    assert outcome(before, done).result is Result.DONE
    refused = replace(before, asks=()).noted("pause refused", now=3, why="it is paused already", who="alice")
    assert outcome(before, refused).why == "it is paused already"


def test_a_promotion_that_is_watched_for_days_is_done_when_it_is_current():
    before = replace(asked(Verb.PROMOTE, _S.RUNNING), plan=Plan(watch=Span(ms=DAY_MS)))
    promoting = moved(before, _S.PROMOTING, why="stage 1 of 1 passed; promote by alice: because")
    assert outcome(before, promoting).result is Result.PENDING
    current = promoting.moved(_S.WATCHING, now=3, why="v2 is current")
    came = outcome(before, current)
    assert (came.result, came.why) == (Result.DONE, "stage 1 of 1 passed; promote by alice: because")
    unwatched = replace(current, plan=Plan())
    assert outcome(before, unwatched).result is Result.PENDING


def test_a_rollback_that_is_taken_back_is_done_when_it_is_current_again():
    before = asked(Verb.ROLLBACK, _S.ROLLED_BACK)
    returns = replace(moved(before, _S.PROMOTING, _S.WATCHING, why="rollback by alice: because"), returning=True)
    watched = replace(returns, plan=Plan(watch=Span(ms=DAY_MS)))
    assert outcome(before, watched).result is Result.PENDING, "it is not watched once more"
    came = outcome(before, watched.moved(_S.PROMOTED, now=3, why="v2 is current", returning=False))
    assert (came.result, came.why) == (Result.DONE, "rollback by alice: because")


def test_a_return_that_somebody_elses_write_has_stopped_is_refused():
    before = asked(Verb.ROLLBACK, _S.ROLLED_BACK)
    came = outcome(before, moved(before, _S.PROMOTING, _S.ROLLED_BACK, why="it cannot return: somebody else wrote it"))
    assert (came.result, came.why) == (Result.REFUSED, "it cannot return: somebody else wrote it")


def test_a_stage_that_was_passed_and_then_held_for_something_else_was_promoted_all_the_same():
    before = asked(Verb.PROMOTE, _S.HELD)
    went_on = moved(before, _S.RUNNING, why="stage 1 of 2 passed; promote by alice: because")
    came = outcome(before, went_on.moved(_S.HELD, now=3, why="there is no alarm 'errors'"))
    assert (came.result, came.why) == (Result.DONE, "stage 1 of 2 passed; promote by alice: because")


@pytest.mark.parametrize(
    ("state", "changes", "passes"),
    [
        (_S.OPENING, {}, True),
        (_S.OPENING, {"behind": "00000001-bbbbbbbb"}, False),
        (_S.OPENING, {"accepted": True}, False),
        (_S.WATCHING, {}, True),
        (_S.WATCHING, {"plan": Plan(watch=Span(completed=50))}, False),
        (_S.WATCHING, {"plan": Plan(watch=Span(completed=50)), "returning": True}, True),
        (_S.ROLLING_BACK, {}, True),
        (_S.HELD, {}, False),
    ],
)
def test_what_waits_for_another_for_a_preflight_or_for_a_watch_is_not_stuck(state, changes, passes):
    assert passing(replace(asked(Verb.ABORT, state), **changes)) is passes
