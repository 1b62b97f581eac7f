"""What must hold after every step. Each change of a table, each call of a stack and each answer is checked as it happens."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

from canary.domain.app import App, Version
from canary.domain.audit import IN_FLIGHT, Arm, ExecutionStatus, Row, Status
from canary.domain.call import CallResult
from canary.domain.keyed import KeyRecord, KeyState
from canary.domain.plan import NoData
from canary.domain.record import Record
from canary.domain.release import Release, Verb, version_of
from canary.domain.states import TRANSITIONS, Gate, ReleaseState
from canary.domain.target import InvalidTarget, is_blank, parse_pointer
from tests.fakes.scene import APP
from tests.histories.stacks import HistoryStacks, Run
from tests.histories.trail import Trail

_S = ReleaseState
#: Three times what current's workflows take is too long; clocks differ.
_LATE_MS = 170_000
_STOPPING = {Verb.PAUSE, Verb.ABORT}
_ROWS_OWN = ("app", "release", "request_id", "claimed_at", "target", "tag", "arm", "share", "tenant", "payload_sha256")


class Watch:
    """Hears of every change and keeps its own books. What is broken is in ``broken``, in words; ``moves`` counts transitions."""

    def __init__(self, stacks: HistoryStacks, allowed: Any, tell: Callable[[str], None]) -> None:
        self.broken: list[str] = []
        self.moves: Counter[tuple[str, str]] = Counter()
        self.holds: Counter[str] = Counter()
        self.releases: dict[str, Release] = {}
        self.rows: dict[tuple[str, str], Row] = {}
        self.item = App(app=APP)
        self.records: dict[tuple[str, str], Record] = {}
        self.mirrored_at: int | None = None
        self.stopped = False  # by stop-all, which has returned
        self.retried: set[str] = set()  # targets that an operator has taken out of quarantine
        self.redriven: set[str] = set()  # what these executions were, they may no longer be
        self.theirs: set[int] = set()  # versions of latest that were not written by a flipper
        self.latest: list[Version] = []
        self.foreign = False  # somebody has written current by hand
        self.acting: Callable[[], str] = lambda: "nobody"
        self._stacks = stacks
        self._allowed = allowed
        self._tell = tell
        self._trail = Trail()
        self._granted: dict[str, int] = defaultdict(int)
        self._sent: dict[str, set[str]] = defaultdict(set)
        self._counted: dict[str, set[str]] = defaultdict(set)
        stacks.on_run = self.ran

    def demand(self, holds: object, what: str) -> None:
        """Note what does not hold."""
        if not holds:
            self.broken.append(what)

    def changed(self, kind: str, key: Any, before: Any, after: Any) -> None:
        """Hear of a change of a table."""
        match kind:
            case "release":
                self._release(before, after)
            case "row":
                self._row(before, after)
            case "app":
                self._app(before or App(app=APP), after)
            case "parameter":
                self._parameter(key[1], before, after)
            case "record":
                self.demand(before is None, f"the record {key} was written twice")
                self.records[key[1], key[2]] = after
            case "key":
                self._key(before, after)
            case _:
                pass

    def ran(self, run: Run) -> None:
        """Hear of a call that has reached a stack."""
        if run.release is None or run.synthetic:
            return
        release = self.releases.get(run.release)
        row = self.rows.get((run.release, run.request_id))
        self.demand(
            release is not None and release.target == run.target, f"{run.request_id} went to a stack that is not its release's"
        )
        self.demand(row is not None, f"3: {run.request_id} went to latest off the record")
        self.demand(
            row is None or row.status is Status.CLAIMED,
            f"3: {run.request_id} went to latest, and its row says {row and row.status}",
        )
        if run.result not in {CallResult.REFUSED, CallResult.TOO_LARGE}:
            self.demand(run.request_id not in self._sent[run.release], f"1: {run.request_id} went to latest twice")
            self._sent[run.release].add(run.request_id)
        sent, granted = len(self._sent[run.release]), self._granted[run.release]
        self.demand(sent <= granted, f"1: {sent} requests went to latest, and {granted} slots were granted")

    def _release(self, before: Release | None, after: Release) -> None:
        self.releases[after.release] = after
        self._granted[after.release] = max(self._granted[after.release], after.granted)
        self.demand(after.claimed <= after.granted, f"1: {after.claimed} of {after.granted} slots are claimed")
        self.demand(after.state is _S.RUNNING or after.gate is Gate.CLOSED, f"5: the gate is open in {after.state}")
        self.broken += self._trail.gaps(before, after, self.acting(), self._stacks.clock.now)
        if before is None:
            self.demand(after.state is _S.OPENING and not after.granted, "a release begins OPENING, without slots")
            self._tell(f"release {after.release} opens: {after.tag}")
            return
        if before.rev == after.rev:
            self._claimed(before, after)
            return
        self.demand(after.rev == before.rev + 1, "a save raises the revision by one")
        self.demand(not before.accepted or after.plan == before.plan, "the plan of an accepted release changed")
        recorded = after.record in {None, before.record} or (after.release, after.record) in self.records
        self.demand(recorded, "a decision has its record first")
        self._counts(before, after)
        if after.granted > before.granted:
            self._grants(after)
        if before.gate is Gate.CLOSED and after.gate is Gate.OPEN:
            self._opens(after)
        if after.hold is not None and after.hold is not before.hold:
            self.holds[after.hold.value] += 1
        if after.state is not before.state:
            self._moves(before, after)

    def _claimed(self, before: Release, after: Release) -> None:
        taken = {name: batch.slots for name, batch in after.batches.items() if name not in before.batches}
        left = {name: batch.slots for name, batch in before.batches.items() if name not in after.batches}
        more = len(after.open) - len(before.open) + sum(taken.values()) - (after.claimed - before.claimed)
        self.demand(0 <= more <= sum(left.values()), f"a claim takes as many slots as it says: {taken}, {left}, {more}")
        if not taken and len(after.open) == len(before.open):
            return
        self.demand(before.gate is Gate.OPEN, "5: a slot was claimed behind a closed gate")
        self.demand(before.state is _S.RUNNING, f"5: a slot was claimed in {before.state}")
        self.demand(not self.stopped, "5: a slot was claimed after stop-all")
        self.demand(not any(ask.verb in _STOPPING for ask in before.asks), "5: a slot was claimed after a stop was asked for")

    def _counts(self, before: Release, after: Release) -> None:
        """Every outcome is counted once, as its row says."""
        tally, was = after.tally, before.tally
        new = after.counted.keys() - before.counted.keys()
        again = new & self._counted[after.release]
        self.demand(not again, f"{sorted(again)} counted twice")
        self._counted[after.release] |= new
        rows = [self.rows.get((after.release, name)) for name in sorted(new)]
        self.demand(None not in rows, "what is counted has a row")
        mine = [row for row in rows if row is not None and row.arm is Arm.LATEST]
        told: Counter[str] = Counter("refunded" if row.unstarted else row.status.value.lower() for row in mine)
        for name in ("succeeded", "failed", "timed_out", "aborted", "lost", "refunded"):
            grown = getattr(tally, name) - getattr(was, name)
            self.demand(grown == told[name], f"{name} grew by {grown}, and {told[name]} rows say so")
        shares, tail = after.gathered.shares.values(), after.gathered.tail
        gathered = (sum(share.finished for share in shares), sum(share.failed for share in shares))
        self.demand(gathered == (tally.known, tally.failures), f"4: {gathered} are evidence, and counted are {tally}")
        settled = after.gathered.prefix.finished + sum(each.finished for each in tail)
        self.demand(settled == tally.known, f"4: {settled} are settled evidence or on their way there, and counted are {tally}")
        back = before.claimed - after.claimed - told["refunded"]
        unused = sum(batch.slots for name, batch in before.batches.items() if name not in after.batches)
        self.demand(
            0 <= back <= unused, f"{back} slots given back, of which {unused} of batches, and no row says that nothing was sent"
        )

    def _grants(self, after: Release) -> None:
        """Slots are those of the stages begun so far, and those of lost requests that an operator has let pass."""
        begun = after.plan.stages[: after.stage + 1]
        if all(stage.quota is not None for stage in begun):
            most = sum(stage.quota or 0 for stage in begun) + after.lost_forgiven
            self.demand(after.granted <= most, f"1: {after.granted} slots granted, and the plan gives {most}")
        elif after.plan.stages[after.stage].earned:
            out = after.granted - after.tally.settled
            going = [row for (name, _), row in self.rows.items() if name == after.release and row.status in IN_FLIGHT]
            late = sum(self._stacks.clock.now - row.claimed_at > _LATE_MS for row in going)
            most = max(2, after.tally.known) + late
            self.demand(out <= most, f"1: {out} slots at a time, {after.tally.known} have ended, and {late} are late")

    def _opens(self, after: Release) -> None:
        self.demand(not self.stopped, "5: a gate opened after stop-all")
        pending = [ask.verb for ask in after.asks if ask.verb in _STOPPING]
        self.demand(not pending, f"5: a gate opened while {pending} waits to be carried out")

    def _moves(self, before: Release, after: Release) -> None:
        state, name = after.state, after.release
        self.moves[before.state.value, state.value] += 1
        self._tell(f"release {name}: {before.state} → {state}: {after.reason}")
        self.demand(state in TRANSITIONS[before.state], f"{before.state} cannot become {state}")
        self.demand(after.history[-1].why == after.reason, "a release's reason is that of its last move")
        if before.state is _S.OPENING and state is _S.RUNNING:
            self.demand(after.target not in self.item.quarantine, f"8: {after.tag} is quarantined, and is on trial")
        if state is _S.SUPERSEDED or (state is _S.ABORTED and before.state is not _S.ABORTING):
            self._overtaken(after)
        if state is _S.PROMOTING and not after.returning:
            self._proved(before, after)
        if state in {_S.ABORTED, _S.ROLLED_BACK} and before.state in {_S.ABORTING, _S.ROLLING_BACK}:
            retried = self.item.quarantine.get(after.target) is not None or after.target in self.retried
            self.demand(retried, f"8: {after.tag} is {state} and not quarantined")

    def _overtaken(self, release: Release) -> None:
        """Only a newer write to latest ends a release from outside: one that blanks it, or one that releases anew."""
        newer = [version for version in self.latest if version.version > version_of(release.release)]
        theirs = [is_blank(version.value) for version in newer if version.version in self.theirs or not is_blank(version.value)]
        told = any(theirs) if release.state is _S.ABORTED else not all(theirs)
        self.demand(told, f"7: {release.release} is {release.state}, and nobody has written that")

    def _proved(self, before: Release, after: Release) -> None:
        """Promotion needs proof: outcomes that were observed, and that are true."""
        plan, tally, verdict = after.plan, after.tally, after.verdict or ""
        self.demand(verdict.startswith("PASS"), f"4: promoted, and the verdict is {verdict}")
        self.demand(tally.succeeded > 0, "4: promoted, and nothing has succeeded")
        rows = [row for (name, _), row in self.rows.items() if name == after.release and row.arm is Arm.LATEST]
        true = sum(row.status is Status.SUCCEEDED for row in rows)
        self.demand(tally.succeeded <= true, f"4: {tally.succeeded} succeeded, they say, and {true} rows do")
        forced = "forced past" in verdict
        record = self.records.get((after.release, after.record or ""))
        self.demand(record is not None, "4: promoted, and nothing is on record")
        passed = forced or "the plan says promote" in verdict or (record is not None and record.judgement == "PASS")
        self.demand(passed, f"4: promoted, and on record is {record and record.judgement}")
        if forced or plan.judged:
            return
        self.demand(tally.failures <= (plan.max_failures or 0), f"4: promoted with {tally.failures} failures")
        without = plan.no_data is NoData.PROMOTE and "the plan says promote" in verdict
        if plan.quota is not None and not without:
            self.demand(tally.known >= plan.quota, f"4: promoted on {tally.known} outcomes of {plan.quota}")
            self.demand(
                before.claimed == after.claimed == tally.settled and not after.open, "4: promoted, and requests are on the way"
            )

    def _row(self, before: Row | None, after: Row) -> None:
        self.rows[after.release, after.request_id] = after
        if before is None:
            self.demand(after.status is Status.CLAIMED or after.arm is Arm.CURRENT or after.unstarted, "a row begins as CLAIMED")
        else:
            for name in _ROWS_OWN:
                self.demand(getattr(before, name) == getattr(after, name), f"the {name} of a row changed")
            if before.status not in IN_FLIGHT:
                same = before.status is after.status and before.stopped_at == after.stopped_at and before.error == after.error
                self.demand(same, f"a finished row changed from {before.status} to {after.status}")
            if after.counted and not before.counted:
                self.demand(after.status not in IN_FLIGHT, "a row in flight left the index")
                self.demand(after.request_id in self._counted[after.release], "a row that was not counted left the index")
        if after.status is Status.SUCCEEDED and (before is None or before.status is not Status.SUCCEEDED):
            self._succeeded(after)

    def _succeeded(self, row: Row) -> None:
        """What is recorded as a success of a stack has been one, and of that stack."""
        if row.transform_id is None:
            runs = [run for run in self._stacks.runs if run.request_id == row.request_id and run.target == row.target]
            good = any(run.result is CallResult.ANSWERED for run in runs)
            self.demand(good, f"4: {row.request_id} counts as a success, and its stack has not answered")
            return
        who = self._stacks.started_by.get(row.transform_id)
        self.demand(
            who is not None and who[0] == row.target, f"4: {row.transform_id} counts as {row.tag}'s, and {who} started it"
        )
        status = self._stacks.executions[row.transform_id].status
        redriven = row.transform_id in self.redriven
        good = status is ExecutionStatus.SUCCEEDED or redriven
        self.demand(good, f"4: {row.transform_id} is {status} and counts as a success")

    def _app(self, before: App, after: App) -> None:
        self.item = after
        self.stopped = self.stopped and after.stopped is not None
        if after.mirror is not None and after.mirror != before.mirror:
            self.mirrored_at = self.mirrored_at or self._stacks.clock.now
            self.demand(self._is_valid(after.mirror.value), f"6: the mirror is {after.mirror.value!r}")

    def _parameter(self, name: str, before: Version | None, after: Version) -> None:
        who = self.acting()
        if name == "current":
            self.demand(self._is_valid(after.value), f"6: current is {after.value!r}")
            if who.startswith("flipper"):
                flips = [r for r in self.releases.values() if r.state in {_S.PROMOTING, _S.ROLLING_BACK} and r.flip is not None]
                frozen = [r.flip.after for r in flips if r.flip is not None]
                self.demand(after.value in frozen, f"4: current := {after.value}, and no release has frozen that")
            else:
                self.foreign = self.foreign or before is not None
        if name == "previous":
            self.demand(is_blank(after.value) or self._is_valid(after.value), f"previous is {after.value!r}")
        if name == "latest":
            self.latest.append(after)
        if name == "latest" and not who.startswith("flipper"):
            self.theirs.add(after.version)
        if name in {"current", "latest", "previous"}:
            self._tell(f"{who} writes {name} := {after.value[-60:]} (version {after.version}) {after.description}")

    def _is_valid(self, value: str) -> bool:
        try:
            return self._allowed.refusal(parse_pointer(value).target) is None
        except InvalidTarget:
            return False

    def _key(self, before: KeyRecord | None, after: KeyRecord) -> None:
        if (
            before is not None
            and before.state is KeyState.DONE
            and (before.request_id, before.since) == (after.request_id, after.since)
        ):
            self.demand(before.answer == after.answer, "the answer of a key changed")
