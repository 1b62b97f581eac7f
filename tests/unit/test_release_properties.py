"""Whatever happens, in whatever order: the invariants of a release hold."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any, ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from canary.domain.alarm import AlarmState
from canary.domain.asks import NotPossible
from canary.domain.audit import Arm, ExecutionStatus, Status
from canary.domain.call import Call, CallResult
from canary.domain.case import judged_again
from canary.domain.evidence import Evidence
from canary.domain.flip import latest_key
from canary.domain.pace import slots
from canary.domain.release import Release, Verb
from canary.domain.states import ENDED, Gate, ReleaseState
from canary.domain.target import is_blank
from canary.flipping.observe import observe
from canary.routing.problem import Problem
from tests.fakes.calls import Killed
from tests.fakes.scene import APP, Scene, arn

STACKS = ("v1", "v2", "v3")
OUTCOMES = (ExecutionStatus.SUCCEEDED, ExecutionStatus.FAILED, ExecutionStatus.TIMED_OUT)
_S = ReleaseState
#: What a release may become after it was once promoted, or taken back.
TO_AND_FRO = frozenset({_S.PROMOTING, _S.WATCHING, _S.PROMOTED, _S.ROLLING_BACK, _S.ROLLED_BACK})


class Installation(RuleBasedStateMachine):
    """A tagger, upstream apps, operators, workflows, crashes and outages, in any order."""

    PLAN: ClassVar[dict[str, Any]] = {"stages": [{"quota": 1}, {"quota": 2}]}
    PROOF: ClassVar[int] = 3

    def __init__(self) -> None:
        super().__init__()
        self.scene = Scene(plan=self.PLAN)
        self.scene.alarms.alarms["errors"] = AlarmState.OK
        self.desks = [self.scene.desk(), self.scene.desk(), self.scene.desk(0.99)]
        self.ended: dict[str, ReleaseState] = {}
        self.currents = [arn("v1")]
        self.forced = False

    @rule(stack=st.sampled_from(STACKS))
    def tag(self, stack: str) -> None:
        self.scene.write_latest(arn(stack))

    @rule(value=st.sampled_from(["NONE", "NONE", "nonsense"]))
    def withdraw(self, value: str) -> None:
        self.scene.write_latest(value)

    @rule(desk=st.integers(0, 2), key=st.sampled_from([None, None, "a", "b"]))
    def send(self, desk: int, key: str | None) -> None:
        with contextlib.suppress(Problem):
            self.scene.send(self.desks[desk], key=key)

    @rule(call=st.integers(0, 7), half=st.sampled_from(["before", "after"]), draw=st.sampled_from([0.0, 0.99]))
    def a_router_dies(self, call: int, half: str, draw: float) -> None:
        self.scene.calls.kill_at(call, half)
        with contextlib.suppress(Killed, Problem):
            self.scene.send(self.scene.desk(draw))
        self.scene.calls.let_live()

    @rule(
        stack=st.sampled_from(STACKS), result=st.sampled_from([CallResult.FAILED, CallResult.REFUSED, CallResult.UNCLEAR, None])
    )
    def a_stack_behaves(self, stack: str, result: CallResult | None) -> None:
        self.scene.stacks.behaviour.pop(arn(stack), None)
        if result is not None:
            self.scene.stacks.behaviour[arn(stack)] = Call(result=result, error="broken")

    @rule(outcome=st.sampled_from(OUTCOMES), number=st.integers(0, 3))
    def a_workflow_ends(self, outcome: ExecutionStatus, number: int) -> None:
        running = [a for a, e in self.scene.stacks.executions.items() if e.status is ExecutionStatus.RUNNING]
        if running:
            self.scene.end_workflows(outcome, of=running[number % len(running)])

    @rule(readable=st.booleans())
    def permissions_change(self, readable: bool) -> None:
        before, after = ExecutionStatus.RUNNING, ExecutionStatus.UNREADABLE
        if readable:
            before, after = after, before
        for name, execution in self.scene.stacks.executions.items():
            if execution.status is before:
                self.scene.stacks.executions[name] = replace(execution, status=after)

    @rule(state=st.none() | st.sampled_from(AlarmState))
    def an_alarm_changes(self, state: AlarmState | None) -> None:
        self.scene.alarms.alarms.pop("errors", None)
        if state is not None:
            self.scene.alarms.alarms["errors"] = state

    def is_on_trial(self) -> None:
        """Write a stack to latest if it is blank: one that may be tried."""
        if is_blank(self.scene.parameter("latest")):
            item = self.scene.releases.items.get(APP)
            out = {self.scene.parameter("current"), *(item.quarantine if item else ())}
            self.tag(next((stack for stack in STACKS if arn(stack) not in out), "v2"))

    @rule(outcomes=st.lists(st.sampled_from((ExecutionStatus.SUCCEEDED, *OUTCOMES)), min_size=1, max_size=4))
    def a_release_goes_on(self, outcomes: list[ExecutionStatus]) -> None:
        self.is_on_trial()
        for outcome in outcomes:
            self.flip()
            with contextlib.suppress(Problem):
                self.scene.send()
            self.scene.end_workflows(outcome)
        self.flip()

    @rule()
    def a_release_goes_well(self) -> None:
        self.all_is_well()
        self.is_on_trial()
        for _ in range(4):
            self.flip()
            for _ in range(5):
                self.scene.send()
            self.scene.end_workflows()
        self.flip()

    def all_is_well(self) -> None:
        self.permissions_change(readable=True)
        self.scene.stacks.behaviour.clear()
        self.scene.alarms.alarms["errors"] = AlarmState.OK

    @rule()
    def flip(self) -> None:
        done = self.scene.flip()
        if [each.result for each in done] == ["done"]:
            for release in self.scene.all_releases():
                self.slots_are_those_that_were_earned(release)

    def slots_are_those_that_were_earned(self, release: Release) -> None:
        if release.state is not _S.RUNNING or release.gate is not Gate.OPEN or not release.plan.stages[release.stage].earned:
            return
        tally = release.tally
        earned = slots(Evidence(finished=tally.known, failed=tally.failures), release.baseline)
        assert release.granted == max(release.claimed, tally.settled + earned)

    @rule(call=st.integers(0, 80), half=st.sampled_from(["before", "after"]))
    def a_flipper_dies(self, call: int, half: str) -> None:
        self.scene.calls.kill_at(call, half)
        with contextlib.suppress(Killed):
            self.scene.flip()
        self.scene.calls.let_live()

    @rule(service=st.sampled_from(["sfn", "cloudwatch", "ssm", "events"]))
    def a_pass_without(self, service: str) -> None:
        self.scene.calls.down = {service}
        self.scene.flip()
        self.scene.calls.down = set()

    @rule(verb=st.sampled_from(Verb), force=st.booleans(), number=st.integers(0, 3))
    def ask(self, verb: Verb, force: bool, number: int) -> None:
        unfinished = [release.release for release in self.scene.all_releases() if not release.ended]
        with contextlib.suppress(NotPossible):
            named = unfinished[number % len(unfinished)] if unfinished and verb is not Verb.ROLLBACK else None
            self.scene.ask(verb, release=named, force=force and verb is Verb.PROMOTE)
            self.forced = self.forced or (force and verb is Verb.PROMOTE)

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

    def rows_of(self, release: Release) -> list[Any]:
        return [row for row in self.scene.rows() if row.release == release.release and row.arm is Arm.LATEST]

    def sent_to(self, release: Release) -> list[str]:
        """The real requests that went to a release's stack, marked as its own."""
        if not release.target.startswith("arn:"):
            return []
        sent = self.scene.sent_to(release.target.split("-")[-1].removesuffix(":live"))
        return [name for name in sent if f"-r{release.release}" in name and name not in self.scene.stacks.synthetic]

    @invariant()
    def latest_never_gets_more_requests_than_were_granted(self) -> None:
        for release in self.scene.all_releases():
            sent = {row.request_id for row in self.rows_of(release) if row.request_id in self.sent_to(release)}
            assert len(sent) <= release.granted + release.tally.refunded
            assert release.claimed <= release.granted

    @invariant()
    def nothing_goes_to_latest_off_the_record(self) -> None:
        recorded = {row.request_id for row in self.scene.rows()} | set(self.scene.stacks.synthetic)
        for stack, request_id in self.scene.stacks.sent:
            target = f"arn:aws:lambda:eu-west-1:123456789012:function:{stack}:live"
            assert request_id in recorded or target in self.currents, "only current is called without a record"

    @invariant()
    def no_real_request_was_sent_before_the_preflight_had_succeeded(self) -> None:
        for release in self.scene.all_releases():
            if any(release.probes.get(n) is None or release.probes[n].status is not Status.SUCCEEDED for n in self.preflights()):
                assert (self.sent_to(release), release.granted) == ([], 0)

    def preflights(self) -> range:
        return range(len(self.PLAN.get("preflight", ())))

    @invariant()
    def an_ended_release_stays_ended_with_its_gate_closed(self) -> None:
        for release in self.scene.all_releases():
            before = self.ended.get(release.release)
            if before in TO_AND_FRO:
                assert release.state in TO_AND_FRO
            elif before is not None:
                assert release.state is before
            if release.state in ENDED:
                self.ended[release.release] = release.state
            if release.state is not _S.RUNNING:
                assert release.gate is Gate.CLOSED

    @invariant()
    def current_changes_only_by_proof_or_by_rollback(self) -> None:
        current = self.scene.parameter("current")
        assert current is not None
        if current == self.currents[-1]:
            return
        passed = [r for r in self.scene.all_releases() if r.target == current and (r.verdict or "").startswith("PASS")]
        least = 1 if self.forced else self.PROOF
        proved = [r for r in passed if r.tally.succeeded >= least]
        taken_back = [r for r in self.scene.all_releases() if r.state in {_S.ROLLING_BACK, _S.ROLLED_BACK}]
        assert proved or (taken_back and current in self.currents)
        self.currents.append(current)

    @invariant()
    def every_request_is_counted_at_most_once(self) -> None:
        for release in self.scene.all_releases():
            rows, tally, gathered = self.rows_of(release), release.tally, release.gathered
            assert tally.succeeded <= sum(row.status is Status.SUCCEEDED for row in rows)
            assert tally.lost + tally.refunded <= sum(row.status is Status.LOST for row in rows)
            assert tally.settled <= release.claimed
            shares = gathered.shares.values()
            assert (sum(s.finished for s in shares), sum(s.failed for s in shares)) == (tally.known, tally.failures)
            assert gathered.prefix.finished + sum(each.finished for each in gathered.tail) == tally.known
            assert sum(s.control for s in shares) <= len(self.scene.samples())

    @invariant()
    def a_decision_has_its_record_first(self) -> None:
        for release in self.scene.all_releases():
            if release.record is not None:
                assert (APP, release.release, release.record) in self.scene.records.table

    def teardown(self) -> None:
        """Left alone, everything comes to rest: nothing hangs half-done, and the last write to latest had its turn."""
        self.all_is_well()
        for _ in range(5):
            self.scene.flip()
        assert [done.result for done in self.scene.flip()] == ["done"]
        for release in self.scene.all_releases():
            resting = {_S.RUNNING, _S.PAUSED, _S.HELD, *({_S.WATCHING} if release.plan.watch else ())}
            waits = release.state is _S.OPENING and (release.behind or release.plan.preflight)
            assert release.ended or release.state in resting or waits, f"{release.release} is {release.state}"
        key = latest_key(observe(self.scene.world(), APP, {}, []))
        if key is not None and not is_blank(self.scene.parameter("latest")):
            named = self.scene.releases.release(APP, key)
            assert named is not None, "the last write to latest had its turn"
            assert not named.ended or any(not release.ended for release in self.scene.all_releases()), "what has ended is blanked"
        assert all(row.status is not Status.CLAIMED for row in self.scene.rows())
        for record in self.scene.kept():
            again = judged_again(record)
            assert (again.judgement.value, again.reason) == (record.judgement, record.reason)


