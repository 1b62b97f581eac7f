"""What became of an operator's ask, read from the release's history."""

from __future__ import annotations

from dataclasses import replace

import pytest

from canary.domain.release import Ask, Release, ReleaseState, Verb
from canary.operating.outcome import Result, outcome

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
