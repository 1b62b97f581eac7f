"""Flows: whole releases from the first write to the last, and how each has to end, whatever happens to who carries them out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from canary.domain.audit import ExecutionStatus
from canary.domain.call import Call, CallResult
from canary.domain.release import Release, Verb
from canary.domain.states import Gate, Hold, ReleaseState
from canary.domain.target import parse_pointer
from canary.routing.problem import Problem
from tests.fakes.scene import APP, Scene, arn, machine

HOUR_MS = 3_600_000
_S = ReleaseState


@dataclass(frozen=True)
class Flow:
    """What happens, how it has to have ended, and the plan. ``machines``: the stacks are state machines.

    ``step``: for a second crash, the first one comes at every so many calls.
    """

    happens: Callable[[Scene], None]
    ended: Callable[[Scene], None]
    plan: dict[str, Any] | None = None
    machines: bool = False
    step: int = field(default=5, kw_only=True)

    def scene(self) -> Scene:
        scene = Scene(plan=self.plan, current=machine("v1") if self.machines else arn("v1"))
        if self.plan is not None:
            scene.ran_before(19, 0)  # too few to compare durations, which crashes make longer
        return scene


def value(name: str) -> str:
    """A stack's value with words beside the ARN, which a promotion has to keep."""
    return f'{{"arn": "{arn(name)}", "tag": "tag-{name}"}}'


def check_invariants(scene: Scene) -> None:
    """What must hold at every moment, in whatever half-done state."""
    current = scene.parameter("current")
    assert current is not None
    serving = parse_pointer(current).target.arn
    kept = {(record.release, record.name) for record in scene.kept()}
    for release in scene.all_releases():
        rows = {row.request_id: row for row in scene.rows() if row.release == release.release}
        sent = {name for name in _sent_to(release, scene) if name not in scene.stacks.synthetic}
        assert len(sent) <= release.claimed + release.tally.lost <= release.granted + release.tally.lost, "never over quota"
        assert sent <= rows.keys(), "nothing off the record"
        tally, shares = release.tally, release.gathered.shares.values()
        assert tally.settled + tally.refunded <= len(rows)
        assert sum(each.finished for each in shares) == tally.known, "the evidence is what was counted"
        assert sum(each.failed for each in shares) == tally.failures, "the evidence is what was counted"
        settled = release.gathered.prefix.finished + sum(each.finished for each in release.gathered.tail)
        assert settled == tally.known, "the evidence is what was counted"
        if release.state is not _S.RUNNING:
            assert release.gate is Gate.CLOSED, "stop means stop"
        if release.record is not None:
            assert (release.release, release.record) in kept, "a decision has its record first"
    proved = [r.target for r in scene.all_releases() if r.tally.succeeded and (r.verdict or "").startswith("PASS")]
    assert serving in {arn("v1"), machine("v1"), *proved}, "promotion needs proof"


def _sent_to(release: Release, scene: Scene) -> set[str]:
    """The requests of a release that went to its own stack."""
    marked = [(stack, name) for stack, name in scene.stacks.sent if f"-r{release.release}" in name]
    return {name for stack, name in marked if release.target in {machine(stack[12:]), arn(stack[12:])}}


def states(scene: Scene) -> list[ReleaseState]:
    return [release.state for release in scene.all_releases()]


def at_rest(scene: Scene) -> None:
    """Nothing is left to do: every row is counted, and every notice is out."""
    assert all(row.counted for row in scene.rows())
    assert scene.releases.items[APP].followed == ()
    assert all(not release.notices for release in scene.all_releases())


def promotion(scene: Scene) -> None:
    scene.write_latest(value("v2"))
    scene.flip()
    desk = scene.desk()
    scene.send(desk)
    scene.send(desk)
    scene.end_workflows()
    scene.flip()


