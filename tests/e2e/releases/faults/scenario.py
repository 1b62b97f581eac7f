"""One app through an outage: what happens to it, while requests flow, and what must be true of it afterwards."""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from canary.domain.audit import IN_FLIGHT, Row, Status
from canary.domain.release import Release, Verb
from canary.domain.states import Gate, Hold, ReleaseState
from canary.domain.target import state_machine_of
from tests.e2e.releases.faults.proxy import Call, Outage, Proxy, Service, Way

QUOTA: Final = 4
PLAN: Final = {"stages": [{"quota": QUOTA, "weight": 100}]}
#: Calls that have to have failed before an outage is over. The flipper sends one four times before it gives up.
HITS: Final = 5
#: An outage is over after so long where few calls meet it, and where none does.
SEEN_S: Final = 10.0
MOST_S: Final = 60.0
#: Nobody counts calls that are refused.
REFUSED_S: Final = 4.0
LONG_AGO_MS: Final = 61_000


class Phase(StrEnum):
    OPENING = "an opening"
    TRIAL = "a trial"
    PROMOTION = "a promotion"
    ABORT = "an abort"


@dataclass(frozen=True, slots=True)
class Case:
    """Which service fails, how, and when."""

    service: Service
    way: Way
    phase: Phase

    def __str__(self) -> str:
        return f"{self.service} {self.way} in {self.phase}".replace(" ", "-")


@dataclass(frozen=True, slots=True)
class Sent:
    """One request, and what came of it."""

    number: int
    key: str | None
    answer: Any
    outage: bool


