"""What a release leaves behind when it ends: its name in latest, late control samples, an ask that nobody has answered."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from canary.domain.app import App, Parameter, Seen, Version
from canary.domain.asks import asked
from canary.domain.audit import GRACE_MS, ExecutionStatus
from canary.domain.call import Call, CallResult
from canary.domain.lifecycle import decide
from canary.domain.plan import OnNewRelease, Plan
from canary.domain.release import Ask, Release, Verb, release_key
from canary.domain.states import ENDED, ReleaseState
from canary.domain.steps import BlankLatest
from canary.routing.keyed import Desk
from canary.routing.problem import Problem
from tests.fakes.parameters import FakeParameters
from tests.fakes.scene import APP, LONG_MS, Scene, arn, machine

NOW = 1_795_246_200_000
_S = ReleaseState


class Stale(FakeParameters):
    """Reads of latest that are older than the newest write to it, while they are ``stale``; others are not."""

    stale = False

    def read(self, app: str, *names: str) -> Mapping[str, Parameter]:
        found = super().read(app, *names)
        if not self.stale or "latest" not in found:
            return found
        old = self.versions[app, "latest"][-2]
        return {**found, "latest": Parameter(old.value, old.version, old.modified_at)}

    def history(self, app: str) -> tuple[Version, ...]:
        return super().history(app)[:-1] if self.stale else super().history(app)


def flip_after(scene: Scene, milliseconds: int) -> None:
    scene.clock.now += milliseconds - LONG_MS
    scene.flip()


class TestItsNameInLatest:
    @pytest.mark.parametrize(
        ("status", "state"), [(ExecutionStatus.SUCCEEDED, _S.PROMOTED), (ExecutionStatus.FAILED, _S.ABORTED)]
    )
    def test_is_blanked_also_where_an_older_latest_was_read_while_it_ended(self, status, state):
        scene = Scene(current=machine("v1"))
        scene.parameters = parameters = Stale(scene.calls, scene.clock, scene.parameters.versions)
        scene.write_latest("NONE")
        scene.write_latest(machine("v2"))
        scene.flip()
        scene.spend()
        scene.end_workflows(status)
        parameters.stale = True
        scene.flip()
        assert (scene.only_release().state, scene.parameter("latest")) == (state, machine("v2"))
        parameters.stale = False
        scene.flip()
        assert (scene.only_release().state, scene.parameter("latest")) == (state, "NONE")
        scene.flip()
        assert (scene.parameters.versions[APP, "latest"][-1].version, scene.releases.items[APP].followed) == (3, ())

    @pytest.mark.parametrize("state", sorted(ENDED))
    def test_is_blanked_in_whichever_way_it_has_ended_but_a_superseded_one_is_named_by_an_old_read_alone(self, state):
        release = ended(state)
        step = decide(naming(release), NOW + GRACE_MS)
        assert isinstance(step, BlankLatest) == (state is not _S.SUPERSEDED)

    def test_stays_while_another_release_goes_first(self):
        behind = ended(_S.REJECTED, behind="00000000-0123abcd")
        plan = Plan(on_new_release=OnNewRelease.REJECT, max_failures=None)
        first = ended(_S.RUNNING, release="00000000-0123abcd", plan=plan, claimed=1, ended_at=None)
        assert decide(naming(behind, first), NOW + GRACE_MS) is None, "its requests cannot be seen just now"


def ended(state: ReleaseState, **changes: object) -> Release:
    fields = {
        "app": APP, "release": release_key(1, machine("v2"), NOW), "rev": 1, "state": state, "since": NOW, "opened_at": NOW,
        "written_at": NOW, "value": machine("v2"), "target": machine("v2"), "tag": "v2", "ended_at": NOW,
    }  # fmt: skip
    return Release(**{**fields, **changes})


def naming(release: Release, *others: Release) -> Seen:
    """What a pass sees that finds latest naming a release."""
    latest = Parameter(release.value, 1, NOW)
    followed = (*(other.release for other in others), release.release)
    return Seen(
        app=App(app=APP, followed=followed, checked=1),
        current=None,
        latest=latest,
        previous=None,
        releases={each.release: each for each in (release, *others)},
    )


class TestLateControlSamples:
    """A router that has not heard of the end yet may still toss the coin, and put a sample of current on record."""

    def lost(self) -> tuple[Scene, Desk]:
        scene = Scene(plan={"stages": [{"weight": 50}]}, current=arn("v1"))
        scene.ran_before(19, 0)
        scene.write_latest(machine("v2"))
        scene.flip()
        desk = scene.desk(0.99)
        scene.send(desk)
        scene.end_workflows()
        scene.ask(Verb.ABORT)
        flip_after(scene, 100)
        assert (scene.only_release().state, len(scene.samples())) == (_S.ABORTED, 1)
        scene.stacks.behaviour[arn("v1")] = Call(result=CallResult.FAILED, error="Unhandled")
        return scene, desk

    def test_are_counted_after_the_end_like_those_before_it(self):
        scene, desk = self.lost()
        flip_after(scene, 1_000)
        with pytest.raises(Problem):
            scene.send(desk)
        assert [row.counted for row in scene.samples()] == [True, False], "it did not know, and nothing has looked yet"
        flip_after(scene, 1_000)
        assert [row.counted for row in scene.samples()] == [True, True]

    def test_can_come_no_more_once_no_router_can_be_so_old_and_then_it_is_let_go(self):
        scene, _ = self.lost()
        ended_at = scene.only_release().ended_at
        assert ended_at is not None
        flip_after(scene, ended_at + GRACE_MS - 1_000 - scene.clock.now)
        assert scene.releases.items[APP].followed == (scene.only_release().release,)
        flip_after(scene, 2_000)
        assert scene.releases.items[APP].followed == ()


class TestAnAskThatNobodyHasAnswered:
    def test_for_a_rollback_is_answered_although_another_release_is_promoted_first(self):
        """The ask is for a promotion that is no longer followed, and then not the last one any more."""
        scene = Scene(current=machine("v1"))
        for name in ("v2", "v3"):
            scene.write_latest(machine(name))
            scene.flip()
            scene.spend()
            scene.end_workflows()
            if name == "v2":
                scene.flip()
        (first, *_) = scene.all_releases()
        assert (first.state, scene.releases.items[APP].followed.count(first.release)) == (_S.PROMOTED, 0)

        def asks(_: int, call: str, when: str) -> None:
            if (call, when) == ("ssm.write current", "after"):
                scene.calls.on_call = None
                before = scene.releases.releases[APP, first.release]
                assert scene.releases.save(before, asked(before, Ask(Verb.ROLLBACK, "ops", "because", scene.clock())))

        scene.calls.on_call = asks
        for _ in range(3):
            scene.flip()
        first, second = scene.all_releases()
        assert (first.asks, [change.what for change in first.history][-1]) == ((), "rollback refused")
        assert (first.state, second.state, scene.parameter("current")) == (_S.PROMOTED, _S.PROMOTED, machine("v3"))
        assert (scene.releases.items[APP].promoted, scene.releases.items[APP].followed) == (second.release, ())