def staggered(scene: Scene) -> None:
    """The workflows end one after the other, and passes are made in between."""
    scene.write_latest(value("v2"))
    scene.flip()
    desk = scene.desk()
    scene.send(desk)
    scene.flip()
    scene.end_workflows()
    scene.flip()
    scene.send(desk)
    scene.flip()
    assert scene.only_release().tally.succeeded <= 1
    scene.end_workflows()
    scene.flip()


def promoted(scene: Scene) -> None:
    assert (scene.parameter("current"), scene.parameter("previous"), scene.parameter("latest")) == (
        value("v2"),
        arn("v1"),
        "NONE",
    )
    release = scene.only_release()
    assert (release.state, release.tally.succeeded, release.claimed) == (_S.PROMOTED, 2, 2)
    item = scene.releases.items[APP]
    assert item.mirror is not None
    assert (item.mirror.value, item.promoted) == (value("v2"), release.release)
    at_rest(scene)
    assert scene.notices.sent.count((release.release, "Release Promoted")) >= 1


def abortion(scene: Scene) -> None:
    scene.write_latest(value("v2"))
    scene.flip()
    desk = scene.desk()
    scene.send(desk)
    scene.send(desk)
    scene.end_workflows(ExecutionStatus.FAILED)
    scene.flip()


def aborted(scene: Scene) -> None:
    assert (scene.parameter("current"), scene.parameter("previous"), scene.parameter("latest")) == (arn("v1"), None, "NONE")
    release = scene.only_release()
    assert (release.state, release.tally.failed, release.claimed) == (_S.ABORTED, 2, 2)
    assert list(scene.releases.items[APP].quarantine) == [arn("v2")]
    at_rest(scene)


def rejection(scene: Scene) -> None:
    scene.write_latest("nonsense")
    scene.flip()


def rejected(scene: Scene) -> None:
    assert (scene.parameter("current"), scene.parameter("latest")) == (arn("v1"), "NONE")
    assert scene.only_release().state is _S.REJECTED
    assert scene.releases.items[APP].quarantine == {}


def supersession(scene: Scene) -> None:
    scene.write_latest(value("v2"))
    scene.flip()
    scene.send(scene.desk())
    scene.write_latest(value("v3"))
    scene.flip()
    scene.end_workflows()
    scene.flip()


def superseded(scene: Scene) -> None:
    old, new = scene.all_releases()
    assert (old.state, new.state) == (_S.SUPERSEDED, _S.RUNNING)
    assert (old.tally.succeeded, old.in_flight, scene.parameter("current")) == (1, 0, arn("v1"))
    assert scene.releases.items[APP].followed == (new.release,)


def rollback(scene: Scene) -> None:
    promotion(scene)
    scene.ask(Verb.ROLLBACK, "it was wrong")
    scene.flip()


def rolled_back(scene: Scene) -> None:
    assert (scene.parameter("current"), scene.parameter("previous"), scene.parameter("latest")) == (arn("v1"), "NONE", "NONE")
    assert scene.only_release().state is _S.ROLLED_BACK
    assert list(scene.releases.items[APP].quarantine) == [arn("v2")]


def returning(scene: Scene) -> None:
    rollback(scene)
    scene.ask(Verb.ROLLBACK, "it was right")
    scene.flip()


def returned(scene: Scene) -> None:
    promoted(scene)
    assert scene.releases.items[APP].quarantine == {}
    assert not scene.only_release().returning


def retry(scene: Scene) -> None:
    abortion(scene)
    scene.operator().retry(APP, arn("v2"))
    promotion(scene)


def retried(scene: Scene) -> None:
    assert states(scene) == [_S.ABORTED, _S.PROMOTED]
    assert scene.parameter("current") == value("v2")


def climb(scene: Scene) -> None:
    """Earned slots: 2, 2 and 3 clean ones are enough for this plan."""
    scene.write_latest(machine("v2"))
    scene.flip()
    for slots in (2, 2, 3):
        assert scene.spend() == slots
        scene.end_workflows()
        scene.flip()


