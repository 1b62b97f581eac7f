"""`canary retry`, `stop-all` and `start-all`."""

import json

from canary.aws.releases import ReleaseTable
from canary.domain.audit import Status
from canary.domain.states import Gate, ReleaseState
from canary.errors import Unavailable


def failed(here, version):
    release = here.release(version)
    here.serve(release, Status.FAILED)
    here.flip()
    return release, json.loads(here.item(release).value)["arn"]


def test_retry_lifts_the_quarantine_and_says_how_to_release_again(here):
    here.app()
    _release, arn = failed(here, "v2")
    done = here.canary("retry", "transformer")
    assert done.exit_code == 0
    assert f"Next: canary release transformer --arn {arn} --tag v2" in done.stdout
    assert not here.releases().app("transformer").quarantine
    refused = here.json("retry", "transformer", exit_code=1)
    assert "no stack of 'transformer' is in quarantine" in refused["error"]


def test_retry_release_writes_what_was_written_the_first_time(here):
    here.app()
    release, arn = failed(here, "v2")
    value = here.item(release).value
    document = here.json("retry", "transformer", arn, "--release")
    assert document["quarantined_by"] == release
    assert here.parameter("latest") == value
    assert here.item(document["release"]).state is ReleaseState.RUNNING


def test_retry_lists_the_stacks_when_it_cannot_know_which(here):
    here.app()
    arns = {failed(here, version)[1] for version in ("v2", "v3")}
    listed = here.canary("retry", "transformer")
    assert listed.exit_code == 2
    assert set(listed.stdout.splitlines()) == {f"canary retry transformer {arn}" for arn in arns}
    assert {one["target"] for one in here.json("retry", "transformer", exit_code=2)["quarantine"]} == arns
    assert here.canary("retry", "transformer", min(arns)).exit_code == 0
    refused = here.canary("retry", "transformer", min(arns))
    assert refused.exit_code == 1
    assert "is not in quarantine" in refused.stderr


def test_stop_all_closes_every_gate_and_start_all_opens_those_that_it_closed(here):
    here.app()
    here.app("reports", "v8")
    running = here.release("v2")
    others = here.release("v9", "reports")
    here.json("pause", "reports")
    done = here.json("stop-all", "--reason", "corrupt data")
    assert done == {"apps": [{"app": "reports", "result": "stopped"}, {"app": "transformer", "result": "stopped"}]}
    assert here.item(running).gate is Gate.CLOSED
    assert here.releases().app("transformer").stopped.why == "corrupt data"
    assert "ALL STOPPED" in here.canary("status", "transformer").stdout
    assert here.canary("resume", "reports").exit_code == 1
    assert "transformer: started" in here.canary("start-all").stdout
    assert here.item(running).gate is Gate.OPEN
    assert here.item(others, "reports").gate is Gate.CLOSED, "it was paused before"


def test_a_release_that_opens_while_all_is_stopped_opens_with_its_gate_closed(here):
    here.app()
    here.canary("stop-all")
    release = here.release()
    assert here.item(release).state is ReleaseState.RUNNING
    assert here.item(release).gate is Gate.CLOSED


def test_a_gate_that_was_closed_already_is_not_opened_by_a_flipper_that_has_not_seen_the_switch(here):
    here.app()
    release = here.release()
    here.canary("pause", "transformer")
    seen_before = here.item(release)
    here.canary("stop-all")
    about_to_open = seen_before.moved(ReleaseState.RUNNING, now=seen_before.since + 1, why="resume", gate=Gate.OPEN)
    assert not here.releases().save(seen_before, about_to_open)
    assert here.item(release).gate is Gate.CLOSED


def test_an_app_that_fails_does_not_keep_the_others_from_being_stopped(here, monkeypatch):
    here.app("reports", "v8")
    here.app()
    release = here.release("v2")
    save_app = ReleaseTable.save_app

    def fails_for_reports(table, before, after):
        if before.app == "reports":
            raise Unavailable("DynamoDB", "Throttling", "later")
        return save_app(table, before, after)

    monkeypatch.setattr(ReleaseTable, "save_app", fails_for_reports)
    done = here.canary("stop-all")
    assert done.exit_code == 1
    assert "reports: failed: DynamoDB: Throttling: later" in done.stdout
    assert "transformer: stopped" in done.stdout
    assert here.item(release).gate is Gate.CLOSED


def test_all_is_stopped_even_while_ssm_does_not_answer(here, monkeypatch):
    here.app()
    release = here.release("v2")

    def no_answer(*_):
        raise Unavailable("SSM", "Throttling", "later")

    monkeypatch.setattr("canary.aws.parameters.ParameterStore.apps", no_answer)
    assert here.canary("stop-all").exit_code == 0
    assert here.item(release).gate is Gate.CLOSED
