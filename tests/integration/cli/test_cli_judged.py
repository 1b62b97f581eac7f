"""`canary status`, `canary release --wait` and `canary releases` for releases that the evidence decides."""

import json
import re
from dataclasses import replace

import boto3
import pytest

from canary import bootstrap
from canary.aws.audit import AuditTable
from canary.cli.verb import Session
from canary.domain.audit import Arm, Row, Status
from canary.domain.release import Probe
from canary.domain.states import ReleaseState
from canary.errors import Denied

MINUTE = 60_000
CAREFUL = {"preset": "careful"}
GATED = {"stages": [{"quota": 1, "gate": "manual"}, {"quota": 1}]}
QUEUE = {"stages": [{"quota": 2}], "on_new_release": "queue"}
REJECT = {"stages": [{"quota": 2}], "on_new_release": "reject"}
WATCHED = {"stages": [{"quota": 1}], "watch": {"time": "1h", "completed": 50}}
RINGING = {"stages": [{"quota": 1, "alarms": ["errors", "latency"]}]}


def words(result):
    return " ".join(result.stdout.split())


@pytest.fixture
def careful(here):
    """A careful release: one request succeeded, one failed, one runs."""
    arn = here.app(plan=CAREFUL)
    here.past(arn, 40, failed=1)
    release = here.release()
    here.serve(release, Status.SUCCEEDED, Status.FAILED)
    here.flip()
    here.serve(release, Status.RUNNING)
    return release


def test_a_judged_release_shows_what_is_proved_what_speaks_against_it_and_what_it_waits_for(here, careful):
    shown = here.canary("status", "transformer")
    assert shown.exit_code == 0, shown.output
    told = words(shown)
    for sentence in (
        "stage 1 of 1: as many as are earned, at 100 % at most (plan 'careful')",
        "slots 4 granted, 3 claimed, 1 free, 2 earned at a time; 100 % of the traffic; gate OPEN",
        "outcomes 1 succeeded, 1 failed, 0 lost, 1 in flight",
        "normal 1 of current's 40 executions failed, which counts as 3.66 %",
        "fails at most 99.8 % of the time, at 95 %; 18.3 % has to be excluded",
        "evidence fails more than before ███░░░░░░░░░░░░░ 1.04 of 4.89",
        "is slower ░░░░░░░░░░░░░░░░ 0.00 of 5.99",
        "is good enough ░░░░░░░░░░░░░░░░ 0.00 of 3.00",
        "verdict WAIT: 2 finished, 1 running, the oldest for ",
        "deadline in 14 d (",
        ": then it is aborted",
    ):
        assert sentence in told, told
    assert "fails more than current" not in told, "all went to latest, so nothing was compared"
    assert max(map(len, shown.stdout.splitlines())) <= 80


def test_as_json_there_are_the_numbers_the_share_and_the_record(here, careful):
    release = here.json("status", "transformer")["release"]
    assert release["numbers"]["slots"] == 2
    assert release["numbers"]["at_most"] == pytest.approx(0.99823, abs=1e-5)
    assert release["verdict"].startswith("WAIT: 2 finished, 1 running")
    assert release["share"] == 10_000
    assert release["record"] == here.item(careful).record
    assert release["plan"]["preset"] == "careful"
    assert not {"hold", "behind", "probes", "watched", "alarms"} & release.keys()
    (listed,) = here.json("releases", "transformer")["releases"]
    assert "verdict" not in listed, "its item alone does not tell what runs, so nothing is said that might be wrong"
    shown = here.canary("releases", "transformer").stdout
    assert careful in shown
    assert "careful" in shown


def test_a_plan_that_counts_says_how_little_it_proves_and_where_there_is_more(here):
    here.app()
    release = here.release()
    told = words(here.canary("status", "transformer"))
    assert "excluded. For more: canary plan set transformer careful" in told
    assert "evidence" not in told
    assert "careful" not in here.canary("releases", "transformer").stdout
    assert "numbers" not in here.json("status", "transformer")["release"]
    assert release in told


def test_control_samples_and_shares_are_told_apart_in_the_audit(here, careful):
    audit = AuditTable(boto3.client("dynamodb", "eu-west-1"), "audit", "eu-west-1")
    sample = Row(
        app="transformer", release=careful, request_id="01ZZZZZZZZZZZZZZZZZZZZZZZZ-c2500aaaaaaaa", status=Status.FAILED,
        claimed_at=bootstrap.now(), target="t", tag="v1", arm=Arm.CURRENT, share=2_500,
    )  # fmt: skip
    assert "sent to" not in here.canary("audit", "transformer").stdout
    audit.put(sample)
    assert "current, 25 %" in words(here.canary("audit", "transformer"))
    assert here.json("audit", "transformer")[-1]["share"] == 2_500
    assert "arm,share," in here.canary("audit", "transformer", "--format", "csv").stdout


