"""A write to `latest` at every point of a flip, and of an abort: it is never lost, it becomes the next release."""

from __future__ import annotations

import itertools

import pytest

from canary.domain.audit import Status
from canary.domain.states import Gate, ReleaseState

_S = ReleaseState


def touches_latest(call) -> bool:
    """Whether a call can tell a write to `latest` before it from one after it: between these, the moment makes no difference."""
    return call.name == "parameters.history" or (
        call.name in {"parameters.read", "parameters.write"} and "latest" in call.arguments
    )


def blanks_latest(call) -> bool:
    return call.name == "parameters.write" and call.arguments[1:3] == ("latest", "NONE")


@pytest.fixture
def decided(claimed):
    """Bring an app to where the next pass promotes, or aborts."""

    def prepare(subject, current, latest, outcome):
        release = subject.given(current=current, latest=latest)
        claimed(subject, release, outcome)
        return release

    return prepare


@pytest.fixture
def check():
    """Whatever happened, the foreign write is the release that runs now, and the first one has ended for good."""

    def as_it_should_be(subject, first, foreign, current, latest, ended, when):
        running = subject.newest()
        assert subject.value("latest") == foreign, when
        assert (running.target, running.state, running.gate) == (foreign, _S.RUNNING, Gate.OPEN), when
        assert running.release == subject.key(), when
        before = subject.release(first)
        assert before.state in {ended, _S.SUPERSEDED}, when
        assert subject.value("current") == (latest if before.state is _S.PROMOTED else current), when
        assert subject.item().mirror.value == subject.value("current"), when
        return running, before

    return as_it_should_be


@pytest.mark.parametrize(("outcome", "ended"), [(Status.SUCCEEDED, _S.PROMOTED), (Status.FAILED, _S.ABORTED)])
def test_a_write_at_any_point_becomes_the_next_release(fresh_app, quiet, flippers, machine, decided, check, outcome, ended):
    current, latest, foreign = machine(), machine(), machine()
    ends, restored = [], []
    for point in itertools.count(1):
        with fresh_app() as name:
            subject = quiet(name)
            first = decided(subject, current, latest, outcome)
            keys: list[str] = []

            def release_the_foreign_one(subject=subject, keys=keys) -> None:
                subject.parameters.write(subject.name, "latest", foreign)
                keys.append(subject.key())

            if not flippers.met_by(name, release_the_foreign_one, before=point, wanted=touches_latest):
                break
            flippers.passes(name)
            running, before = check(subject, first, foreign, current, latest, ended, f"before call {point}")
            assert keys == [running.restored_from or running.release], f"before call {point}"
            ends.append(before.state)
            restored.append(running.restored_from is not None)
    assert len(ends) > 10, "the pass looks at latest this often"
    assert set(ends) == {ended, _S.SUPERSEDED}, "some came before the decision, some after it"
    assert any(restored), "one was written between our last look and our blank"


@pytest.mark.parametrize(("outcome", "ended"), [(Status.SUCCEEDED, _S.PROMOTED), (Status.FAILED, _S.ABORTED)])
def test_a_write_that_our_blank_lands_on_is_put_back_though_the_flipper_is_killed_at_any_point_after_it(
    fresh_app, quiet, flippers, machine, decided, check, outcome, ended
):
    current, latest, foreign = machine(), machine(), machine()
    for writes in itertools.count(1):
        with fresh_app() as name:
            subject = quiet(name)
            first = decided(subject, current, latest, outcome)
            keys: list[str] = []

            def release_the_foreign_one(subject=subject, keys=keys) -> None:
                subject.parameters.write(subject.name, "latest", foreign)
                keys.append(subject.key())

            killed = flippers.met_by(name, release_the_foreign_one, wanted=blanks_latest, killed_after=writes)
            if not keys:  # killed before the blank: that is a kill like any other
                continue
            flippers.past_the_lease()
            flippers.passes(name)
            running, before = check(subject, first, foreign, current, latest, ended, f"killed after write {writes}")
            assert (running.restored_from, before.state) == (keys[0], ended), f"killed after write {writes}"
        if not killed:
            return


def test_a_withdrawal_that_our_blank_lands_on_stays_a_withdrawal(subject, quiet, flippers, machine, decided):
    app = quiet(subject.name)
    current, latest = machine(), machine()
    decided(app, current, latest, Status.SUCCEEDED)
    assert flippers.met_by(app.name, lambda: app.parameters.write(app.name, "latest", "NONE"), wanted=blanks_latest)
    flippers.passes(app.name)
    assert app.values() == (latest, "NONE", current)


def test_a_write_to_current_during_a_flip_is_not_overwritten(subject, quiet, flippers, machine, decided):
    app = quiet(subject.name)
    current, latest, foreign = machine(), machine(), machine()
    release = decided(app, current, latest, Status.SUCCEEDED)

    def is_next_to_write_previous(call) -> bool:
        return call.name == "parameters.write" and call.arguments[1] == "previous"

    assert flippers.met_by(app.name, lambda: app.parameters.write(app.name, "current", foreign), wanted=is_next_to_write_previous)
    held = app.release(release)
    assert (held.state, held.gate) == (_S.HELD, Gate.CLOSED)
    assert "somebody else wrote it" in held.reason
    assert app.value("current") == foreign
