"""`canary doctor`."""

import boto3
import pytest

from canary import bootstrap
from canary.aws.premises import InstalledParts
from canary.domain.states import Hold, ReleaseState
from canary.errors import Denied, Unavailable

MINUTE = 60_000


@pytest.fixture
def installed(here, monkeypatch):
    """An installation with both functions; moto's answers carry no date of today."""
    monkeypatch.setattr(InstalledParts, "has_function", lambda *_: True)
    monkeypatch.setattr(InstalledParts, "time", lambda _: bootstrap.now())
    here.app()
    return here


def found(here, *arguments, exit_code=0):
    findings = here.json("doctor", *arguments, exit_code=exit_code)["findings"]
    return {one["check"]: one for one in reversed(findings) if one["level"] != "ok"}


def test_a_sound_installation_is_all_ok(installed):
    done = installed.canary("doctor")
    assert done.exit_code == 0
    assert "all is well" in done.stdout
    assert "expiry (TTL) is on for audit" in " ".join(done.stdout.split())
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert found(installed) == {}
    assert "there was nothing to repair" in installed.canary("doctor", "--repair").stderr


def test_a_lost_current_is_found_and_written_from_the_mirror(installed):
    before = installed.parameter("current")
    installed.forget("current")
    finding = found(installed, "transformer", exit_code=1)["current"]
    assert finding["next"] == "canary doctor transformer --repair"
    assert installed.canary("doctor", "--repair").exit_code == 2, "nobody is there to ask"
    repaired = installed.canary("doctor", "transformer", "--repair", "--yes")
    assert repaired.exit_code == 0, repaired.output
    assert f"current was written from the mirror: {before}" in repaired.stderr
    assert installed.parameter("current") == before


def test_a_current_that_names_no_target_is_repaired_when_somebody_says_yes(installed, at_a_terminal):
    before = installed.parameter("current")
    installed.write("current", "v1.0.0")
    assert "'v1.0.0' is not the ARN" in found(installed, exit_code=1)["current"]["text"]
    assert installed.canary("doctor", "--repair", input="n\n").exit_code == 1
    assert installed.parameter("current") == "v1.0.0"
    assert installed.canary("doctor", "--repair", input="y\n").exit_code == 0
    assert installed.parameter("current") == before


def test_a_mirror_that_differs_is_copied_from_current(installed):
    other = installed.stack("v7")
    installed.write("current", other)
    assert other in found(installed, exit_code=1)["mirror"]["text"]
    assert installed.canary("doctor", "--repair", "--yes").exit_code == 0
    assert installed.releases().app("transformer").mirror.value == other


@pytest.mark.parametrize(
    ("name", "value", "check", "words"),
    [
        ("plan", "{}", None, ""),
        ("plan", '{"stages": []}', "plan", "every release is rejected"),
        ("plan", '{"stages": [{"quota": 1, "alarms": ["errors"]}]}', "plan", "alarms that CloudWatch does not have ('errors')"),
        ("plan", '{"preset": "careful"}', None, ""),
        ("current", "arn:aws:lambda:eu-west-1:123456789012:function:other:live", "current", "does not match the allowed pattern"),
        ("current", "arn:aws:states:eu-west-1:123456789012:stateMachine:transformer-v0", "current", "does not exist"),
    ],
)
def test_what_the_parameters_hold_is_checked(installed, name, value, check, words):
    installed.write(name, value)
    installed.flip()
    findings = found(installed, exit_code=1 if check else 0)
    assert words in findings.get(check, {}).get("text", "")


def test_a_previous_that_names_no_target_is_a_warning(installed):
    installed.write("previous", "yesterday's")
    assert found(installed)["previous"]["level"] == "warn"


def test_a_release_that_nobody_opens_and_a_flipper_that_sleeps_are_found(installed, monkeypatch):
    installed.write("latest", installed.stack("v2"))
    later = bootstrap.now() + 7 * MINUTE
    monkeypatch.setattr(bootstrap, "now", lambda: later)
    findings = found(installed, exit_code=1)
    assert "is not opened" in findings["latest"]["text"]
    assert "its last pass was 7 min ago" in findings["flipper"]["text"]


