"""The `careful` plan: slots are earned, the evidence decides, and every decision can be told and computed again."""

from __future__ import annotations

import itertools
import json

from canary.domain.states import ReleaseState
from tests.e2e.releases.judged.orders import order, plays

CAREFUL = {"preset": "careful"}


def test_a_careful_release_climbs_its_ladder_and_promotes(subject, machine, seasoned, climb, evidence, canary):
    latest = machine(plays("latest"))
    release = subject.given(current=seasoned, latest=latest, plan=CAREFUL)
    assert release.state is ReleaseState.RUNNING
    assert (release.baseline.executions >= 30, release.baseline.failed, release.share) == (True, 0, 10_000)

    ladder = climb(release, itertools.repeat(order()))

    assert ladder[:6] == [2, 2, 3, 5, 8, 13], "as many may be on the way as the evidence has earned"
    promoted = subject.release(release)
    assert promoted.state is ReleaseState.WATCHING, "current, and watched as the plan says"
    assert subject.values() == (latest, "NONE", seasoned)
    assert promoted.tally.succeeded == promoted.claimed == sum(ladder)
    assert {(row.share, row.status) for row in subject.rows(release)} == {(10_000, "SUCCEEDED")}

    records = evidence.of(release)
    assert [record.judgement for record in records] == ["WAIT"] * (len(records) - 1) + ["PASS"]
    assert (promoted.record, promoted.verdict) == (records[-1].name, f"PASS: {records[-1].reason}")
    assert records[-1].numbers["at_most"] < 0.1, "a tenth is excluded, at 95 %"
    told = canary("explain", subject.name, "--json")
    assert told.returncode == 0, told.stderr
    assert [each["reason"] for each in json.loads(told.stdout)["records"]] == [record.reason for record in records]


def test_every_claim_keeps_the_share_that_the_coin_had(subject, machine, seasoned, call, look, forget, evidence):
    plan = {"stages": [{"quota": 2, "weight": 50}, {"quota": 2, "weight": 100}], "max_failure_rate": 0.9}
    release = subject.given(current=seasoned, latest=machine(plays("latest")), plan=plan)
    for _ in range(40):  # so often the coin does not show current
        if call(subject.name, order()).body["routed_to"] == "latest" and subject.release(release).claimed == 2:
            break
    assert look(release).share == 10_000, "the next stage has begun"
    forget()
    for _ in range(2):
        assert call(subject.name, order()).body["routed_to"] == "latest"
    promoted = look(release)
    assert promoted.state is ReleaseState.PROMOTED
    assert sorted(row.share for row in subject.rows(release)) == [5_000, 5_000, 10_000, 10_000]
    [*_, record] = evidence.of(release)
    assert record.case["evidence"]["alone_started"] == 2, "these have only the history to be compared with"
    assert [epoch["share"] for epoch in record.case["evidence"]["epochs"]] == [5_000]
