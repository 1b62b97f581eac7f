"""Whatever happens, in whatever order: the invariants of a release hold."""

from __future__ import annotations

import contextlib

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from canary.domain.asks import NotPossible
from canary.domain.audit import ExecutionStatus, Status
from canary.domain.release import ENDED, Gate, ReleaseState, Verb
from canary.domain.target import is_blank
from canary.routing.problem import Problem
from tests.fakes.calls import Killed
from tests.fakes.scene import APP, Scene, arn

STACKS = ("v1", "v2", "v3")
OUTCOMES = (ExecutionStatus.SUCCEEDED, ExecutionStatus.FAILED, ExecutionStatus.TIMED_OUT)


class Installation(RuleBasedStateMachine):
    """A tagger, upstream apps, operators, workflows, crashes and outages, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.scene = Scene(plan={"stages": [{"quota": 1}, {"quota": 2}]})
        self.desks = [self.scene.desk(), self.scene.desk()]
        self.ended: dict[str, ReleaseState] = {}
        self.currents = [arn("v1")]

    @rule(stack=st.sampled_from(STACKS))
    def tag(self, stack: str) -> None:
        self.scene.write_latest(arn(stack))

    @rule()
    def withdraw(self) -> None:
        self.scene.write_latest("NONE")

    @rule(desk=st.integers(0, 1), key=st.sampled_from([None, None, "a", "b"]))
    def send(self, desk: int, key: str | None) -> None:
        with contextlib.suppress(Problem):
            self.scene.send(self.desks[desk], key=key)

    @rule(call=st.integers(0, 6), half=st.sampled_from(["before", "after"]))
    def a_router_dies(self, call: int, half: str) -> None:
        self.scene.calls.kill_at(call, half)
        with contextlib.suppress(Killed, Problem):
            self.scene.send()
        self.scene.calls.let_live()

    @rule(outcome=st.sampled_from(OUTCOMES), number=st.integers(0, 3))
    def a_workflow_ends(self, outcome: ExecutionStatus, number: int) -> None:
        running = [a for a, e in self.scene.stacks.executions.items() if e.status is ExecutionStatus.RUNNING]
        if running:
            self.scene.end_workflows(outcome, of=running[number % len(running)])

    @rule(outcomes=st.lists(st.sampled_from((ExecutionStatus.SUCCEEDED, *OUTCOMES)), min_size=1, max_size=4))
    def a_release_goes_on(self, outcomes: list[ExecutionStatus]) -> None:
        for outcome in outcomes:
            self.scene.flip()
            with contextlib.suppress(Problem):
                self.scene.send()
            self.scene.end_workflows(outcome)
        self.scene.flip()

    @rule()
    def flip(self) -> None:
        self.scene.flip()

    @rule(call=st.integers(0, 60), half=st.sampled_from(["before", "after"]))
    def a_flipper_dies(self, call: int, half: str) -> None:
        self.scene.calls.kill_at(call, half)
        with contextlib.suppress(Killed):
            self.scene.flip()
        self.scene.calls.let_live()

    @rule(verb=st.sampled_from([Verb.PAUSE, Verb.RESUME, Verb.PROMOTE, Verb.ABORT, Verb.ROLLBACK]))
    def ask(self, verb: Verb) -> None:
        with contextlib.suppress(NotPossible):
            self.scene.ask(verb)

    @rule(stack=st.sampled_from(STACKS))
    def retry(self, stack: str) -> None:
        with contextlib.suppress(NotPossible):
            self.scene.operator().retry(APP, arn(stack))

    @rule(stopped=st.booleans())
    def switch(self, stopped: bool) -> None:
        operator = self.scene.operator()
        operator.stop(APP, "drill") if stopped else operator.start(APP)

    @rule(hours=st.integers(1, 30))
    def time_passes(self, hours: int) -> None:
        self.scene.clock.pass_by(hours * 3_600_000)

    @invariant()
    def latest_never_gets_more_requests_than_were_granted(self) -> None:
        for release in self.scene.all_releases():
            rows = [row for row in self.scene.rows() if row.release == release.release]
            sent = [r for r in rows if r.request_id in self.scene.sent_to(release.target.split("-")[-1].removesuffix(":live"))]
            assert len(sent) <= release.granted
            assert release.claimed <= release.granted

    @invariant()
    def nothing_goes_to_latest_off_the_record(self) -> None:
        recorded = {row.request_id for row in self.scene.rows()}
        for stack, request_id in self.scene.stacks.sent:
            target = f"arn:aws:lambda:eu-west-1:123456789012:function:{stack}:live"
            assert request_id in recorded or target in self.currents, "only current is called without a record"

    @invariant()
    def an_ended_release_stays_ended_with_its_gate_closed(self) -> None:
        for release in self.scene.all_releases():
            before = self.ended.get(release.release)
            if before is ReleaseState.PROMOTED:
                assert release.state in {ReleaseState.PROMOTED, ReleaseState.ROLLING_BACK, ReleaseState.ROLLED_BACK}
            elif before is not None:
                assert release.state is before
            if release.state in ENDED:
                assert release.gate is Gate.CLOSED
                self.ended[release.release] = release.state

    @invariant()
    def current_changes_only_by_proof_or_by_rollback(self) -> None:
        current = self.scene.parameter("current")
        assert current is not None
        if current == self.currents[-1]:
            return
        proved = [
            r
            for r in self.scene.all_releases()
            if r.target == current and r.tally.succeeded >= 3 and r.tally.failures == 0 and not r.open
        ]
        taken_back = [r for r in self.scene.all_releases() if r.state in {ReleaseState.ROLLING_BACK, ReleaseState.ROLLED_BACK}]
        assert proved or (taken_back and current in self.currents)
        self.currents.append(current)

    @invariant()
    def every_request_is_counted_at_most_once(self) -> None:
        for release in self.scene.all_releases():
            rows = [row for row in self.scene.rows() if row.release == release.release]
            tally = release.tally
            assert tally.succeeded <= sum(row.status is Status.SUCCEEDED for row in rows)
            assert tally.lost + tally.refunded <= sum(row.status is Status.LOST for row in rows)
            assert tally.settled <= release.claimed

    def teardown(self) -> None:
        """Left alone, everything comes to rest: nothing hangs half-done, and the last write to latest had its turn."""
        for _ in range(4):
            self.scene.flip()
        assert [done.result for done in self.scene.flip()] == ["done"]
        resting = ENDED | {ReleaseState.RUNNING, ReleaseState.PAUSED, ReleaseState.HELD}
        assert {release.state for release in self.scene.all_releases()} <= resting
        latest = self.scene.parameter("latest")
        if not is_blank(latest):
            assert [r.target for r in self.scene.all_releases() if not r.ended] == [latest]
        assert all(row.status is not Status.CLAIMED for row in self.scene.rows())


TestInstallation = Installation.TestCase
TestInstallation.settings = settings(
    max_examples=400, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
