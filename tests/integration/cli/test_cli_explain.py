"""`canary explain`."""

from dataclasses import replace

import boto3
import pytest

from canary import bootstrap
from canary.aws.records import RecordTable
from canary.domain.audit import KEEP_MS, Status

HOUR = 3_600_000


@pytest.fixture
def release(here):
    """A careful release with three decisions on record, the last one of them an abort."""
    arn = here.app(plan={"preset": "careful"})
    here.past(arn, 40, failed=1)
    name = here.release()
    for outcomes in ((Status.SUCCEEDED,), (Status.FAILED,), (Status.FAILED, Status.FAILED)):
        here.serve(name, *outcomes)
        here.flip()
    return name


def words(result):
    return " ".join(result.stdout.split())


def kept(release):
    """The records of a release, and a hand that may change one."""
    dynamodb = boto3.client("dynamodb", "eu-west-1")
    return dynamodb, RecordTable(dynamodb, "audit", "eu-west-1").of_release("transformer", release)


def test_each_decision_is_told_with_its_numbers_and_computed_again(here, release):
    shown = here.canary("explain", "transformer")
    assert shown.exit_code == 0, shown.output
    told = words(shown)
    for sentence in (
        f"transformer: release {release} (v2) by the plan 'careful' is ABORTED: ",
        "normal 1 of current's newest 40 executions had failed: 3.66 % is normal.",
        "from the executions of arn:aws:states:eu-west-1:123456789012:stateMachine:transformer-v1",
        "when it has become 133, latest is thrown out",
        "seen 1 succeeded on latest, 0 failed, 0 in flight; stage 1 of 1: 1 ended",
        "promotion it fails at most ",
        "earned 2 requests on latest at a time",
        "verdict FAIL: 3 of 4 finished requests failed, where 3.66 % is normal",
        "3 decisions were computed again from the record: the same",
    ):
        assert sentence in told, told
    assert max(map(len, shown.stdout.splitlines())) <= 80


def test_as_json_it_is_the_records_and_what_came_out_again(here, release):
    document = here.json("explain", f"transformer#{release}")
    assert document["agrees"] is True
    assert document["release"] == release
    assert [one["judgement"] for one in document["records"]] == ["WAIT", "WAIT", "FAIL"]
    for one in document["records"]:
        assert one["again"]["judgement"] == one["judgement"]
        assert one["again"]["reason"] == one["reason"]
        assert one["again"]["numbers"] == pytest.approx(one["numbers"], rel=1e-9)
        assert one["differences"] == []
        assert one["carried_out"] is True
    assert document["records"][0]["case"]["baseline"]["executions"] == 40


def test_a_time_picks_the_decision_that_held_then(here, release):
    every = here.json("explain", "transformer")["records"]
    (one,) = here.json("explain", "transformer", "--release", release, "--at", every[1]["at"])["records"]
    assert one["name"] == every[1]["name"]
    told = words(here.canary("explain", "transformer", "--at", "0s"))
    assert "verdict FAIL: " in told
    assert "1 decision was computed again" in told
    refused = here.canary("explain", "transformer", "--at", "1h")
    assert refused.exit_code == 1
    assert f"release {release} was not judged before " in refused.stderr


def test_a_record_that_gives_another_answer_is_an_error_with_both_answers(here, release):
    dynamodb, records = kept(release)
    dynamodb.update_item(
        TableName="audit",
        Key={"release_id": {"S": f"transformer#{release}#evidence"}, "request_id": {"S": records[-1].name}},
        UpdateExpression="SET judgement = :j, reason = :r",
        ExpressionAttributeValues={":j": {"S": "PASS"}, ":r": {"S": "trust me"}},
    )
    refused = here.canary("explain", "transformer")
    assert refused.exit_code == 1
    told = words(refused)
    assert "decided by version" in told
    assert "PASS: trust me" in told
    assert "FAIL: 3 of 4 finished requests failed" in told
    assert "verdict: 'PASS' on record, 'FAIL' computed again" in told
    assert "1 of 3 decisions come out otherwise" in refused.stderr
    document = here.json("explain", "transformer", exit_code=1)
    assert document["agrees"] is False
    assert document["records"][-1]["again"]["judgement"] == "FAIL"
    assert here.canary("explain", "transformer", "--at", records[0].name[:24]).exit_code == 0


def test_two_requests_are_told_with_how_little_they_prove(here):
    here.app()
    name = here.release()
    here.serve(name, Status.SUCCEEDED, Status.SUCCEEDED)
    here.flip()
    told = words(here.canary("explain", "transformer"))
    assert "proof 2 of 2: at 95 % only failure rates above 77.6 % are excluded. The plan 'careful' asks for more" in told
    assert "verdict PASS: 2 of 2 requests succeeded" in told
    assert "1 decision was computed again from the record: the same" in told


def test_a_release_without_records_says_why_there_are_none(here):
    here.app()
    refused = here.canary("explain", "transformer")
    assert refused.exit_code == 1
    assert "has had no release yet" in refused.stderr
    name = here.release("v1")
    done = here.canary("explain", "transformer")
    assert done.exit_code == 0
    assert f"release {name} (v1) is REJECTED: it is the current stack already" in words(done)
    assert "there is no record to explain" in words(done)
    assert here.json("explain", "transformer")["records"] == []


def test_records_that_have_expired_are_told_as_such(here, release):
    dynamodb, records = kept(release)
    for record in records:
        key = {"release_id": {"S": f"transformer#{release}#evidence"}, "request_id": {"S": record.name}}
        dynamodb.delete_item(TableName="audit", Key=key)
    before = here.item(release)
    assert here.releases().save(before, replace(before, opened_at=bootstrap.now() - KEEP_MS - HOUR))
    done = here.canary("explain", "transformer")
    assert "Its records have gone: they are kept for 90 d" in words(done)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("00000001-6dc7ac8c",), "does not say of which app: say transformer#00000001-6dc7ac8c"),
        (("transformer#7",), "no release's id"),
        (("Transformer#00000001-6dc7ac8c",), "no app's name"),
        (("transformer#00000001-6dc7ac8c", "--release", "00000002-6dc7ac8c"), "are two releases"),
        (("transformer", "--at", "noon"), "no time"),
    ],
)
def test_wrong_usage_says_what_is_wrong(here, arguments, sentence):
    here.app()
    here.release()
    refused = here.canary("explain", *arguments)
    assert refused.exit_code == 2
    assert sentence in " ".join(refused.stderr.split())