@dataclass
class Life:
    """An app's life through a case. `step` makes a step of it, which is over soon; False at the end."""

    case: Case
    subject: Any
    current: str
    latest: str
    proxy: Proxy
    call: Callable[..., Any]
    sfn: Any
    age: Callable[[Any, Release], None]
    sent: list[Sent] = field(default_factory=list)
    hits: int = 0
    held: list[str] = field(default_factory=list)
    flows: bool = False
    release: Release | None = None
    outage: Outage | None = None
    error: BaseException | None = None
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _course: Iterator[None] | None = None
    _afterwards: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def hits_latest(self) -> bool:
        """Whether the outage keeps the router from calling latest: then its requests may fail, or not be sent."""
        calls = self.case.service in {Service.STATES, Service.LAMBDA}
        return calls and (self.case.phase is Phase.TRIAL or self.hits_current)

    @property
    def hits_current(self) -> bool:
        """Whether it keeps the router from calling current: that is no canary's doing, and nobody can serve."""
        return self.case.way is Way.REFUSED and self.case.service in {Service.STATES, Service.LAMBDA}

    def step(self) -> bool:
        """Send a request, and go on; True while there is more to come."""
        self._course = self._course or self._life()
        try:
            next(self._course)
            if self.flows:
                self.request()
        except StopIteration:
            return False
        except BaseException as error:  # noqa: BLE001 - it is the verdict on this case, and told by its test
            self.error = error
            self._afterwards.close()
            return False
        return True

    def request(self) -> None:
        number = next(self._numbers)
        key = f"key-{number}" if number % 3 == 2 else None
        during = self._is_out()
        headers = {"idempotency_key": key} if key else {}
        answer = self.call(self.subject.name, {"n": number}, **headers)
        slow = answer.status == 503 and "needs its record" in answer.body["detail"]
        if slow and self.case.service is not Service.DYNAMODB:
            # The embedded AWS itself was late with the key's record, with all cases at once: who has a key asks again, as told.
            time.sleep(int(answer.headers["retry-after"]))
            answer = self.call(self.subject.name, {"n": number}, **headers)
        self.sent.append(Sent(number, key, answer, during or self._is_out()))

    def _is_out(self) -> bool:
        return self.outage is not None or self.proxy.refuses(self.case.service)

    def _life(self) -> Iterator[None]:
        subject = self.subject
        subject.parameters.write(subject.name, "plan", json.dumps(PLAN))
        subject.parameters.write(subject.name, "current", self.current)
        yield from self._until("the mirror is there", lambda: (item := subject.releases.app(subject.name)) and item.mirror)
        self.flows = True  # before the flipper's first pass there is nothing to serve from while SSM is down
        if self.case.phase is Phase.OPENING:
            self._begin()
        subject.parameters.write(subject.name, "latest", self.latest)
        key = subject.key()
        if self.case.phase is Phase.OPENING:
            yield from self._outage_lasts()
        # Not: is on trial. An outage that lasts for longer than its opening may see it through.
        yield from self._until("it opens", lambda: self._read(key) is not None and self.release.state is not ReleaseState.OPENING)
        if self.case.phase is Phase.TRIAL:
            self._begin()
            yield from self._outage_lasts()
        if self.case.phase in {Phase.PROMOTION, Phase.ABORT}:
            yield from self._until("all slots are taken", lambda: self._read(key).claimed >= QUOTA)
            self._begin()
        if self.case.phase is Phase.PROMOTION:
            yield from self._outage_lasts()
        if self.case.phase is Phase.ABORT:
            subject.operator.ask(subject.name, Verb.ABORT, "enough was seen", key)
            assert self._read(key).gate is Gate.CLOSED, "stop means stop, at once"
            yield from self._outage_lasts()
        yield from self._settles(key)

    def _settles(self, key: str) -> Iterator[None]:
        """It goes on by itself; but what nobody can know is left to a person, and what is a minute old by then is made so."""
        since = time.monotonic()

        def settled() -> bool:
            nonlocal since
            release = self._read(key)
            if release.state is ReleaseState.HELD:
                assert release.hold in {Hold.LOST, Hold.UNSENT, Hold.OBSERVATION, Hold.CURRENT}, release.reason
                if release.hold in {Hold.LOST, Hold.UNSENT} and not release.asks:
                    self.held.append(release.reason or "")
                    self.subject.operator.ask(self.subject.name, Verb.RESUME, "they were looked into", key)
            if time.monotonic() - since > 3:
                self.age(self.subject, release)
                since = time.monotonic()
            over = release.ended and not (release.in_flight or release.open or release.counted or release.notices)
            return over and not self.subject.audit.in_flight(self.subject.name, key)

        yield from self._until("everything has settled", settled)

    def _read(self, key: str) -> Release:
        self.release = self.subject.releases.release(self.subject.name, key)
        return self.release

    def _begin(self) -> None:
        refused = self.case.way is Way.REFUSED
        outage = self.proxy.refusing(self.case.service) if refused else self.proxy.failing(self.case.way, self._concerns)
        self.outage = self._afterwards.enter_context(outage)

    def _concerns(self, call: Call) -> bool:
        if call.service is not self.case.service or self.subject.name not in call.text:
            return False
        if call.service is Service.STATES:  # what current does is current's affair
            mine = self.latest.rsplit(":", 1)[-1] in call.text or call.operation.startswith(("List", "DescribeState"))
            return mine and (self.case.phase is Phase.TRIAL or call.operation != "StartExecution")
        return call.service is not Service.LAMBDA or self.latest in call.text

    def _outage_lasts(self) -> Iterator[None]:
        outage, began = self.outage, time.monotonic()
        assert outage is not None
        answered = len(self.sent)
        refused = outage.way is Way.REFUSED
        while not self._met(outage, time.monotonic() - began, refused=refused) or len(self.sent) < answered + 4:
            yield
        self._afterwards.close()
        self.hits, self.outage = outage.hits, None

    def _met(self, outage: Outage, age_s: float, *, refused: bool) -> bool:
        """Whether an outage has lasted for long enough."""
        if refused:
            return age_s > REFUSED_S
        return outage.hits >= HITS or age_s > (SEEN_S if outage.hits else MOST_S)

    def _until(self, words: str, so: Callable[[], Any], within: float = 240.0) -> Iterator[None]:
        deadline = time.monotonic() + within
        while not so():
            assert time.monotonic() < deadline, f"not so in time: {words}; {self._told()}"
            yield

    def _told(self) -> str:
        release = self.release
        return f"{release and (release.state, release.hold, release.reason, release.tally, release.open)}, {self.hits} hits"

    def look_back(self) -> None:
        """Check what became of every request, and of the release. Keeps the first breach as the case's error."""
        if self.error is None:
            try:
                check_answers(self)
                check_release(self)
            except AssertionError as error:
                self.error = error