def test_what_may_not_be_read_is_said_and_the_rest_is_shown(here, careful, monkeypatch):
    def denied(*_):
        raise Denied("DynamoDB", "AccessDeniedException", "dynamodb:Query on index/in_flight")

    monkeypatch.setattr(AuditTable, "in_flight", denied)
    shown = here.canary("status", "transformer")
    assert shown.exit_code == 0
    told = words(shown)
    assert "verdict ERROR: not everything can be read from here: DynamoDB: AccessDeniedException" in told
    assert "is good enough" not in told, "what runs is not known, so nothing can be said"
    assert "numbers" not in here.json("status", "transformer")["release"]


def test_a_release_at_a_manual_gate_says_what_ends_it_and_resume_is_not_it(here):
    here.app(plan=GATED)
    release = here.release()
    here.serve(release, Status.SUCCEEDED)
    here.flip()
    told = words(here.canary("status", "transformer"))
    assert "stage 1 of 2: 1 request at 50 %, then a person says `canary promote`" in told
    assert re.search(r"held for approval: until `canary promote`; without an answer in 1 d \(.*\) the plan says abort", told)
    assert "next canary promote transformer, or canary abort transformer" in told
    assert here.json("status", "transformer")["release"]["hold"] == "APPROVAL"
    refused = here.canary("resume", "transformer")
    assert refused.exit_code == 1
    assert "it waits for approval: `canary promote transformer`, or `canary abort transformer`" in refused.stderr
    assert here.item(release).asks == ()
    done = here.canary("promote", "transformer", "--yes", "--reason", "looks good")
    assert done.exit_code == 0
    assert (here.item(release).state, here.item(release).stage) == (ReleaseState.RUNNING, 1)


def test_a_release_whose_deadline_is_over_needs_a_decision(here):
    here.app(plan={"stages": [{"quota": 2}], "deadline": "1h", "no_data": "hold"})
    release = here.release()
    before = here.item(release)
    assert here.releases().save(before, replace(before, opened_at=before.opened_at - 2 * 3_600_000))
    here.flip()
    told = words(here.canary("status", "transformer"))
    assert "held until a person decides: its time is over" in told
    assert "next canary promote transformer --force, or canary abort transformer" in told
    refused = here.canary("resume", "transformer")
    assert refused.exit_code == 1
    assert "`canary promote transformer --force`" in refused.stderr


def test_alarms_are_shown_with_their_states(here):
    here.app(plan=RINGING)
    cloudwatch = boto3.client("cloudwatch", "eu-west-1")
    for name in ("errors", "latency"):
        cloudwatch.put_metric_alarm(
            AlarmName=name, Namespace="n", MetricName="m", Statistic="Sum", Period=60, EvaluationPeriods=1, Threshold=1,
            ComparisonOperator="GreaterThanThreshold",
        )  # fmt: skip
    cloudwatch.set_alarm_state(AlarmName="errors", StateValue="OK", StateReason="because")
    cloudwatch.set_alarm_state(AlarmName="latency", StateValue="INSUFFICIENT_DATA", StateReason="because")
    release = here.release()
    here.serve(release, Status.SUCCEEDED)
    here.flip()
    told = words(here.canary("status", "transformer"))
    assert "alarms errors OK, latency INSUFFICIENT_DATA" in told
    assert "verdict WAIT: the alarm 'latency' has insufficient data" in told
    cloudwatch.delete_alarms(AlarmNames=["latency"])
    told = words(here.canary("status", "transformer"))
    assert "latency not found" in told


def test_where_one_waits_for_another_both_say_so_and_verbs_mean_the_first(here):
    here.app(plan=QUEUE)
    first = here.release("v2")
    second = here.release("v3")
    told = words(here.canary("status", "transformer"))
    assert f"release {first} of v2" in told
    assert f"queue release {second} (v3) waits behind this one" in told
    told = words(here.canary("status", "transformer", "--release", second))
    assert f"waits behind release {first} (v2, RUNNING): it opens once that one has ended" in told
    assert "gate" not in told, "it has no plan yet"
    assert here.json("status", "transformer")["waiting"] == second
    assert here.json("status", "transformer", "--release", second)["release"]["behind"] == first
    assert here.json("pause", "transformer")["release"] == first
    assert here.json("abort", "transformer", "--release", second, "--yes")["state"] == "ABORTED"


def test_wait_tells_that_it_waits_behind_another(here, while_waiting):
    here.app(plan=QUEUE)
    first = here.release("v2")

    def the_first_fails_then_requests_come():
        (newest, *_) = here.releases().recent("transformer", 1)
        if not here.item(first).ended:
            here.serve(first, Status.FAILED)
        elif newest.state is ReleaseState.RUNNING:
            here.serve(newest.release, Status.SUCCEEDED, Status.SUCCEEDED)
        here.flip()

    while_waiting(the_first_fails_then_requests_come)
    done = here.canary("release", "transformer", "--arn", here.stack("v3"), "--tag", "v3", "--wait")
    assert done.exit_code == 0, done.output
    assert f"(v3) OPENING: waits behind release {first} (v2, RUNNING)" in done.stderr
    assert "RUNNING: 0 of 2 succeeded, 2 slots free (deadline in 1 d)" in done.stderr


