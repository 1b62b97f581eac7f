"""`canary backtest`: what a plan would have decided about an app's real releases."""

import re

import boto3
import pytest

from canary.domain.audit import Status
from canary.domain.plan_document import parse_plan, plan_document
from canary.errors import Unavailable

GOOD, BAD = Status.SUCCEEDED, Status.FAILED


def words(text):
    return " ".join(text.split())


def ended(here, version, *outcomes):
    """A release that got these requests, and was decided."""
    release = here.release(version)
    here.serve(release, *outcomes)
    here.flip()
    here.flip()
    return release


@pytest.fixture
def two_releases(here):
    """One that was promoted though one of three failed, and one that was thrown out."""
    here.app(plan={"stages": [{"quota": 3}], "max_failures": 1})
    good = ended(here, "v2", GOOD, BAD, GOOD)
    bad = ended(here, "v3", GOOD, BAD, BAD)
    assert [here.item(name).state for name in (good, bad)] == ["PROMOTED", "ABORTED"]
    return good, bad


@pytest.fixture
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")


def test_ids_are_whole_on_a_narrow_terminal_too(here, two_releases):
    told = here.canary("backtest", "two-requests", "--app", "transformer").stdout
    assert all(name in told for name in two_releases)


@pytest.mark.usefixtures("wide")
def test_it_tells_release_by_release_what_happened_and_what_the_plan_would_have_done(here, two_releases):
    good, bad = two_releases
    done = here.canary("backtest", "two-requests", "--app", "transformer")
    assert done.exit_code == 0, done.output
    told = words(done.stdout)
    assert "transformer: what two-requests would have decided about 2 releases" in told
    assert told.index(bad) < told.index(good), "newest first"
    assert re.search(rf"{good} PROMOTED \S+ \S+ UTC ABORT after 2 requests, \d+ s 2 of 3 no v2", told)
    assert re.search(rf"{bad} ABORTED \S+ \S+ UTC ABORT after 2 requests, \d+ s 2 of 3 yes v3", told)
    assert "1 of 2 finished requests failed (0 may)" in told
    assert "2 releases replayed: 1 as it really was, 1 otherwise (1 promoted that it would have stopped), 0 undecided." in told
    assert "Of 6 requests that went to latest it would have sent 4." in told
    assert "decided by the code of the flipper" in told


def test_as_json_it_says_the_same_for_programs(here, two_releases):
    good, bad = two_releases
    found = here.json("backtest", "two-requests", "--app", "transformer")
    assert found["app"] == "transformer"
    assert found["plan"] == plan_document(parse_plan("two-requests"))
    newest, older = found["releases"]
    item = here.item(good)
    assert (newest["release"], newest["tag"], newest["agrees"]) == (bad, "v3", True)
    assert (older["release"], older["tag"], older["agrees"]) == (good, "v2", False)
    assert older["really"] == {
        "state": "PROMOTED",
        "reason": item.reason,
        "ended_at": older["really"]["ended_at"],
        "requests": 3,
    }
    assert older["would"]["decision"] == "ABORT"
    assert older["would"]["reason"] == "1 of 2 finished requests failed (0 may)"
    assert (older["would"]["requests"], older["would"]["finished"], older["would"]["without_slot"]) == (2, 2, 1)
    assert older["would"]["after_ms"] >= 1234
    assert found["left_out"] == []
    summary = found["summary"]
    assert (summary["same"], summary["otherwise"], summary["undecided"], summary["left_out"]) == (1, 1, 0, 0)


@pytest.mark.usefixtures("wide")
def test_a_judged_plan_says_what_it_was_held_against_and_what_was_missing(here):
    here.app()
    ended(here, "v2", GOOD, GOOD)
    told = words(here.canary("backtest", "careful", "--app", "transformer").stdout)
    assert "UNDECIDED, 28 clean runs short at least" in told
    assert "latest is held against no history: 1 release" in told
    assert "PROMOTE is said before the watch" in told
    assert "1 undecided. Of 2 requests that went to latest it would have sent 2, and more where it is undecided." in told
    [one] = here.json("backtest", "careful", "--app", "transformer")["releases"]
    assert one["would"]["decision"] == "UNDECIDED"
    assert one["would"]["clean_runs"] == 28
    assert "agrees" not in one
    assert one["against"] == "no history"


def test_what_the_plan_says_about_things_that_are_not_on_record_is_told(here):
    here.app()
    ended(here, "v2", GOOD, GOOD)
    plan = '{"stages": [{"quota": 2, "alarms": ["errors"], "gate": "manual"}], "preflight": [{}], "deadline": "2d"}'
    found = here.json("backtest", plan, "--app", "transformer")
    assert found["releases"][0]["would"]["decision"] == "UNDECIDED"
    assert found["assumptions"][2:] == [
        "the preflight is left out",
        "its alarms are taken to be OK, since how they stood is not on record",
        "what a person would have said at a manual gate is not known, so a release that comes there is undecided",
    ]


@pytest.mark.usefixtures("wide")
def test_releases_that_got_no_request_are_listed_as_left_out(here):
    here.app()
    ended(here, "v2", GOOD, GOOD)
    here.write("latest", here.parameter("current"))
    here.flip()
    told = words(here.canary("backtest", "two-requests", "--app", "transformer").stdout)
    assert "left out" in told
    assert "no request went to latest (REJECTED: it is the current stack already" in told
    found = here.json("backtest", "two-requests", "--app", "transformer")
    assert [(one["state"], one["why"]) for one in found["left_out"]] == [("REJECTED", "no request went to latest")]
    assert found["summary"]["left_out"] == 1


def test_only_the_newest_so_many(here, two_releases):
    found = here.json("backtest", "two-requests", "--app", "transformer", "--releases", "1")
    assert [one["release"] for one in found["releases"]] == [two_releases[1]]
    assert here.canary("backtest", "careful", "--app", "transformer", "--releases", "0").exit_code == 2


def test_nothing_is_written(here, two_releases):
    tables = {name: boto3.client("dynamodb", "eu-west-1").scan(TableName=name)["Items"] for name in ("releases", "audit")}
    here.canary("backtest", "careful", "--app", "transformer")
    assert tables == {name: boto3.client("dynamodb", "eu-west-1").scan(TableName=name)["Items"] for name in ("releases", "audit")}
    assert two_releases


def test_without_a_past_it_is_not_possible_and_it_says_what_is(here):
    missing = here.json("backtest", "careful", "--app", "nowhere", exit_code=1)
    assert missing["error"].startswith("there is no app 'nowhere'")
    here.app()
    none = here.json("backtest", "careful", "--app", "transformer", exit_code=1)
    assert none["error"].endswith("has had no release that has ended, so there is nothing to replay: see `canary simulate`")


def test_a_plan_that_is_refused_and_a_missing_app_are_wrong_usage(here):
    assert here.canary("backtest", '{"max_failures": 2}', "--app", "transformer").exit_code == 2
    assert here.canary("backtest", "careful").exit_code == 2
    assert here.canary("backtest", "carefull", "--app", "transformer").exit_code == 2


def test_a_table_that_does_not_answer_is_said(here, two_releases, monkeypatch):
    def unavailable(*_):
        raise Unavailable("DynamoDB", "Throttled", "later")

    monkeypatch.setattr("canary.aws.audit.AuditTable.of_release", unavailable)
    failed = here.json("backtest", "careful", "--app", "transformer", exit_code=1)
    assert failed["error"] == "DynamoDB: Throttled: later"
    assert two_releases
