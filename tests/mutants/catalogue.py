"""Deliberate breaks of the protocol. Each has to be noticed by the histories, or by the tests that it names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_CRASH: Final = "tests/unit/test_crash_points.py -k 'killed_at_any_call or nobody_kills'"
_FOREIGN: Final = "tests/unit/test_foreign_writes.py"
_LIFE: Final = "tests/unit/lifecycle"
_ROUTING: Final = "tests/unit/routing"
_KEYED: Final = "tests/unit/test_keyed.py"
_RETURN: Final = "tests/unit/judged/test_return.py"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One break: in ``path`` (below ``layers/canary/python/canary``) ``old`` becomes ``new``.

    ``breaks`` says what is broken by it. ``tests``: pytest arguments, tried one after the other once the histories have not
    noticed; ``histories`` is False where these cannot: the in-memory AWS stands for that code.
    """

    name: str
    path: str
    old: str
    new: str
    breaks: str
    tests: tuple[str, ...] = (_CRASH,)
    histories: bool = True


def _adapter(name: str, path: str, old: str, new: str, breaks: str, *tests: str) -> Mutant:
    """A break of an adapter: the contract that holds the in-memory AWS to it has to notice."""
    return Mutant(name, path, old, new, breaks, tests, histories=False)


MUTANTS: Final = (
    # The router.
    Mutant(
        "send off the record",
        "routing/router.py",
        "there = self._audit.put(row)",
        "there = None",
        "3: a request is sent without its row",
        (_ROUTING,),
    ),
    Mutant(
        "skip the fence",
        "routing/router.py",
        "if rows.given_up(there, row):",
        "if rows.given_up(None, row):",
        "3: a request is sent although the flipper has given it up",
        (_ROUTING,),
    ),
    Mutant(
        "send without a slot",
        "routing/router.py",
        "if claimed is not Claimed.WON:",
        "if claimed is Claimed.CLOSED:",
        "1: a request is sent when all slots are gone",
        (_ROUTING,),
    ),
    Mutant(
        "send behind a closed gate",
        "routing/router.py",
        "if claimed is not Claimed.WON:",
        "if claimed is Claimed.GONE:",
        "5: a request is sent after a stop",
        (_ROUTING,),
    ),
    Mutant(
        "current runs under latest's id",
        "routing/router.py",
        "turn = turn if answered else _under_another_id(turn)",
        "pass",
        "4: current's run counts as latest's success",
        (_ROUTING,),
    ),
    Mutant(
        "turn away when the canary side fails",
        "routing/router.py",
        'return _under_another_id(turn._replace(because=f"nothing goes to latest off the record: {error}"))',
        'raise Problem(503, "nothing goes to latest off the record") from error',
        "2: a request is turned away since DynamoDB does not answer",
        (_ROUTING,),
    ),
    Mutant(
        "give back the slots of failed requests",
        "routing/rows.py",
        "ours = call.result in NOT_THE_STACKS_FAULT",
        "ours = True",
        "1: a slot whose request was sent is given back",
        (_ROUTING,),
    ),
    Mutant(
        "free a key that was taken over",
        "routing/records.py",
        "if found is not None and problem.status in _NOTHING_STARTED:",
        "if False:",
        "2: what the first router has started runs again under another id",
        (_KEYED,),
    ),
    Mutant(
        "two take over a key",
        "routing/records.py",
        "if self._begin(mine, found) is not None:",
        "if self._begin(mine, found) is not None and False:",
        "2: the work of one key runs twice",
        (_KEYED,),
    ),
    # Following.
    Mutant(
        "fence off without a row",
        "flipping/follow.py",
        "rows[request_id] = world.audit.put(row) or row",
        "rows[request_id] = row",
        "3: a slot is given back, and its router may still send",
    ),
    Mutant(
        "give up requests at once",
        "domain/audit.py",
        "        if age <= GRACE_MS:\n            return None\n        error = (",
        "        error = (",
        "3: a request is called lost before its router has sent it",
    ),
    Mutant(
        "unknown is a success",
        "domain/audit.py",
        "        return RowUpdate(status=Status.LOST, stopped_at=now, error=error)\n    if seen.started_at",
        "        return RowUpdate(status=Status.SUCCEEDED, stopped_at=now, error=error)\n    if seen.started_at",
        "4: what became of a request is unknown, and counts as a success",
    ),
    Mutant(
        "count twice",
        "flipping/count.py",
        "rows[row.request_id] = replace(row, counted=True)",
        "pass",
        "4: an outcome is counted once more after a crash",
    ),
    Mutant(
        "forget the refund",
        "domain/counting.py",
        "claimed=release.claimed - sum(row.unstarted for row in new if row.arm is Arm.LATEST),",
        "claimed=release.claimed,",
        "the slot of a request that was never sent does not go back",
    ),
    Mutant(
        "refund twice",
        "domain/counting.py",
        "claimed=release.claimed - sum(row.unstarted for row in new if row.arm is Arm.LATEST),",
        "claimed=release.claimed - 2 * sum(row.unstarted for row in new if row.arm is Arm.LATEST),",
        "1: a slot goes back twice",
    ),
    Mutant(
        "clear rows that are not counted",
        "flipping/count.py",
        "for row in filter(None, map(rows.get, release.counted)):",
        "for row in [row for row in rows.values() if row.status not in IN_FLIGHT]:",
        "9: after a crash an outcome is never counted",
    ),
    Mutant(
        "forget the mark",
        "domain/counting.py",
        "counted={**release.counted, **{row.request_id: row.status.value for row in new}},",
        "counted=release.counted,",
        "9: a counted row never leaves the index",
    ),
    Mutant(
        "take back a batch with what was used of it",
        "flipping/follow.py",
        "dead[name].slots - used.get(name, 0) for name",
        "dead[name].slots for name",
        "1: slots whose requests were sent are given back",
        ("tests/unit/test_batch.py tests/unit/judged",),
    ),
    Mutant(
        "guess an execution while its router may still tell",
        "flipping/follow.py",
        "if now - row.claimed_at <= GRACE_MS:",
        "if False:",
        "4: an execution that the stack has not named counts as a success",
        ("tests/unit/judged/test_written_once.py",),
    ),
    Mutant(
        "believe an index that lags behind a batch",
        "domain/batch.py",
        "return None if oldest is None else oldest - LAG_MS",
        "return oldest",
        "4: evidence is settled over requests that run",
        ("tests/unit/judged/test_unseen.py",),
    ),
    # Deciding.
    Mutant(
        "abort, and leave the gate open",
        "domain/changes.py",
        "return save(release, release.moved(_S.ABORTING, now=now, why=why, who=who, gate=Gate.CLOSED, verdict=verdict))",
        "return save(release, release.moved(_S.ABORTING, now=now, why=why, who=who, verdict=verdict))",
        "5: slots can be claimed after a FAIL",
    ),
    Mutant(
        "promote, and leave the gate open",
        "domain/stages.py",
        "        gate=Gate.CLOSED,\n        verdict=",
        "        verdict=",
        "5: slots can be claimed while the flip goes on",
    ),
    Mutant(
        "supersede, and leave the gate open",
        "domain/changes.py",
        'why=f"a newer write to latest: {newer}", gate=Gate.CLOSED)',
        'why=f"a newer write to latest: {newer}")',
        "5: slots of a superseded release can be claimed",
    ),
    Mutant(
        "ask for a stop, and leave the gate open",
        "domain/asks.py",
        "gate = Gate.CLOSED if ask.verb in STOPPING else release.gate",
        "gate = release.gate",
        "5: after a pause was acknowledged slots can be claimed",
        (_LIFE,),
    ),
    Mutant(
        "stop-all is not seen by a release that opens",
        "domain/opening.py",
        "gate=Gate.CLOSED if seen.app.stopped or release.stopping else Gate.OPEN,",
        "gate=Gate.CLOSED if release.stopping else Gate.OPEN,",
        "5: a gate opens during the emergency stop",
        (_LIFE,),
    ),
    Mutant(
        "stop-all closes no gate that is closed",
        "operating/operator.py",
        "if gate is Gate.OPEN and (before.gate is gate",
        "if before.gate is gate or gate is Gate.OPEN and (before.gate is gate",
        "5: a gate that is about to open opens after stop-all has returned",
        ("tests/unit/test_stop_all.py",),
    ),
    Mutant(
        "an approval opens the gate over a pause",
        "domain/stages.py",
        "gate = Gate.CLOSED if seen.app.stopped or release.stopping else Gate.OPEN",
        "gate = Gate.CLOSED if seen.app.stopped else Gate.OPEN",
        "5: a gate opens although a pause was asked for",
        (_LIFE, "tests/unit/judged"),
    ),
    Mutant(
        "a pause uses up the time of a gate",
        "domain/release.py",
        "return self.asked_at if asks or self.asked_at is None else self.asked_at + now - self.since",
        "return self.asked_at",
        "4: what nobody could answer is decided by default",
        ("tests/unit/judged/test_paused_at_a_gate.py",),
    ),
    Mutant(
        "swap the switch and the gates",
        "operating/operator.py",
        "        self._change_app(app, lambda item: replace(item, stopped=Stopped(self.who, why, self._clock())))\n"
        "        for name in self._app(app).followed:\n"
        '            self._change_gate(app, name, Gate.CLOSED, f"stop-all: {why}")\n',
        "        for name in self._app(app).followed:\n"
        '            self._change_gate(app, name, Gate.CLOSED, f"stop-all: {why}")\n'
        "        self._change_app(app, lambda item: replace(item, stopped=Stopped(self.who, why, self._clock())))\n",
        "5: a gate that opens meanwhile stays open after stop-all",
        ("tests/unit/test_stop_all.py",),
    ),
    Mutant(
        "grant one over quota",
        "domain/stages.py",
        "allowed = None if stage.quota is None else release.claimed + stage.quota",
        "allowed = None if stage.quota is None else release.claimed + stage.quota + 1",
        "1: more slots than the plan gives",
    ),
    Mutant(
        "promote while a request is on its way",
        "domain/stages.py",
        "idle=not release.plan.judged",
        "idle=False",
        "4: what was judged is not all there is",
        (_LIFE,),
    ),
    Mutant(
        "no evidence promotes by force",
        "domain/asks.py",
        "if not release.tally.succeeded:",
        "if False:",
        "4: promoted, and nothing has succeeded",
        ("tests/unit/lifecycle tests/unit/judged",),
    ),
    Mutant(
        "promote without a record",
        "flipping/execute.py",
        "    if step.record is not None:  # first",
        "    if False:  # first",
        "a decision cannot be explained",
    ),
    Mutant(
        "swap the record and the decision",
        "flipping/execute.py",
        "        world.records.put(step.record)\n    world.releases.save(step.before, step.after, idle=step.idle)",
        "        world.releases.save(step.before, step.after, idle=step.idle)\n        world.records.put(step.record)",
        "a crash leaves a decision that cannot be explained",
    ),
    Mutant(
        "take a stale latest for a withdrawal",
        "domain/changes.py",
        "if key == release.release or (seen.latest is not None and seen.latest.modified_at < release.written_at):",
        "if key == release.release:",
        "7: a read that lags ends a release",
        (_FOREIGN, _LIFE),
    ),
    Mutant(
        "let the quarantined in",
        "domain/opening.py",
        "if entry := seen.app.quarantine.get(release.target):",
        'if (entry := seen.app.quarantine.get(release.target)) and entry.tag == "":',
        "8: a failed stack is tried again",
        (_LIFE,),
    ),
    Mutant(
        "open what was written over",
        "domain/opening.py",
        "    if seen.latest.version < seen.app.newest and seen.latest.modified_at < seen.app.newest_at:",
        "    if False:",
        "7: a stale read opens a release that a newer write has replaced",
        ("tests/unit/test_foreign_writes.py",),
    ),
    # The flip.
    Mutant(
        "abort without quarantine",
        "domain/lifecycle.py",
        "if step := flip.quarantine_step(release, seen, now, why) or blank_left(release, seen):",
        "if step := blank_left(release, seen):",
        "8: a failed stack may come again",
    ),
    Mutant(
        "forget previous",
        "domain/flip.py",
        "        if not _left(seen.previous, flip.before, release, flip):",
        "        if False:",
        "6: there is no way back",
    ),
    Mutant(
        "believe a current from before the flip",
        "domain/flip.py",
        "    return seen.current is not None and not _written_since(seen.current, flip.version, release)",
        "    return False",
        "6: a return is on record and was never written",
        (_RETURN,),
    ),
    Mutant(
        "believe a previous from before the flip",
        "domain/flip.py",
        "previous.value == value and _written_since(previous, flip.previous + 1, release)",
        "previous.value == value",
        "6: there is no way back after a return",
        (_RETURN,),
    ),
    Mutant(
        "go back to where a stale read leads",
        "domain/flip.py",
        "    if flip is None or now >= release.since + STALE_MS:",
        "    if True:",
        "6: a rollback right after a promotion makes the wrong stack current",
        ("tests/unit/lifecycle/test_rollback.py",),
    ),
    Mutant(
        "overwrite a foreign current",
        "flipping/execute.py",
        "if step.over is None or _version(world, app, step.name) == step.over:",
        "if step.over is None or _version(world, app, step.name):",
        "6: what somebody else wrote is overwritten",
        ("tests/unit/test_foreign_current.py",),
    ),
    Mutant(
        "do not ask whose current it is",
        "domain/flip.py",
        "    raise Foreign(_somebody_wrote(flip, seen))\n\n\ndef",
        "    return False\n\n\ndef",
        "6: a flip goes on over somebody else's current",
        (_FOREIGN,),
    ),
    Mutant(
        "blank without reading",
        "flipping/execute.py",
        "    if release_key(latest.version, latest.value, latest.modified_at) == release:\n        world",
        "    if True:\n        world",
        "7: every newer write is swallowed",
        (_FOREIGN, _LIFE),
    ),
    Mutant(
        "never put back what was swallowed",
        "domain/lifecycle.py",
        "    if lost is None or seen.latest is None or not flip.history_is_whole(seen):",
        "    if True:",
        "7: a release that landed under a blank is lost",
        (_FOREIGN,),
    ),
    Mutant(
        "forget whose write was put back",
        "domain/opening.py",
        "restored_from=flip.restored_release(seen.history)",
        "restored_from=None and flip.restored_release(seen.history)",
        "7: whoever waits for a release does not find it again",
        (_FOREIGN, _LIFE),
    ),
    Mutant(
        "leave the mirror behind",
        "domain/flip.py",
        "    if seen.app.mirror == mirror:\n        return None",
        "    if seen.app.mirror is not None:\n        return None",
        "2: without SSM a router serves what was current before",
    ),
    Mutant(
        "leave previous after a rollback",
        "domain/flip.py",
        "    if seen.previous is not None and not _left(seen.previous, BLANK, release, flip):",
        "    if False:",
        "6: a rollback goes back to itself",
    ),
    Mutant(
        "decide while somebody else counts",
        "flipping/follow.py",
        "        overtaken=bool(uncounted) or refused,",
        "        overtaken=refused,",
        "4: what has ended and is not counted yet is taken for hanging",
        ("tests/unit/judged/test_following.py",),
    ),
    Mutant(
        "decide while somebody else settles",
        "flipping/follow.py",
        "        overtaken=bool(uncounted) or refused,",
        "        overtaken=bool(uncounted),",
        "4: what has ended, and was settled by somebody else, is taken for hanging",
        ("tests/unit/judged/test_following.py",),
    ),
    Mutant(
        "take what was not looked at for hanging",
        "flipping/follow.py",
        "and the next pass goes on\n            rows[row.request_id] = replace(row, started_at=world.clock())",
        "and the next pass goes on\n            pass",
        "4: what nobody has looked at fails a release",
        ("tests/unit/judged/test_following.py",),
    ),
    Mutant(
        "follow nothing that was opened late",
        "domain/lifecycle.py",
        "        or _astray(seen)\n",
        "",
        "9: a late pass opens a release that nobody follows",
        ("tests/unit/lifecycle/test_opening.py",),
    ),
    Mutant(
        "look for nothing that was asked late",
        "domain/lifecycle.py",
        "    return not release.ended or bool(release.asks)\n",
        "    return not release.ended\n",
        "5: nobody answers a rollback that lands when the next promotion is over",
        ("tests/unit/lifecycle/test_rollback.py",),
    ),
    Mutant(
        "put on trial what was opened late",
        "domain/changes.py",
        "    if _opened_late(release, seen) and not goes_on(release):",
        "    if False:",
        "1: an old read of latest puts a second release on trial",
        ("tests/unit/lifecycle/test_opening.py",),
    ),
    Mutant(
        "let go of what is not settled",
        "domain/lifecycle.py",
        "    return not release.ended or bool(pending) or waiting",
        "    return not release.ended or waiting",
        "9: requests of an ended release are never counted",
    ),
    Mutant(
        "ignore the lease",
        "flipping/flipper.py",
        "        if not world.apps.lease(app, self._owner, now, now + LEASE_MS):\n            return",
        "        world.apps.lease(app, self._owner, now, now + LEASE_MS)\n        if False:\n            return",
        "6: two flippers at work on one app",
        ("tests/unit/test_lease.py",),
    ),
    # What stands behind the in-memory AWS.
    _adapter(
        "claim behind a closed gate",
        "aws/releases.py",
        "(model.claimed < model.granted) & (model.gate == Gate.OPEN.value) & mine.does_not_exist()",
        "(model.claimed < model.granted) & mine.does_not_exist()",
        "5: a claim does not look at the gate",
        "tests/contract/test_claims.py",
    ),
    _adapter(
        "claim one too many",
        "lean/slots.py",
        '"((#0 < #1 AND #2 = :0) AND attribute_not_exists (#3.#4))"',
        '"((#0 <= #1 AND #2 = :0) AND attribute_not_exists (#3.#4))"',
        "1: the router's own claim takes a slot that was not granted",
        "tests/contract/test_claims.py",
    ),
    _adapter(
        "claim again and take a second slot",
        "lean/slots.py",
        '"((#0 < #1 AND #2 = :0) AND attribute_not_exists (#3.#4))"',
        '"(#0 < #1 AND #2 = :0)"',
        "1: a claim whose answer was lost takes two slots",
        "tests/contract/test_claims.py",
    ),
    _adapter(
        "write over a row",
        "lean/audit.py",
        """'"attribute_not_exists (#0)"'""",
        """'"attribute_exists (#0) OR attribute_not_exists (#0)"'""",
        "3: the fence is written over",
        "tests/contract/test_audit.py",
    ),
    _adapter(
        "change a finished row",
        "aws/audit.py",
        "actions=self._actions(row, update), condition=condition",
        "actions=self._actions(row, update), condition=model.status.exists()",
        "9: an outcome changes after it was counted",
        "tests/contract/test_audit.py",
    ),
    _adapter(
        "write over a transform id",
        "aws/audit.py",
        "condition &= model.transform_id.does_not_exist() | (model.transform_id == update.transform_id)",
        "pass",
        "3: which execution a request has started can be rewritten",
        "tests/contract/test_audit.py",
    ),
    _adapter(
        "save over somebody's change",
        "aws/releases.py",
        "        condition = model.rev == before.rev\n",
        "        condition = model.rev.exists()\n",
        "5: a flipper opens a gate that was closed meanwhile",
        "tests/contract/test_releases.py",
    ),
    _adapter(
        "not idle, and saved",
        "aws/releases.py",
        "condition &= (model.claimed == before.claimed)",
        "condition &= (model.claimed >= before.claimed)",
        "4: a promotion does not see a claim",
        "tests/contract/test_releases.py",
    ),
    _adapter(
        "take a lease that is held",
        "aws/releases.py",
        "free = model.lease_until.does_not_exist() | (model.lease_until < now) | (model.lease_owner == owner)",
        "free = model.lease_until.does_not_exist() | (model.lease_until >= 0) | (model.lease_owner == owner)",
        "6: two flippers at work on one app",
        "tests/contract/test_apps.py",
    ),
    _adapter(
        "answer for another who has the key",
        "lean/keys.py",
        'Update("(#0 = :0 AND #1 = :1)"',
        'Update("(#0 = :0 OR #1 = :1)"',
        "2: the work of one key runs twice",
        "tests/contract/test_keys.py",
    ),
)