def climbed(scene: Scene) -> None:
    release = scene.only_release()
    assert (release.state, release.tally.succeeded, release.claimed) == (_S.PROMOTED, 7, 7)
    assert (scene.parameter("current"), scene.parameter("previous")) == (machine("v2"), machine("v1"))
    assert [record.judgement for record in scene.kept()][-1] == "PASS"
    at_rest(scene)


def coin(scene: Scene) -> None:
    """A Lambda's first samples tell where current's workflows run; then calls and workflows of both fail."""
    scene.write_latest(arn("v2"))
    scene.flip()
    winner, loser = scene.desk(0.0), scene.desk(0.99)
    scene.send(winner)
    scene.send(loser)
    scene.flip()
    scene.send(winner)
    scene.send(loser)
    scene.end_workflows(ExecutionStatus.FAILED)
    scene.stacks.behaviour[arn("v1")] = Call(result=CallResult.FAILED, error="Unhandled")
    with contextlib.suppress(Problem):
        scene.send(loser)
    del scene.stacks.behaviour[arn("v1")]
    scene.flip()
    scene.ask(Verb.ABORT)
    scene.flip()


def tossed(scene: Scene) -> None:
    release = scene.only_release()
    assert (release.state, release.tally.failed, release.claimed) == (_S.ABORTED, 2, 2)
    (epoch,) = scene.kept()[-1].case["evidence"]["epochs"]
    assert epoch == {"share": 5_000, "both": 5, "latest": 2}
    assert len(scene.samples()) == 2
    at_rest(scene)


def gate(scene: Scene) -> None:
    scene.write_latest(machine("v2"))
    scene.flip()
    scene.spend()
    scene.end_workflows()
    scene.flip()
    assert scene.only_release().hold is Hold.APPROVAL
    scene.ask(Verb.PROMOTE, "approved")
    scene.flip()
    assert scene.spend() == 1
    scene.end_workflows()
    scene.flip()
    scene.clock.pass_by(3 * HOUR_MS)
    scene.flip()


def approved(scene: Scene) -> None:
    release = scene.only_release()
    assert (release.state, release.claimed, scene.parameter("current")) == (_S.PROMOTED, 2, machine("v2"))
    assert [change.what for change in release.history].count("next stage") == 0
    at_rest(scene)


def watch(scene: Scene) -> None:
    scene.write_latest(machine("v2"))
    scene.flip()
    scene.spend()
    scene.end_workflows()
    scene.flip()
    desk = scene.desk()
    for _ in range(4):
        scene.send(desk)
    scene.flip()
    scene.end_workflows(ExecutionStatus.FAILED)
    scene.flip()


def taken_back(scene: Scene) -> None:
    release = scene.only_release()
    assert (release.state, (release.reason or "")[:30]) == (_S.ROLLED_BACK, "the watch failed: 4 of 6 finis")
    assert release.watched.started == 4
    assert (scene.parameter("current"), scene.parameter("previous")) == (machine("v1"), "NONE")
    assert list(scene.releases.items[APP].quarantine) == [machine("v2")]
    at_rest(scene)


def two_in_a_row(scene: Scene) -> None:
    scene.write_latest(machine("v2"))
    scene.flip()
    scene.spend(1)
    scene.write_latest(machine("v3"))
    scene.flip()
    for _ in range(2):
        scene.spend()
        scene.end_workflows()
        scene.flip()


def queued(scene: Scene) -> None:
    assert states(scene) == [_S.PROMOTED, _S.PROMOTED]
    assert len(scene.sent_to("v3")) == 2
    assert (scene.parameter("current"), scene.parameter("previous")) == (machine("v3"), machine("v2"))
    at_rest(scene)


def refused(scene: Scene) -> None:
    assert states(scene) == [_S.PROMOTED, _S.REJECTED]
    assert (scene.parameter("current"), scene.parameter("latest")) == (machine("v2"), "NONE")
    assert scene.sent_to("v3") == []
    at_rest(scene)