def check_answers(life: Life) -> None:
    """Nobody was turned away but as the design says, and nobody got another's answer."""
    for sent in life.sent:
        answer = sent.answer
        if answer.status == 503:
            assert sent.outage, "the outage is over"
            assert sent.key or life.hits_current, "only keyed requests need DynamoDB, and all need the stack that serves them"
            assert life.case.service is Service.DYNAMODB or life.hits_current, answer
            assert answer.headers["content-type"] == "application/problem+json"
            assert int(answer.headers["retry-after"]) > 0
            continue
        if answer.status == 504:  # it had gone out when the connection broke
            assert sent.outage, "the outage is over"
            assert life.hits_current, "latest's silence is answered by current"
            assert life.case.service is Service.STATES, "no other call was seen to end so"
            assert "may be running" in answer.body["detail"]
            continue
        assert answer.status in {200, 202}, (sent.outage, answer)
        if answer.body["transform_id"] is None:
            assert answer.body["response"]["n"] == sent.number, "an answer of its own"
    answered = [sent.answer.body for sent in life.sent if sent.answer.status in {200, 202}]
    assert len({body["request_id"] for body in answered}) == len(answered)
    if not life.hits_latest:
        assert not any(body.get("fell_back") for body in answered), "latest had nothing to do with it"


def check_executions(life: Life) -> None:
    """Each answer's execution is there, with that request's body, and ran once; what ran on latest is on record."""
    assert life.release is not None
    on_latest = executions(life.sfn, life.latest)
    ran = [*executions(life.sfn, life.current), *on_latest]
    told = {sent.answer.body["transform_id"]: sent for sent in life.sent if sent.answer.status == 202}
    assert told.keys() <= set(ran), "no answer names an execution that is not there"
    ran_as = Counter[tuple[int, str]]()
    for arn in ran:
        number = json.loads(life.sfn.describe_execution(executionArn=arn)["input"])["n"]
        assert arn not in told or told[arn].number == number, "no answer is another's"
        ran_as[number, state_machine_of(arn)] += 1
    assert set(ran_as.values()) <= {1}, "no request ran twice on one stack"
    # What wanted a slot and got none bears latest's mark too. Current has served it: the same stack, right after the flip.
    answers = [sent.answer.body for sent in life.sent if sent.answer.status in {200, 202}]
    currents = {body["request_id"] for body in answers if body["routed_to"] == "current" and not body.get("fell_back")}
    on_trial = {name for arn in on_latest if f"-r{life.release.release}" in (name := arn.rsplit(":", 1)[-1])} - currents
    assert len(on_trial) <= life.release.granted, (sorted(on_trial), life.release, "never over quota")
    assert on_trial <= {row.request_id for row in life.subject.rows(life.release)}, "nothing off the record"


def executions(sfn: Any, machine: str) -> list[str]:
    if ":stateMachine:" not in machine:
        return []
    pages = sfn.get_paginator("list_executions").paginate(stateMachineArn=machine)
    return [found["executionArn"] for page in pages for found in page["executions"]]


def check_release(life: Life) -> None:
    """It ended as it should, by itself, and its record is whole."""
    release, subject, case = life.release, life.subject, life.case
    assert release is not None
    rows: list[Row] = subject.rows(release)
    aborted = case.phase is Phase.ABORT or (life.hits_latest and release.tally.failures > 0)
    assert release.state is (ReleaseState.ABORTED if aborted else ReleaseState.PROMOTED), release.reason
    expected = (life.current, "NONE", None) if aborted else (life.latest, "NONE", life.current)
    assert subject.values() == expected
    assert subject.item().mirror.value == expected[0]
    assert release.gate is Gate.CLOSED
    assert not any(row.status in IN_FLIGHT or not row.counted for row in rows), "none is left uncounted"
    counts = Counter(row.status for row in rows if not row.unstarted)
    tally = release.tally
    assert counts[Status.SUCCEEDED] == tally.succeeded
    assert counts[Status.FAILED] == tally.failed
    assert counts[Status.LOST] == tally.lost
    assert sum(row.unstarted for row in rows) == tally.refunded
    assert release.claimed == tally.settled, (
        release.claimed,
        tally,
        release.batches,
        release.open,
        "all that was claimed is settled",
    )
    assert tally.settled <= release.granted, (tally, release.granted, "never over quota")
    check_executions(life)
    if life.held:
        assert life.hits_latest or case.service is Service.DYNAMODB, life.held