def test_wait_ends_with_1_where_the_running_plan_refuses_newer_releases(here, while_waiting):
    here.app(plan=REJECT)
    first = here.release("v2")
    while_waiting(here.flip)
    done = here.canary("release", "transformer", "--arn", here.stack("v3"), "--tag", "v3", "--wait", "--json")
    assert done.exit_code == 1
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["state"] == "REJECTED"
    assert f"release {first} (v2) is RUNNING, and its plan refuses newer ones: release again after it" in last["reason"]
    assert here.item(first).state is ReleaseState.RUNNING


def test_wait_tells_why_the_judge_waits_and_a_line_only_when_something_happened(here, while_waiting, monkeypatch):
    passed = iter(range(999))
    monkeypatch.setattr(Session, "now", lambda _: bootstrap.now() + next(passed) * 40 * MINUTE)
    arn = here.app(plan=CAREFUL)
    here.past(arn, 60)
    looks = iter(range(9))

    def now_and_then_something_happens():
        (release, *_) = here.releases().recent("transformer", 1)
        match next(looks, None):
            case 2:
                here.serve(release.release, Status.SUCCEEDED)
            case 5:
                here.serve(release.release, Status.FAILED, Status.FAILED)
        here.flip()

    while_waiting(now_and_then_something_happens)
    done = here.canary("release", "transformer", "--arn", here.stack("v2"), "--tag", "v2", "--wait")
    assert done.exit_code == 1
    told = done.stderr.splitlines()
    assert len(told) == 3, told
    assert "RUNNING: 0 finished, 2 slots free, it fails at most 100 % of the time" in told[0]
    assert "RUNNING: 1 finished, 2 slots free, it fails at most " in told[1]
    assert "ABORTED: 2 of 3 finished requests failed" in told[2]


@pytest.fixture
def watched(here):
    here.app(plan=WATCHED)
    release = here.release()
    here.serve(release, Status.SUCCEEDED)
    here.flip()
    assert here.item(release).state is ReleaseState.WATCHING
    return release


def test_a_watched_release_shows_how_far_that_is_and_what_takes_it_back(here, watched):
    told = words(here.canary("status", "transformer"))
    assert re.search(
        r"watch for 1 h and until 50 executions have ended, \d+ s so far; 0 executions started since the promotion", told
    )
    assert "if it fails, the stack before it serves again by itself" in told
    assert "next canary rollback transformer would take it back" in told
    assert here.json("status", "transformer")["release"]["watched"]["started"] == 0
    assert "release" not in {one["check"] for one in here.json("doctor", "transformer", exit_code=1)["findings"]}


def test_a_watched_release_is_not_over_for_those_who_wait(here, watched, while_waiting):
    def it_is_taken_back():
        here.canary("rollback", "transformer", "--yes")

    while_waiting(it_is_taken_back)
    here.write("latest", "NONE")
    done = here.canary("status", "transformer", "--release", watched, "--watch")
    waiting, ended = done.stdout.splitlines()
    assert "WATCHING" in waiting
    assert "ROLLED_BACK" in ended


def test_a_rollback_of_a_watched_release_aborts_nothing_first(here, watched):
    done = here.canary("rollback", "transformer", "--yes", "--reason", "it loses orders")
    assert done.exit_code == 0, done.output
    assert "aborted first" not in done.stderr
    assert "is ROLLED_BACK: rollback by user/moto: it loses orders" in done.stdout


def test_a_promotion_that_is_watched_is_done_when_it_is_current(here):
    here.app(plan={"stages": [{"quota": 1, "bake": "1h"}], "watch": "1d"})
    release = here.release()
    here.serve(release, Status.SUCCEEDED)
    done = here.json("promote", "transformer", "--yes", "--reason", "now")
    assert (done["result"], done["state"]) == ("DONE", "WATCHING")
    assert "promote by user/moto: now" in done["why"]
    assert here.item(release).state is ReleaseState.WATCHING


def test_a_preflight_shows_how_many_requests_have_succeeded(here):
    here.app(plan={"stages": [{"quota": 1}], "preflight": [{"a": 1}, {"a": 2}, {"a": 3}]})
    release = here.release()
    before = here.item(release)
    probes = {0: Probe(Status.SUCCEEDED), 1: Probe(Status.RUNNING, "arn:execution", bootstrap.now())}
    opening = replace(before, state=ReleaseState.OPENING, accepted=True, probes=probes, granted=0, claimed=0, ended_at=None)
    assert here.releases().save(before, opening)
    told = words(here.canary("status", "transformer", "--release", release))
    assert "preflight 1 of 3 requests succeeded, synthetic; 1 running" in told
    found = here.json("status", "transformer", "--release", release)["release"]["probes"]
    assert [(probe["number"], probe["status"]) for probe in found] == [(1, "SUCCEEDED"), (2, "RUNNING")]
