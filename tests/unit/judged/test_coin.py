"""Weight stages: a coin decides which stack a request goes to, and who fails meanwhile is compared."""

from __future__ import annotations

from dataclasses import replace

import pytest

from canary.domain.audit import Arm, ExecutionStatus, Status
from canary.domain.call import Call, CallResult
from canary.domain.evidence import ALONE, Epoch
from canary.domain.release import Control
from canary.domain.request_id import digest_of, record_of
from canary.domain.states import Gate, Hold, ReleaseState
from canary.errors import Denied, Unavailable
from canary.routing.problem import Problem
from tests.fakes.scene import APP, Scene, arn, machine
from tests.fakes.stacks import answer

HALF = {"stages": [{"weight": 50}]}
WINS, LOSES = 0.0, 0.99


def opened(plan: dict[str, object] | None = None, *, lambdas: bool = False, history: int = 500) -> Scene:
    stack = arn if lambdas else machine
    scene = Scene(plan=plan or HALF, current=stack("v1"))
    scene.ran_before(history, history // 250)
    scene.write_latest(stack("v2"))
    scene.flip()
    assert scene.only_release().state is ReleaseState.RUNNING
    return scene


def toss(scene: Scene, wins: int, losses: int) -> None:
    """So many requests win the coin, and so many lose it."""
    winner, loser = scene.desk(WINS), scene.desk(LOSES)
    assert all(scene.send(winner).body["routed_to"] == "latest" for _ in range(wins))
    assert all(scene.send(loser).body["routed_to"] == "current" for _ in range(losses))


def names_of(scene: Scene, stack: str) -> list[str]:
    """The names of workflows of a stack that run."""
    return [
        arn_.rsplit(":", 1)[-1]
        for arn_, execution in scene.stacks.executions.items()
        if f"transformer-{stack}:" in arn_ and execution.status is ExecutionStatus.RUNNING
    ]


def end(scene: Scene, stack: str, failed: int) -> None:
    """End what runs on a stack, the first ones badly."""
    for number, name in enumerate(names_of(scene, stack)):
        scene.stacks.end(name, ExecutionStatus.FAILED if number < failed else ExecutionStatus.SUCCEEDED)


def epochs(scene: Scene) -> tuple[Epoch, ...]:
    """The epochs of the newest evidence record."""
    return tuple(Epoch(**each) for each in scene.kept()[-1].case["evidence"]["epochs"])


def test_the_share_stands_in_the_row_of_a_winner_and_in_the_name_of_a_loser():
    scene = opened({"stages": [{"weight": 7}]})
    toss(scene, 1, 1)
    (row,) = scene.rows()
    assert (row.share, row.arm) == (700, Arm.LATEST)
    (loser,) = scene.sent_to("v1")
    record = record_of(loser)
    assert record is not None
    assert record.control == (digest_of(scene.only_release().release), 700)
    assert record.release is None
    winner = record_of(row.request_id)
    assert winner is not None
    assert (winner.release, winner.control) == (scene.only_release().release, None)


def test_failures_of_both_are_counted_by_share_also_when_the_share_has_changed_since():
    scene = opened({"stages": [{"weight": 10, "min_completed": 4}, {"weight": 40}]})
    toss(scene, 4, 6)
    end(scene, "v1", failed=3)
    end(scene, "v2", failed=1)
    scene.flip()
    assert (scene.only_release().stage, scene.only_release().share) == (1, 4_000)
    toss(scene, 2, 4)
    end(scene, "v1", failed=2)
    end(scene, "v2", failed=1)
    scene.flip()
    scene.ask_abort()
    assert scene.only_release().gathered.shares[1_000].failed == 1
    assert epochs(scene) == (Epoch(1_000, 4, 1), Epoch(4_000, 3, 1))


def test_an_outage_that_hits_both_throws_out_neither():
    scene = opened()
    for _ in range(6):
        toss(scene, 5, 5)
        end(scene, "v1", failed=5)
        end(scene, "v2", failed=5)
        scene.flip()
    release = scene.only_release()
    assert (release.state, release.tally.failures) == (ReleaseState.RUNNING, 30)


def test_failures_of_latest_alone_throw_it_out():
    scene = opened()
    rounds = 0
    while scene.only_release().state is ReleaseState.RUNNING:
        toss(scene, 2, 2)
        end(scene, "v1", failed=0)
        end(scene, "v2", failed=2)
        scene.flip()
        rounds += 1
    release = scene.only_release()
    assert (release.state, release.claimed) == (ReleaseState.ABORTED, 10)
    assert "of 10 failures while the coin decided, 10 were latest's" in (release.reason or "")


def test_executions_that_the_router_did_not_send_are_left_out():
    scene = opened()
    toss(scene, 5, 0)
    now = scene.clock.now
    foreign = [f"job-{number}" for number in range(40)]
    other = "0" * 26 + "-c5000ffffffff"
    for name in (*foreign, other):
        scene.stacks.ran(machine("v1"), name, started_at=now, duration_ms=10, status=ExecutionStatus.FAILED)
    end(scene, "v2", failed=5)
    scene.flip()
    toss(scene, 4, 0)
    end(scene, "v2", failed=4)
    scene.flip()
    release = scene.only_release()
    assert (release.state, epochs(scene)) == (ReleaseState.ABORTED, (Epoch(5_000, 9, 9),))


def test_what_current_failed_before_the_release_is_history_and_not_evidence():
    scene = opened()
    toss(scene, 1, 1)
    (name,) = names_of(scene, "v1")
    old = name.replace(name[:26], "0" * 26)
    before = scene.only_release().opened_at - 60_000
    scene.stacks.ran(machine("v1"), old, started_at=before, duration_ms=10, status=ExecutionStatus.FAILED)
    end(scene, "v1", failed=0)
    end(scene, "v2", failed=1)
    scene.flip()
    scene.ask_abort()
    assert epochs(scene) == (Epoch(5_000, 1, 1),)


def test_more_failures_than_can_be_read_hold_the_release_and_condemn_nobody():
    """An outage: so many of current's fail that they are not even counted. It says nothing of latest."""
    scene = opened()
    toss(scene, 8, 0)

    def too_many(_: int, name: str, when: str) -> None:
        if name == "sfn.failures":
            raise Unavailable("sfn", "TooMany", "more than 10000 have failed")

    end(scene, "v2", failed=8)
    scene.calls.on_call = too_many
    scene.flip()
    release = scene.only_release()
    assert (release.state, release.hold, release.gate) == (ReleaseState.HELD, Hold.OBSERVATION, Gate.CLOSED)
    assert "more than 10000 have failed" in (release.reason or "")


@pytest.mark.parametrize("error", [Denied, Unavailable])
def test_what_the_coin_sent_is_not_held_against_latest_while_currents_failures_cannot_be_read(error):
    scene = opened()
    toss(scene, 3, 3)
    end(scene, "v1", failed=3)
    end(scene, "v2", failed=3)

    def fail(_: int, name: str, when: str) -> None:
        if name == "sfn.failures":
            raise error("sfn", "AccessDenied", "no")

    scene.calls.on_call = fail
    scene.flip()
    release = scene.only_release()
    assert (release.state, release.tally.failures) == (ReleaseState.HELD if error is Denied else ReleaseState.RUNNING, 3)
    scene.calls.let_live()
    scene.flip()
    assert (scene.only_release().state, scene.only_release().gate) == (ReleaseState.RUNNING, Gate.OPEN)


def test_what_went_to_latest_alone_is_judged_all_the_same_while_currents_failures_may_not_be_read():
    scene = opened({"stages": [{"weight": 50, "min_completed": 2}, {"weight": 100}]})
    toss(scene, 2, 0)
    end(scene, "v2", failed=0)
    scene.flip()
    assert scene.only_release().share == ALONE
    toss(scene, 3, 0)
    end(scene, "v2", failed=3)

    def deny(_: int, name: str, when: str) -> None:
        if name == "sfn.failures":
            raise Denied("sfn", "AccessDenied", "no")

    scene.calls.on_call = deny
    scene.flip()
    assert scene.only_release().state is ReleaseState.ABORTED


class TestLambdasWhoseWorkflowsAreFound:
    """A Lambda does not say beforehand where its workflows run: the first answered sample of current tells."""

    def test_one_sample_for_each_router_process_until_it_is_known(self):
        scene = opened(lambdas=True)
        first, second = scene.desk(LOSES), scene.desk(LOSES)
        for desk in (first, second, first, second):
            scene.send(desk)
        assert [row.arm for row in scene.rows()] == [Arm.CURRENT, Arm.CURRENT]
        assert {(row.status, row.share, row.state_machine) for row in scene.rows()} == {(Status.RUNNING, 5_000, machine("v1"))}
        scene.flip()
        assert scene.only_release().control == Control(machine("v1"), named=True)
        scene.send(scene.desk(LOSES))
        assert len(scene.rows()) == 2

    def test_one_that_won_the_coin_and_found_no_slot_is_no_sample(self):
        scene = opened({"stages": [{"quota": 1, "weight": 50}, {"weight": 50}]}, lambdas=True)
        stale = [scene.desk(WINS) for _ in range(2)]
        for desk in stale:
            desk._router.known(APP)
        assert [scene.send(desk).body["routed_to"] for desk in stale] == ["latest", "current"]
        assert scene.samples() == []

    def test_samples_take_no_slot_and_are_no_outcomes_of_latest(self):
        scene = opened(lambdas=True)
        toss(scene, 1, 1)
        end(scene, "v1", failed=1)
        scene.flip()
        release = scene.only_release()
        assert (release.claimed, release.tally.settled, release.in_flight) == (1, 0, 1)
        assert [row.counted for row in scene.samples()] == [True]
        assert not [name for name, _ in scene.counts if name.startswith("Outcome")]

    def test_failed_workflows_of_current_are_found_by_their_names_then(self):
        scene = opened(lambdas=True)
        toss(scene, 2, 4)
        scene.flip()
        end(scene, "v1", failed=3)
        end(scene, "v2", failed=2)
        scene.flip()
        scene.ask_abort()
        assert epochs(scene) == (Epoch(5_000, 5, 2),)

    def test_a_failed_call_of_current_leaves_a_row_and_counts(self):
        scene = opened(lambdas=True)
        toss(scene, 2, 1)
        scene.stacks.behaviour[arn("v1")] = Call(result=CallResult.FAILED, error="Unhandled")
        desk = scene.desk(LOSES)
        for _ in range(3):
            with pytest.raises(Problem, match="current"):
                scene.send(desk)
        assert [(row.status, row.error) for row in scene.samples()][1:] == [(Status.FAILED, "Unhandled")] * 3
        scene.flip()
        end(scene, "v2", failed=2)
        scene.flip()
        scene.ask_abort()
        assert epochs(scene) == (Epoch(5_000, 5, 2),)

    def test_an_outage_of_both_lambdas_throws_out_neither_though_nothing_else_is_known_of_current(self):
        scene = opened(lambdas=True)
        for stack in ("v1", "v2"):
            scene.stacks.behaviour[arn(stack)] = Call(result=CallResult.FAILED, error="Unhandled")
        for _ in range(4):
            for draw in (WINS, LOSES):
                with pytest.raises(Problem, match="current"):
                    scene.send(scene.desk(draw))
            scene.flip()
        release = scene.only_release()
        assert (release.state, release.tally.failures, release.control) == (ReleaseState.RUNNING, 4, None)

    def test_the_next_release_knows_it_from_the_first_request_on(self):
        scene = opened(lambdas=True)
        toss(scene, 0, 1)
        scene.flip()
        scene.write_latest(arn("v3"))
        scene.flip()
        assert scene.all_releases()[-1].control == Control(machine("v1"), named=True)
        assert scene.all_releases()[-1].baseline.executions == 501 - len(names_of(scene, "v1"))

    def test_a_promoted_stacks_own_release_tells_it(self):
        scene = opened({"stages": [{"quota": 2}]}, lambdas=True)
        scene.spend()
        scene.end_workflows()
        scene.flip()
        assert scene.only_release().state is ReleaseState.PROMOTED
        scene.parameters.put(APP, "plan", '{"stages": [{"weight": 50}]}')
        scene.write_latest(arn("v3"))
        scene.flip()
        release = scene.all_releases()[-1]
        assert (release.control, release.baseline.executions) == (Control(machine("v2"), named=True), 2)

    def test_current_that_does_the_work_itself_has_no_workflows_to_be_found(self):
        scene = opened(lambdas=True)
        scene.stacks.behaviour[arn("v1")] = answer(rows=7)
        toss(scene, 1, 1)
        scene.flip()
        assert scene.only_release().control == Control(None, named=True)
        assert "sfn.failures" not in scene.calls.log


@pytest.mark.parametrize("kind", ["other names", "no trace", "no execution"])
def test_where_currents_workflows_cannot_be_told_apart_latest_is_held_against_the_history(kind):
    scene = opened(lambdas=True)
    found = {
        "other names": Call(
            result=CallResult.ANSWERED, answer={}, transform_id=machine("v1").replace("stateMachine", "execution") + ":job-17"
        ),
        "no trace": Call(result=CallResult.ANSWERED, answer={}, untraced=True),
        "no execution": Call(result=CallResult.ANSWERED, answer={}, transform_id="job-17"),
    }
    scene.stacks.behaviour[arn("v1")] = found[kind]
    toss(scene, 0, 1)
    scene.flip()
    control = scene.only_release().control
    assert control is not None
    assert not control.named
    toss(scene, 2, 2)
    end(scene, "v2", failed=2)
    scene.flip()
    release = scene.only_release()
    assert (release.state, epochs(scene)) == (ReleaseState.ABORTED, ())


def test_a_control_row_that_cannot_be_written_does_not_cost_the_upstream_its_answer():
    scene = opened(lambdas=True)

    def fail(_: int, name: str, when: str) -> None:
        if name == "ddb.put_row":
            raise Unavailable("DynamoDB", "InternalServerError", "down")

    desk = scene.desk(LOSES)
    scene.calls.on_call = fail
    assert scene.send(desk).body["routed_to"] == "current"
    assert ("Degraded", APP) in scene.counts
    scene.calls.let_live()
    assert scene.rows() == []
    scene.send(desk)
    assert len(scene.rows()) == 1


def test_a_plan_that_counts_keeps_no_samples():
    scene = Scene(plan={"stages": [{"quota": 2, "weight": 50}]})
    scene.write_latest(arn("v2"))
    scene.flip()
    scene.send(scene.desk(LOSES))
    scene.stacks.behaviour[arn("v1")] = Call(result=CallResult.FAILED, error="Unhandled")
    with pytest.raises(Problem, match="current"):
        scene.send(scene.desk(LOSES))
    assert scene.rows() == []


def test_the_coin_is_not_tossed_while_no_slot_is_free():
    scene = opened({"stages": ["earned"], "deadline": "1d"})
    scene.spend()
    scene.send(scene.desk(LOSES))
    last = record_of(scene.sent_to("v1")[-1])
    assert last is not None
    assert last.control is None


def test_a_request_that_won_the_coin_and_found_no_slot_belongs_to_neither_side():
    scene = opened({"stages": [{"quota": 1, "weight": 50}, {"weight": 50}]})
    stale = [scene.desk(WINS) for _ in range(2)]
    for desk in stale:
        desk._router.known(APP)
    assert [scene.send(desk).body["routed_to"] for desk in stale] == ["latest", "current"]
    end(scene, "v1", failed=1)
    end(scene, "v2", failed=1)
    scene.flip()
    scene.ask_abort()
    assert epochs(scene) == (Epoch(5_000, 1, 1),)


def test_an_earned_stage_with_much_traffic_asks_only_for_as_much_of_it_as_its_slots_need():
    scene = Scene(plan={"stages": [{"quota": "earned", "weight": 4}]}, current=machine("v1"))
    scene.ran_before(every_ms=1_000)
    scene.write_latest(machine("v2"))
    scene.flip()
    shares = [scene.only_release().share]
    while scene.only_release().state is ReleaseState.RUNNING:
        scene.spend()
        scene.end_workflows(of="transformer-v2")
        scene.flip()
        shares.append(scene.only_release().share)
    assert shares == sorted(shares)
    assert (shares[0], max(shares)) == (70, 400)
    assert {row.share for row in scene.rows()} <= set(shares)


def test_a_sample_that_still_runs_when_the_release_has_ended_is_followed_to_its_end():
    scene = opened(lambdas=True)
    toss(scene, 0, 1)
    scene.ask_abort()
    assert scene.only_release().ended
    assert scene.releases.items[APP].followed == (scene.only_release().release,)
    scene.calls.down = {"sfn"}
    scene.flip()
    scene.calls.down = set()
    assert scene.releases.items[APP].followed == (scene.only_release().release,)
    end(scene, "v1", failed=0)
    scene.flip()
    scene.flip()
    assert ([row.counted for row in scene.samples()], scene.releases.items[APP].followed) == ([True], ())


def test_rows_before_the_share_was_recorded_are_held_against_the_history():
    scene = opened()
    toss(scene, 3, 0)
    for key, row in scene.audit.table.items():
        scene.audit.table[key] = replace(row, share=None)
    end(scene, "v2", failed=3)
    scene.flip()
    assert scene.only_release().state is ReleaseState.ABORTED
