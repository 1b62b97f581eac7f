"""`canary init` and `canary release`."""

import json

import boto3
import pytest

from canary.aws.installation import described
from canary.config import operator_settings
from canary.domain.audit import Status
from canary.domain.states import ReleaseState
from canary.errors import Misconfigured


def test_init_makes_an_app_whose_current_is_mirrored_at_once(here):
    arn = here.stack("v1")
    done = here.canary("init", "transformer", "--arn", arn, "--tag", "v1.0.0")
    assert done.exit_code == 0
    assert "v1.0.0 is current" in done.stdout
    assert json.loads(here.parameter("current")) == {"arn": arn, "tag": "v1.0.0", "by": "user/moto"}
    assert here.parameter("latest") == "NONE"
    assert here.releases().app("transformer").mirror.value == here.parameter("current")


def test_init_writes_the_plan_that_it_is_given_and_refuses_a_broken_one(here, tmp_path):
    plan = tmp_path / "plan.json"
    plan.write_text('{"stages": [{"quota": 0}]}')
    arn = here.stack("v1")
    refused = here.canary("init", "transformer", "--arn", arn, "--plan", str(plan))
    assert refused.exit_code == 2
    assert "quota" in refused.stderr
    plan.write_text('{"stages": [{"quota": 7}]}')
    assert here.canary("init", "transformer", "--arn", arn, "--plan", str(plan)).exit_code == 0
    assert here.parameter("plan") == '{"stages": [{"quota": 7}]}'


def test_init_leaves_an_app_that_exists_alone(here):
    current = here.app()
    refused = here.canary("init", "transformer", "--arn", here.stack("v9"))
    assert refused.exit_code == 1
    assert "exists already" in refused.stderr
    assert here.parameter("current") == current


def test_release_prints_the_id_of_a_release_that_runs(here):
    here.app()
    arn = here.stack("v2")
    document = here.json("release", "transformer", "--arn", arn, "--tag", "v2", "--commit", "8c1f2ab", "--by", "job 7")
    assert document == {"app": "transformer", "release": document["release"], "arn": arn, "tag": "v2"}
    assert here.item(document["release"]).state is ReleaseState.RUNNING
    assert json.loads(here.parameter("latest")) == {"arn": arn, "tag": "v2", "commit": "8c1f2ab", "by": "job 7"}


def test_release_writes_a_bare_arn_when_there_is_nothing_more_to_say(here):
    here.app()
    arn = here.stack("v2")
    done = here.canary("release", "transformer", "--arn", arn)
    assert done.exit_code == 0
    assert here.parameter("latest") == arn


