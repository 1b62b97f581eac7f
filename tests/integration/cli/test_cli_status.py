"""`canary status` and `canary releases`."""

import json

import pytest

from canary.aws.parameters import ParameterStore
from canary.aws.releases import ReleaseTable
from canary.cli.verb import Session
from canary.domain.audit import Status
from canary.errors import Unavailable


def test_status_shows_who_is_current_what_is_on_trial_and_how_it_stands(here):
    current = here.app()
    release = here.release()
    here.serve(release, Status.SUCCEEDED, Status.RUNNING)
    here.flip()
    shown = here.canary("status", "transformer")
    assert shown.exit_code == 0
    words = " ".join(shown.stdout.split())
    assert current.rsplit(":", 1)[1] in words
    for sentence in (
        f"release {release} of v2 by user/moto",
        "s: 2 slots granted stage 1 of 1: 2 requests at 50 %",
        "slots 2 granted, 2 claimed, 0 free; gate OPEN",
        "outcomes 1 succeeded, 0 failed, 0 lost, 1 in flight",
        "verdict WAIT: 1 of 2 succeeded, 1 running",
        "proof 2 of 2: at 95 % only failure rates above 77.6 % are excluded",
        "deadline in 1 d (",
        "previous blank",
    ):
        assert sentence in words
    assert max(map(len, shown.stdout.splitlines())) <= 80


def test_status_as_json_has_the_release_and_the_parameters(here):
    here.app()
    release = here.release()
    here.serve(release, Status.SUCCEEDED)
    here.flip()
    document = here.json("status", "transformer")
    assert document["current"]["tag"] == "transformer-v1"
    assert document["latest"]["tag"] == "v2"
    assert document["release"]["release"] == release
    assert document["release"]["slots"] == {"granted": 2, "claimed": 1, "free": 1, "in_flight": 0}
    assert document["release"]["outcomes"]["succeeded"] == 1
    assert document["release"]["verdict"] == "WAIT: 1 of 2 succeeded, 1 slot free"
    assert document["release"]["gate"] == "OPEN"
    assert document["mirror"] == here.parameter("current")


def test_status_of_a_failed_release_says_why_and_what_to_do(here):
    here.app()
    release = here.release()
    here.serve(release, Status.FAILED)
    here.flip()
    words = " ".join(here.canary("status", "transformer").stdout.split())
    assert "state ABORTED" in words
    assert f"next canary audit transformer --release {release}; canary retry transformer arn:" in words
    assert "quarantine v2, " in words


def test_status_offers_a_retry_only_of_what_is_in_quarantine_and_a_rollback_only_of_the_last_promotion(here):
    here.app()
    release = here.release()
    here.serve(release, Status.SUCCEEDED, Status.SUCCEEDED)
    here.flip()
    assert "next canary rollback transformer" in " ".join(here.canary("status", "transformer").stdout.split())
    withdrawn = here.release("v3")
    here.write("latest", "NONE")
    here.flip()
    shown = here.canary("status", "transformer", "--release", withdrawn)
    assert "withdrawn" in shown.stdout
    assert " next " not in shown.stdout


def test_status_shows_the_running_release_even_while_the_list_of_releases_is_behind(here, monkeypatch):
    here.app()
    release = here.release()
    monkeypatch.setattr(ReleaseTable, "recent", lambda *_: ())
    assert here.json("status", "transformer")["release"]["release"] == release


def test_status_names_the_apps_when_there_is_no_such_one(here):
    here.app()
    refused = here.canary("status", "transfromer")
    assert refused.exit_code == 1
    assert "there is no app 'transfromer'; there are transformer" in refused.stderr
    refused = here.canary("status", "transformer", "--release", "00000099-00000000")
    assert refused.exit_code == 1
    assert "has no release 00000099-00000000" in refused.stderr


