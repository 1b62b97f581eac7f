"""A stopping verb between the flipper's decision and its write, at any point: it wins, and no slot is to be had after it."""

from __future__ import annotations

import itertools

import pytest

from canary.domain.audit import Status
from canary.domain.release import Verb
from canary.domain.states import Gate, ReleaseState

_S = ReleaseState
TWO_STAGES = {"stages": [{"quota": 1, "weight": 100}, {"quota": 2, "weight": 100}]}


def touches_the_gate(call) -> bool:
    """Whether a call can tell a stop before it from one after it: between these, the moment makes no difference."""
    return call.name in {"apps.app", "apps.save_app", "releases.release", "releases.create", "releases.save"}


@pytest.fixture
def each_moment(fresh_app, quiet, flippers, machine):
    """Stop before the first call of a pass that could tell, before the second, … each in an app of its own.

    `stop` says whether it could be asked for at that moment. Nothing opens the gate after it.
    """

    def stopped_before_each(prepare, stop, check):
        current, latest = machine(), machine()
        stopped = 0
        for point in itertools.count(1):
            with fresh_app() as name:
                subject = quiet(name)
                release = prepare(subject, current, latest)
                asked, gates = [], []

                def ask(subject=subject, release=release, asked=asked) -> None:
                    asked.append(stop(subject, release))

                def look(subject=subject, release=release, asked=asked, gates=gates) -> None:
                    if any(asked) and (found := subject.releases.release(subject.name, release)) is not None:
                        gates.append(found.gate)

                if not flippers.met_by(name, ask, before=point, wanted=touches_the_gate, look=look):
                    break
                if not any(asked):
                    if stopped:
                        break  # the release has gone through: from here on there is nothing to stop
                    continue
                stopped += 1
                assert set(gates) <= {Gate.CLOSED}, f"the gate opened after a stop before call {point}"
                flippers.passes(name)
                assert subject.releases.claim(name, release, "late", flippers.now()) == "CLOSED", f"before call {point}"
                check(subject, subject.release(release), current, f"before call {point}")
        assert stopped > 5, "there were moments enough"

    return stopped_before_each


def asking(verb):
    def ask(subject, release):
        if (found := subject.releases.release(subject.name, release)) is None:
            return False
        if found.ended or found.state in {_S.PROMOTING, _S.WATCHING}:
            return False
        subject.operator.ask(subject.name, verb, "stop", release)
        return True

    return ask


def unopened(subject, current, latest):
    subject.given(current=current)
    subject.parameters.write(subject.name, "latest", latest)
    return subject.key()


def switched_off(subject, release):
    subject.operator.stop(subject.name, "all hands")
    return True


@pytest.fixture
def first_stage_passed(claimed):
    def prepare(subject, current, latest):
        release = subject.given(current=current, latest=latest, plan=TWO_STAGES)
        claimed(subject, release, Status.SUCCEEDED, 1)
        return release.release

    return prepare


@pytest.fixture
def proven(claimed):
    def prepare(subject, current, latest):
        release = subject.given(current=current, latest=latest)
        claimed(subject, release, Status.SUCCEEDED)
        return release.release

    return prepare


def test_a_pause_before_the_next_stages_grant_wins(each_moment, first_stage_passed):
    def check(subject, release, current, when):
        assert (release.state, release.asks) == (_S.PAUSED, ()), when
        assert subject.value("current") == current, when

    each_moment(first_stage_passed, asking(Verb.PAUSE), check)


def test_a_pause_before_the_promotion_wins(each_moment, proven):
    def check(subject, release, current, when):
        assert release.state is _S.PAUSED, when
        assert subject.value("current") == current, when

    each_moment(proven, asking(Verb.PAUSE), check)


def test_an_abort_before_the_promotion_wins(each_moment, proven):
    def check(subject, release, current, when):
        assert release.state is _S.ABORTED, when
        assert subject.values()[:2] == (current, "NONE"), when

    each_moment(proven, asking(Verb.ABORT), check)


def test_an_abort_while_a_release_opens_wins(each_moment):
    def check(subject, release, current, when):
        assert release.state is _S.ABORTED, when
        assert subject.values()[:2] == (current, "NONE"), when

    each_moment(unopened, asking(Verb.ABORT), check)


def test_the_emergency_stop_while_a_release_opens_wins(each_moment):
    def check(subject, release, current, when):
        assert (release.state, release.gate) == (_S.RUNNING, Gate.CLOSED), when
        subject.operator.start(subject.name)
        assert subject.release(release).gate is Gate.OPEN, when

    each_moment(unopened, switched_off, check)


def test_the_emergency_stop_while_a_resume_is_carried_out_wins(each_moment):
    def paused_and_resumed(subject, current, latest):
        release = subject.given(current=current, latest=latest)
        for verb in (Verb.PAUSE, Verb.RESUME):
            subject.operator.ask(subject.name, verb, "…")
            if verb is Verb.PAUSE:
                subject.wake({"app": subject.name})
        return release.release

    each_moment(paused_and_resumed, switched_off, lambda subject, release, current, when: None)