def preflight(scene: Scene) -> None:
    scene.write_latest(machine("v2"))
    scene.flip()
    scene.end_workflows()
    scene.flip()
    scene.spend()
    scene.end_workflows()
    scene.flip()


def flown(scene: Scene) -> None:
    release = scene.only_release()
    assert (release.state, release.tally.succeeded) == (_S.PROMOTED, 2)
    assert set(scene.stacks.synthetic) == {f"preflight-{number}-r{release.release}" for number in range(2)}
    at_rest(scene)


def failed_preflight(scene: Scene) -> None:
    scene.write_latest(machine("v2"))
    scene.flip()
    scene.end_workflows(ExecutionStatus.FAILED, of="preflight-1")
    scene.end_workflows()
    scene.flip()


def grounded(scene: Scene) -> None:
    release = scene.only_release()
    assert (release.state, scene.rows(), scene.parameter("latest")) == (_S.ABORTED, [], "NONE")
    assert set(scene.sent_to("v2")) == set(scene.stacks.synthetic)
    assert list(scene.releases.items[APP].quarantine) == [machine("v2")]
    at_rest(scene)


def stopping(scene: Scene) -> None:
    scene.write_latest(machine("v2"))
    scene.flip()
    scene.spend(3)
    scene.stacks.end(scene.rows()[0].request_id, ExecutionStatus.FAILED)
    scene.flip()
    for _ in range(3):
        scene.flip()


def stopped(scene: Scene) -> None:
    release = scene.only_release()
    assert (release.state, release.tally.failed, release.tally.aborted) == (_S.ABORTED, 1, 2)
    assert len(scene.stacks.stopped) == 2
    at_rest(scene)


def forcing(scene: Scene) -> None:
    scene.write_latest(machine("v2"))
    scene.flip()
    scene.spend(1)
    scene.end_workflows()
    scene.flip()
    scene.ask(Verb.PROMOTE, "we know it", force=True)
    scene.flip()


def forced(scene: Scene) -> None:
    release = scene.only_release()
    assert (release.state, release.claimed, scene.parameter("current")) == (_S.PROMOTED, 1, machine("v2"))
    assert "forced past stage 1 of 1" in (release.verdict or "")
    at_rest(scene)


EARNED = {"stages": ["earned"], "max_failure_rate": 0.5}
TWO = [{"quota": 2}]
FLOWS = {
    "promotion": Flow(promotion, promoted),
    "promotion, one by one": Flow(staggered, promoted),
    "abort": Flow(abortion, aborted),
    "rejection": Flow(rejection, rejected),
    "supersession": Flow(supersession, superseded),
    "rollback": Flow(rollback, rolled_back, step=7),
    "retry": Flow(retry, retried, step=11),
    "return after a rollback": Flow(returning, returned, step=7),
    "earned slots": Flow(climb, climbed, EARNED, machines=True, step=11),
    "the coin": Flow(coin, tossed, {"stages": [{"weight": 50}]}, step=7),
    "a gate": Flow(
        gate, approved, {"stages": [{"quota": 1, "gate": "manual"}, {"quota": 1, "bake": "1h"}]}, machines=True, step=5
    ),
    "a watch": Flow(watch, taken_back, {"stages": TWO, "watch": "8h"}, machines=True, step=7),
    "queue": Flow(two_in_a_row, queued, {"stages": TWO, "on_new_release": "queue"}, machines=True, step=11),
    "reject": Flow(two_in_a_row, refused, {"stages": TWO, "on_new_release": "reject"}, machines=True, step=11),
    "preflight": Flow(preflight, flown, {"stages": TWO, "preflight": [1, 2]}, machines=True, step=7),
    "failed preflight": Flow(failed_preflight, grounded, {"stages": TWO, "preflight": [1, 2]}, machines=True, step=7),
    "stop on abort": Flow(stopping, stopped, {"stages": [{"quota": 3}], "on_abort": "stop"}, machines=True, step=7),
    "force": Flow(forcing, forced, EARNED, machines=True, step=7),
}