def test_release_of_an_app_that_does_not_exist_makes_no_parameter(here):
    refused = here.canary("release", "transfromer", "--arn", here.stack("v2"))
    assert refused.exit_code == 1
    assert "canary init transfromer" in refused.stderr
    assert not boto3.client("ssm", "eu-west-1").get_parameters_by_path(Path="/canary", Recursive=True)["Parameters"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("release", "transformer", "--arn", "arn:aws:s3:::bucket"), "is not the ARN of a Lambda function"),
        (("pause", "Transformer"), "no app's name"),
        (("release", "transformer"), "Missing option '--arn'"),
        (("release", "transformer", "--timeout", "soon"), "no duration"),
        (("status", "--watch"), "need an APP"),
        (("status", "transformer", "--release", "7"), "no release's id"),
        (("audit", "transformer", "--since", "yesterday"), "no time"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_is_wrong(here, arguments, words):
    refused = here.canary(*arguments)
    assert refused.exit_code == 2
    assert words in " ".join(refused.stderr.split())


def test_a_flipper_that_does_not_answer_keeps_no_release_from_being_written(here):
    here.app()
    here.flipper_answers = False
    arn = here.stack("v2")
    done = here.canary("release", "transformer", "--arn", arn)
    assert done.exit_code == 0
    assert "its schedule wakes it" in done.stderr
    assert here.parameter("latest") == arn


def lines(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_wait_tells_the_id_first_and_promoted_last(here, while_waiting):
    here.app()
    arn = here.stack("v2")

    def requests_come():
        (release,) = here.releases().recent("transformer", 1)
        if release.state is ReleaseState.RUNNING:
            here.serve(release.release, Status.SUCCEEDED, Status.SUCCEEDED)
        here.flip()

    while_waiting(requests_come)
    done = here.canary("release", "transformer", "--arn", arn, "--wait", "--json")
    first, last = lines(done)
    assert done.exit_code == 0
    assert first["release"] == last["release"] == last["asked"]
    assert (last["state"], last["exit_code"]) == ("PROMOTED", 0)
    assert last["outcomes"]["succeeded"] == 2
    assert here.parameter("current") == arn
    assert "RUNNING: 0 of 2 succeeded, 2 slots free (deadline in 1 d)" in done.stderr


def test_wait_ends_with_1_when_a_request_failed(here, while_waiting):
    here.app()

    def a_request_fails():
        (release,) = here.releases().recent("transformer", 1)
        here.serve(release.release, Status.FAILED, error="boom")
        here.flip()

    while_waiting(a_request_fails)
    done = here.canary("release", "transformer", "--arn", here.stack("v2"), "--tag", "v2", "--wait")
    assert done.exit_code == 1
    assert "is ABORTED: 1 of 1 finished requests failed" in done.stdout
    assert "canary retry transformer" in done.stdout


def test_wait_ends_with_1_when_the_stack_is_not_allowed(here):
    here.app()
    done = here.canary(
        "release", "transformer", "--arn", "arn:aws:lambda:eu-west-1:123456789012:function:other", "--wait", "--json"
    )
    assert done.exit_code == 1
    assert lines(done)[-1]["state"] == "REJECTED"
    assert "does not match the allowed pattern" in lines(done)[-1]["reason"]


def test_wait_ends_with_1_when_a_newer_release_came(here, while_waiting):
    here.app()
    newer = here.stack("v3")

    def somebody_else_releases():
        here.write("latest", newer)
        here.flip()

    while_waiting(somebody_else_releases)
    done = here.canary("release", "transformer", "--arn", here.stack("v2"), "--wait", "--json")
    assert done.exit_code == 1
    assert lines(done)[-1]["state"] == "SUPERSEDED"


def test_wait_ends_with_1_when_a_newer_write_came_before_it_was_opened(here, while_waiting):
    here.app()
    here.flipper_answers = False
    newer = here.stack("v3")

    def somebody_else_releases():
        here.write("latest", newer)
        here.flip()

    while_waiting(somebody_else_releases)
    done = here.canary("release", "transformer", "--arn", here.stack("v2"), "--wait", "--json")
    assert done.exit_code == 1
    assert lines(done)[-1]["state"] == "SUPERSEDED"


def test_wait_ends_with_3_when_it_is_not_decided_in_time(here):
    here.app()
    done = here.canary("release", "transformer", "--arn", here.stack("v2"), "--wait", "--timeout", "0s", "--json")
    assert done.exit_code == 3
    assert (lines(done)[-1]["state"], lines(done)[-1]["exit_code"]) == ("RUNNING", 3)


def test_wait_goes_on_with_the_release_that_put_a_swallowed_write_back(here, while_waiting):
    here.app()
    first = here.release("v2")
    here.flipper_answers = False
    arn = here.stack("v3")

    def our_blank_lands_on_it_and_is_mended():
        ssm = boto3.client("ssm", "eu-west-1")
        if not any(release.restored_from for release in here.releases().recent("transformer", 9)):
            ssm.put_parameter(
                Name="/canary/transformer/latest",
                Value="NONE",
                Overwrite=True,
                Description=f"canary:{first}:blank",
                Type="String",
            )
            here.flip()
            return
        (release,) = [one for one in here.releases().recent("transformer", 9) if one.restored_from]
        here.serve(release.release, Status.SUCCEEDED, Status.SUCCEEDED)
        here.flip()

    while_waiting(our_blank_lands_on_it_and_is_mended)
    done = here.canary("release", "transformer", "--arn", arn, "--wait", "--json")
    begun, last = lines(done)
    assert done.exit_code == 0, done.output
    assert last["restored_from"] == last["asked"] == begun["release"] != last["release"]
    assert here.parameter("current") == arn


def test_without_a_region_a_sentence_says_what_to_do(here, monkeypatch, tmp_path):
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    refused = here.canary("status")
    assert refused.exit_code == 2
    assert "set AWS_REGION" in refused.stderr


def test_what_the_environment_leaves_out_is_read_from_the_stack(here, monkeypatch):
    template = {
        "Parameters": {"TargetPattern": {"Type": "String"}, "Environment": {"Type": "String"}},
        "Resources": {"T": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {
            name: {"Value": value}
            for name, value in {
                "AuditTable": "audit",
                "ReleasesTable": "releases",
                "ParameterPrefix": "/canary",
                "RouterFunction": "router",
                "FlipperFunction": "flipper",
            }.items()
        },
    }
    cloudformation = boto3.client("cloudformation", "eu-west-1")
    given = {"TargetPattern": "transformer-*", "Environment": "staging"}
    cloudformation.create_stack(
        StackName="mine",
        TemplateBody=json.dumps(template),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
    )
    settings = operator_settings({"AWS_REGION": "eu-west-1"}, lambda: described(cloudformation, "mine"))
    assert settings.installation.environment == "staging"
    assert settings.installation.allowed.account == "123456789012"
    for name in ("CANARY_RELEASES_TABLE", "CANARY_ACCOUNT", "CANARY_TARGET_PATTERN"):
        monkeypatch.delenv(name)
    here.app()
    assert here.json("status", "--stack-name", "mine")["apps"][0]["app"] == "transformer"
    refused = here.canary("status")
    assert refused.exit_code == 2
    assert "there is no stack 'canary' in eu-west-1: name the router's stack with --stack-name" in refused.stderr


def test_settings_that_nobody_has_are_named_all_at_once():
    with pytest.raises(Misconfigured, match=r"CANARY_PREFIX.*CANARY_ROUTER_FUNCTION"):
        operator_settings({"AWS_REGION": "eu-west-1"}, dict)