class Earned(Installation):
    """Evidence decides; the newer release waits; a watch follows; what runs on latest is stopped when it is out."""

    PLAN: ClassVar[dict[str, Any]] = {
        "stages": [{"quota": "earned", "alarms": ["errors"]}],
        "max_failure_rate": 0.6,
        "watch": {"time": "3h", "completed": 2},
        "on_new_release": "queue",
        "on_abort": "stop",
        "no_data": "hold",
    }
    PROOF: ClassVar[int] = 4


class Tossed(Installation):
    """A coin, then a gate; newer releases are refused; the deadline promotes what did well."""

    PLAN: ClassVar[dict[str, Any]] = {
        "stages": [
            {"weight": 50, "min_completed": 2, "gate": {"type": "manual", "timeout": "2h", "default": "continue"}},
            "earned",
        ],
        "max_failure_rate": 0.6,
        "on_new_release": "reject",
    }
    PROOF: ClassVar[int] = 4


class Flown(Installation):
    """A preflight comes first; the watch may take everything back; the deadline promotes what did well."""

    PLAN: ClassVar[dict[str, Any]] = {
        "stages": [{"quota": 1, "alarms": ["errors"]}, {"quota": 2, "bake": {"time": "1h", "completed": 2}}],
        "preflight": [{"n": 1}, {"n": 2}],
        "watch": "2h",
        "no_data": "promote",
        "on_new_release": "queue",
    }
    PROOF: ClassVar[int] = 1


_often = settings(
    max_examples=250, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
_less = settings(_often, max_examples=80)

TestInstallation = Installation.TestCase
TestInstallation.settings = _often
TestEarned = Earned.TestCase
TestEarned.settings = _less
TestTossed = Tossed.TestCase
TestTossed.settings = _less
TestFlown = Flown.TestCase
TestFlown.settings = _less