def test_status_without_an_app_has_a_line_for_each(here):
    assert "there are no apps yet" in here.canary("status").stdout
    here.app()
    here.app("reports", "v7")
    here.release("v2")
    shown = here.canary("status")
    assert [line.split()[0] for line in shown.stdout.splitlines()[1:3]] == ["reports", "transformer"]
    assert "RUNNING" in shown.stdout
    assert [one["app"] for one in here.json("status")["apps"]] == ["reports", "transformer"]


def test_status_still_tells_the_mirror_when_ssm_does_not_answer(here, monkeypatch):
    current = here.app()
    here.release()
    monkeypatch.setattr(ParameterStore, "read", lambda *_: (_ for _ in ()).throw(Unavailable("SSM", "Throttled", "later")))
    words = here.canary("status", "transformer")
    assert words.exit_code == 0
    assert "cannot be read" in words.stdout
    assert f"serves meanwhile: {current}" in " ".join(words.stdout.split())


def test_watch_without_a_terminal_prints_a_line_for_each_change_and_ends_with_the_release(here, while_waiting):
    here.app()
    release = here.release()
    looks = iter(range(9))

    def now_and_then_something_happens():
        if next(looks) == 2:
            here.serve(release, Status.SUCCEEDED, Status.SUCCEEDED)
            here.flip()

    while_waiting(now_and_then_something_happens)
    watched = here.canary("status", "transformer", "--release", release, "--watch")
    assert watched.exit_code == 0
    running, promoted = watched.stdout.splitlines()
    assert running == (
        f"transformer: current transformer-v1; {release} (v2) RUNNING; 0 of 2 slots claimed, gate OPEN; "
        "0 succeeded, 0 failed, 0 lost"
    )
    assert promoted.startswith(f"transformer: current v2; {release} (v2) PROMOTED")


def test_watch_ends_quietly_with_ctrl_c(here, while_waiting):
    here.app()

    def ctrl_c():
        raise KeyboardInterrupt

    while_waiting(ctrl_c)
    watched = here.canary("status", "transformer", "--watch", "--json")
    assert watched.exit_code == 0
    assert json.loads(watched.stdout)["app"] == "transformer"


def test_watch_redraws_on_a_terminal(here, while_waiting, monkeypatch):
    here.app()
    release = here.release()
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "xterm")

    def it_is_aborted():
        here.canary("abort", "transformer", "--yes")

    while_waiting(it_is_aborted)
    watched = here.canary("status", "transformer", "--release", release, "--watch")
    assert watched.exit_code == 0
    assert "\x1b[" in watched.stdout
    assert "ABORTED" in watched.stdout


def test_releases_are_listed_newest_first_with_how_they_ended(here):
    here.app()
    assert "has had no release yet" in here.canary("releases", "transformer").stdout
    failed = here.release("v2")
    here.serve(failed, Status.FAILED)
    here.flip()
    running = here.release("v3")
    shown = here.canary("releases", "transformer")
    first, *_ = [line for line in shown.stdout.splitlines() if running in line or failed in line]
    assert running in first
    assert "0/1/0" in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80
    document = here.json("releases", "transformer", "--limit", "1")
    assert [one["release"] for one in document["releases"]] == [running]


@pytest.mark.parametrize("verb", ["status", "releases", "audit", "pause", "retry"])
def test_an_aws_error_is_a_sentence_and_a_traceback_only_with_debug(here, monkeypatch, verb):
    here.app()
    monkeypatch.setenv("CANARY_RELEASES_TABLE", "elsewhere")
    refused = here.canary(verb, "transformer")
    assert refused.exit_code == 1
    assert refused.stderr.startswith("Error: DynamoDB: ResourceNotFoundException")
    assert "Traceback" not in refused.output
    with pytest.raises(Exception, match="ResourceNotFoundException"):
        here.canary(verb, "transformer", "--debug")


def test_a_session_is_at_a_terminal_only_when_somebody_can_answer(monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    assert Session(as_json=False, stack_name="x", region=None).asks
    assert not Session(as_json=True, stack_name="x", region=None).asks
