"""The flipper killed between any two of its writes: the next one finishes, and nothing is done twice."""

from __future__ import annotations

import itertools

import pytest

from canary.domain.audit import Status
from canary.domain.release import Verb
from canary.domain.states import Gate, ReleaseState

_S = ReleaseState


@pytest.fixture
def each_kill(fresh_app, quiet, flippers, machine):
    """Kill the flipper after its first write, its second, … each in an app of its own, until it lives to the end.

    `prepare` brings an app to where the pass has everything to do. After each kill a fresh flipper makes a pass, twice.
    """

    def after_each(prepare, check, least):
        current, latest = machine(), machine()
        for writes in itertools.count(1):
            with fresh_app() as name:
                subject = quiet(name)
                release = prepare(subject, current, latest)
                killed_by = flippers.killed_after(name, writes)
                assert subject.value("current") in {current, latest}, f"killed after write {writes}, {killed_by}"
                if killed_by:
                    assert flippers.passes(name).result == ("done" if killed_by == "apps.give_back" else "busy")
                    flippers.past_the_lease()
                flippers.passes(name)
                settled = subject.release(release)
                assert flippers.passes(name).steps == 0, "there is nothing left to do"
                assert subject.release(release) == settled, "a second pass changes nothing"
                check(subject, settled, current, latest, f"killed after write {writes}, {killed_by}")
            if killed_by is None:
                assert writes > least, "the pass had all this to do"
                return

    return after_each


def test_a_promotion_survives_a_kill_after_any_write(each_kill, claimed, history):
    def prepare(subject, current, latest):
        release = subject.given(current=current, latest=latest)
        claimed(subject, release, Status.SUCCEEDED)
        return release

    def check(subject, release, current, latest, killed):
        assert release.state is _S.PROMOTED, killed
        assert subject.values() == (latest, "NONE", current), killed
        assert history(subject.name, "current") == [current, latest], f"flipped once: {killed}"
        assert history(subject.name, "previous") == [current], killed
        assert history(subject.name, "latest") == [latest, "NONE"], killed
        assert counters(release) == (2, 2, 2, 0, 0), killed
        assert (release.open, release.counted, release.gate) == ({}, {}, Gate.CLOSED), killed
        assert [change.what for change in release.history].count("RUNNING → PROMOTING") == 1, killed
        assert subject.item().mirror.value == latest, killed
        assert (subject.item().promoted, subject.item().followed) == (release.release, ()), killed

    each_kill(prepare, check, least=15)


def test_an_abort_survives_a_kill_after_any_write(each_kill, claimed, history):
    def prepare(subject, current, latest):
        release = subject.given(current=current, latest=latest)
        claimed(subject, release, Status.FAILED)
        return release

    def check(subject, release, current, latest, killed):
        assert release.state is _S.ABORTED, killed
        assert subject.values() == (current, "NONE", None), killed
        assert history(subject.name, "latest") == [latest, "NONE"], killed
        assert counters(release) == (2, 2, 0, 2, 0), killed
        assert list(subject.item().quarantine) == [latest], killed
        assert subject.item().followed == (), killed

    each_kill(prepare, check, least=12)


def test_a_rollback_survives_a_kill_after_any_write(each_kill, claimed, history):
    def prepare(subject, current, latest):
        release = subject.given(current=current, latest=latest)
        claimed(subject, release, Status.SUCCEEDED)
        subject.wake({"app": subject.name})
        subject.operator.ask(subject.name, Verb.ROLLBACK, "it is slow")
        return release

    def check(subject, release, current, latest, killed):
        assert release.state is _S.ROLLED_BACK, killed
        assert subject.values() == (current, "NONE", "NONE"), killed
        assert history(subject.name, "current") == [current, latest, current], killed
        assert list(subject.item().quarantine) == [latest], killed
        assert subject.item().mirror.value == current, killed

    each_kill(prepare, check, least=8)


def test_an_opening_survives_a_kill_after_any_write(each_kill):
    def prepare(subject, current, latest):
        subject.given(current=current)
        subject.parameters.write(subject.name, "latest", latest)
        return subject.key()

    def check(subject, release, current, latest, killed):
        assert (release.state, release.gate, counters(release)) == (_S.RUNNING, Gate.OPEN, (2, 0, 0, 0, 0)), killed
        assert [change.what for change in release.history] == ["opened", "OPENING → RUNNING"], killed
        assert subject.values() == (current, latest, None), killed

    each_kill(prepare, check, least=5)


def test_a_supersession_survives_a_kill_after_any_write(each_kill, claimed, machine):
    newer = machine()

    def prepare(subject, current, latest):
        release = subject.given(current=current, latest=latest)
        claimed(subject, release, Status.SUCCEEDED, 1)
        subject.parameters.write(subject.name, "latest", newer)
        return release

    def check(subject, release, current, latest, killed):
        assert (release.state, release.gate) == (_S.SUPERSEDED, Gate.CLOSED), killed
        assert counters(release) == (2, 1, 1, 0, 0), killed
        assert subject.values() == (current, newer, None), killed
        opened = subject.newest()
        assert (opened.state, opened.target, opened.gate) == (_S.RUNNING, newer, Gate.OPEN), killed

    each_kill(prepare, check, least=10)


def test_slots_are_given_back_once_whenever_the_flipper_is_killed(each_kill, claimed, flippers):
    """Two routers died after their claims: one of them before its row was written, one after."""

    def prepare(subject, current, latest):
        release = subject.given(current=current, latest=latest)
        claimed(subject, release, Status.CLAIMED, 1)
        assert subject.releases.claim(subject.name, release.release, f"{'0' * 26}-r{release.release}", flippers.now()) == "WON"
        flippers.ahead += 61_000
        return release

    def check(subject, release, current, latest, killed):
        assert (release.state, release.gate) == (_S.HELD, Gate.CLOSED), killed
        assert counters(release) == (2, 1, 0, 0, 1), killed
        assert (release.tally.refunded, release.open, release.counted) == (1, {}, {}), killed
        assert [(row.status, row.unstarted) for row in subject.rows(release)] == [("LOST", True), ("LOST", False)], killed
        assert subject.value("current") == current, killed

    each_kill(prepare, check, least=8)


def counters(release):
    tally = release.tally
    return release.granted, release.claimed, tally.succeeded, tally.failures, tally.lost