def test_held_paused_and_stuck_releases_are_found_with_what_to_type(installed, monkeypatch):
    name = installed.release()
    running = installed.item(name)
    held = running.moved(ReleaseState.HELD, now=bootstrap.now(), why="an outcome is unknown")
    assert installed.releases().save(running, held)
    finding = found(installed, exit_code=1)["release"]
    assert "an outcome is unknown" in finding["text"]
    assert finding["level"] == "fail"
    assert finding["next"] == "canary resume transformer, or canary abort transformer"
    held = installed.item(name)
    assert installed.releases().save(held, held.moved(ReleaseState.ABORTING, now=bootstrap.now(), why="asked"))
    assert "release" not in found(installed)
    later = bootstrap.now() + 11 * MINUTE
    monkeypatch.setattr(bootstrap, "now", lambda: later)
    assert "is ABORTING for 11 min" in found(installed, exit_code=1)["release"]["text"]


def test_a_release_that_waits_for_approval_is_no_fault(installed):
    name = installed.release()
    running = installed.item(name)
    held = running.moved(ReleaseState.HELD, now=bootstrap.now(), why="stage 1 waits for approval", hold=Hold.APPROVAL)
    assert installed.releases().save(running, held)
    finding = found(installed)["release"]
    assert (finding["level"], finding["next"]) == ("warn", "canary promote transformer, or canary abort transformer")


def test_a_plan_is_told_by_its_name(installed):
    installed.write("plan", '{"preset": "careful"}')
    plan = next(one for one in installed.json("doctor", "transformer")["findings"] if one["check"] == "plan")
    assert plan["text"] == "as many requests as the evidence earns in 1 stage (careful)"


def test_the_switch_and_a_lease_that_never_ends_are_found(installed):
    installed.canary("stop-all", "--reason", "an incident")
    installed.releases().lease("transformer", "a flipper from the future", bootstrap.now(), bootstrap.now() + 60 * MINUTE)
    findings = found(installed, exit_code=1)
    assert "an incident" in findings["stop"]["text"]
    assert findings["stop"]["next"] == "canary start-all"
    assert "a clock went wrong" in findings["lease"]["text"]


def test_tables_without_expiry_and_backups_are_a_warning(installed):
    dynamodb = boto3.client("dynamodb", "eu-west-1")
    off = {"AttributeName": "expires_at", "Enabled": False}
    dynamodb.update_time_to_live(TableName="audit", TimeToLiveSpecification=off)
    dynamodb.update_continuous_backups(
        TableName="releases", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False}
    )
    done = " ".join(installed.canary("doctor").stdout.split())
    assert "expiry (TTL) is off for audit" in done
    assert "point-in-time recovery is off for releases" in done
    assert "0 to mend, 2 to look at" in done


def test_a_clock_that_goes_wrong_is_found(installed, monkeypatch):
    monkeypatch.setattr(InstalledParts, "time", lambda _: bootstrap.now() - 10 * MINUTE)
    assert "10 min ahead" in found(installed)["clock"]["text"]


def test_what_is_denied_is_named_and_the_other_checks_go_on(installed, monkeypatch):
    def denied(*_):
        raise Denied("DynamoDB", "AccessDeniedException", "no")

    def broken(*_):
        raise Unavailable("Lambda", "ServiceException", "down")

    monkeypatch.setattr(InstalledParts, "expires", denied)
    monkeypatch.setattr(InstalledParts, "has_function", broken)
    findings = found(installed, exit_code=1)
    assert "not permitted: dynamodb:DescribeTimeToLive" in findings["tables"]["text"]
    assert "ServiceException" in findings["functions"]["text"]
    assert installed.json("doctor", exit_code=1)["findings"][-1]["app"] == "transformer"


def test_a_function_that_is_not_there_is_found(here):
    here.app()
    findings = found(here, exit_code=1)
    assert findings["functions"]["text"] in {"there is no function router", "there is no function flipper"}


def test_an_installation_without_apps_says_how_to_make_one(here, monkeypatch):
    monkeypatch.setattr(InstalledParts, "has_function", lambda *_: True)
    assert found(here)["apps"]["next"] == "canary init APP --arn ARN"
