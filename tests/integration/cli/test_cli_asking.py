"""`canary pause`, `resume`, `promote`, `abort` and `rollback`."""

from dataclasses import replace

import pytest

from canary import bootstrap
from canary.cli import asking
from canary.domain.asks import RETURN_MS
from canary.domain.audit import Status
from canary.domain.release import Verb
from canary.domain.states import Gate, ReleaseState

BAKING = {"stages": [{"quota": 1, "bake": "1h"}, {"quota": 1}]}


@pytest.fixture
def promoted(here):
    here.app()
    release = here.release()
    here.serve(release, Status.SUCCEEDED, Status.SUCCEEDED)
    here.flip()
    assert here.item(release).state is ReleaseState.PROMOTED
    return release


def test_pause_and_resume_go_on_record_with_who_and_why(here):
    here.app()
    release = here.release()
    paused = here.canary("pause", "transformer", "--reason", "an incident")
    assert paused.exit_code == 0
    assert f"release {release} (v2) is PAUSED: pause by user/moto: an incident" in paused.stdout
    assert here.item(release).gate is Gate.CLOSED
    resumed = here.json("resume", "transformer")
    assert resumed == {
        "verb": "resume",
        "result": "DONE",
        "why": "resume by user/moto: no reason given",
        "app": "transformer",
        "release": release,
        "tag": "v2",
        "state": "RUNNING",
        "gate": "OPEN",
        "reason": "resume by user/moto: no reason given",
    }


def test_what_is_refused_ends_with_1_and_says_why(here):
    here.app()
    here.release()
    refused = here.canary("resume", "transformer")
    assert refused.exit_code == 1
    assert "resume refused: it is running already" in refused.stdout


@pytest.mark.parametrize("verb", ["pause", "resume", "promote", "abort", "rollback"])
def test_without_a_release_there_is_nothing_to_ask_of(here, verb):
    here.app()
    refused = here.canary(verb, "transformer")
    assert refused.exit_code == 1
    assert "nothing of 'transformer' was promoted" in refused.stderr or "no release of 'transformer' is running" in refused.stderr


@pytest.mark.parametrize("verb", ["promote", "abort"])
def test_without_a_terminal_a_verb_that_asks_wants_yes(here, verb):
    here.app()
    release = here.release()
    refused = here.canary(verb, "transformer")
    assert refused.exit_code == 2
    assert "say --yes" in refused.stderr
    assert not here.item(release).asks


def test_abort_asks_first_and_a_no_changes_nothing(here, at_a_terminal):
    here.app()
    release = here.release()
    assert here.canary("abort", "transformer", input="n\n").exit_code == 1
    assert here.item(release).state is ReleaseState.RUNNING
    done = here.canary("abort", "transformer", input="y\nwrong totals\n")
    assert done.exit_code == 0
    assert "Why?" in done.stderr
    assert here.item(release).state is ReleaseState.ABORTED
    assert here.item(release).reason == "abort by user/moto: wrong totals"
    assert here.parameter("latest") == "NONE"


def test_the_gate_is_closed_at_once_even_when_the_flipper_does_not_answer(here):
    here.app()
    release = here.release()
    here.flipper_answers = False
    done = here.canary("abort", "transformer", "--yes", "--json")
    assert done.exit_code == 3
    assert '"result": "PENDING"' in done.stdout
    assert here.item(release).gate is Gate.CLOSED
    assert "its schedule wakes it" in done.stderr


def test_what_the_flipper_has_not_come_to_ends_with_3_and_says_what_holds_meanwhile(here):
    here.app()
    here.release()
    here.flipper_answers = False
    done = here.canary("pause", "transformer")
    assert done.exit_code == 3
    assert "pause is on record; its gate is CLOSED; the flipper has not carried it out yet" in done.stdout


def test_promote_leaves_out_the_bake_but_not_the_proof(here):
    here.app(plan=BAKING)
    release = here.release()
    refused = here.canary("promote", "transformer", "--yes")
    assert refused.exit_code == 1
    assert "promote refused: promotion needs proof: 0 of 1 succeeded, 1 slot free" in refused.stdout
    here.serve(release, Status.SUCCEEDED)
    here.flip()
    assert here.item(release).stage == 0
    done = here.canary("promote", "transformer", "--yes", "--reason", "urgent")
    assert done.exit_code == 0
    assert "is RUNNING: stage 1 of 2 passed: 1 of 1 requests succeeded; promote by user/moto: urgent" in done.stdout
    here.serve(release, Status.SUCCEEDED)
    assert here.json("promote", "transformer", "--yes")["state"] == "PROMOTED"


def test_force_goes_past_the_proof_with_a_reason_and_never_without_a_success(here):
    here.app(plan={"preset": "careful"})
    release = here.release()
    silent = here.canary("promote", "transformer", "--force", "--yes")
    assert silent.exit_code == 2
    assert "--force goes past the proof, so it needs a --reason" in " ".join(silent.stderr.split())
    refused = here.canary("promote", "transformer", "--force", "--yes", "--reason", "urgent")
    assert refused.exit_code == 1
    assert "promote refused: nothing has succeeded on latest yet" in refused.stdout
    here.serve(release, Status.SUCCEEDED)
    assert "promotion needs proof" in here.canary("promote", "transformer", "--yes").stdout
    done = here.json("promote", "transformer", "--force", "--yes", "--reason", "urgent")
    assert (done["result"], done["state"]) == ("DONE", "WATCHING")
    assert "forced past stage 1 of 1 (WAIT: " in done["why"]
    assert done["why"].endswith("promote by user/moto: urgent")
    assert "transformer-v2" in here.parameter("current")
    explained = here.json("explain", "transformer")
    assert explained["agrees"]
    assert explained["records"][-1]["decision"].startswith("forced past stage 1 of 1")


def test_force_does_not_go_past_a_fail(here):
    here.app()
    release = here.release()
    here.serve(release, Status.SUCCEEDED, Status.FAILED)
    here.flipper_answers = False
    here.canary("promote", "transformer", "--force", "--yes", "--reason", "I know better")
    here.flip()
    assert here.item(release).state is ReleaseState.ABORTED
    whats = {change.what: change.why for change in here.item(release).history}
    assert whats["promote refused"] == "promotion needs proof: 1 of 2 finished requests failed (0 may)"


def test_at_a_terminal_force_asks_why_until_there_is_an_answer(here, at_a_terminal):
    here.app(plan={"preset": "careful"})
    release = here.release()
    here.serve(release, Status.SUCCEEDED)
    done = here.canary("promote", "transformer", "--force", input="y\n\nan hour has shown enough\n")
    assert done.exit_code == 0, done.output
    assert "past all that it has to prove?" in done.stderr
    assert "promote by user/moto: an hour has shown enough" in done.stdout


def test_rollback_makes_previous_current_again(here, promoted):
    assert here.parameter("current") != here.parameter("previous")
    before = here.parameter("previous")
    done = here.canary("rollback", "transformer", "--yes", "--reason", "it loses orders")
    assert done.exit_code == 0, done.output
    assert "is ROLLED_BACK: rollback by user/moto: it loses orders" in done.stdout
    assert here.parameter("current") == before


def test_a_rollback_is_taken_back_at_once(here, promoted, at_a_terminal):
    was = here.parameter("current")
    here.canary("rollback", "transformer", "--yes")
    done = here.canary("rollback", "transformer", input="y\nit was not the release\n")
    assert done.exit_code == 0, done.output
    assert f"{promoted} (v2, ROLLED_BACK) of transformer was taken back " in done.stderr
    assert " Make it current again?" in done.stderr
    assert "is PROMOTED: rollback by user/moto: it was not the release" in done.stdout
    assert here.parameter("current") == was
    assert here.releases().app("transformer").quarantine == {}
    assert here.canary("rollback", "transformer", "--yes").exit_code == 0
    assert here.item(promoted).state is ReleaseState.ROLLED_BACK


def test_after_three_days_it_is_released_anew_instead_and_says_so(here, promoted, at_a_terminal):
    value = here.parameter("current")
    here.canary("rollback", "transformer", "--yes")
    before = here.item(promoted)
    assert here.releases().save(before, replace(before, since=bootstrap.now() - RETURN_MS))
    assert here.canary("rollback", "transformer", input="n\n").exit_code == 1
    assert here.parameter("latest") == "NONE"
    done = here.canary("rollback", "transformer", input="y\n")
    assert done.exit_code == 0, done.output
    assert f"{promoted} (v2) was taken back 3 d ago" in done.stderr
    assert "so it has to prove itself anew" in done.stderr
    assert "Release v2 of transformer anew?" in done.stderr
    assert here.parameter("latest") == value
    (newest, *_) = here.releases().recent("transformer", 1)
    assert (newest.state, newest.tag) == (ReleaseState.RUNNING, "v2"), "its quarantine is lifted"
    assert f"transformer: release {newest.release} of v2. Next: canary status transformer" in done.stdout
    assert here.item(promoted).state is ReleaseState.ROLLED_BACK


def test_released_anew_as_json_it_names_the_new_release_and_needs_a_yes(here, promoted):
    here.canary("rollback", "transformer", "--yes")
    before = here.item(promoted)
    assert here.releases().save(before, replace(before, since=bootstrap.now() - RETURN_MS))
    assert here.canary("rollback", "transformer").exit_code == 2
    document = here.json("rollback", "transformer", "--yes")
    assert (document["result"], document["again"]) == ("RELEASED", promoted)
    assert here.item(document["release"]).state is ReleaseState.RUNNING


def test_who_means_to_roll_back_does_not_take_back_the_rollback_of_somebody_faster(here, promoted, at_a_terminal, monkeypatch):
    before = here.parameter("previous")

    def somebody_is_faster(*_, **__):
        here.operator().ask("transformer", Verb.ROLLBACK, "faster")
        here.flip()

    monkeypatch.setattr(asking, "_confirm", somebody_is_faster)
    refused = here.canary("rollback", "transformer", "--reason", "slower")
    assert refused.exit_code == 1
    assert f"release {promoted} is ROLLED_BACK by now, and was PROMOTED just before" in refused.stderr
    assert here.parameter("current") == before


def test_rollback_aborts_a_running_release_first_and_says_so(here, promoted):
    running = here.release("v3")
    done = here.canary("rollback", "transformer", "--yes")
    assert done.exit_code == 0
    assert f"release {running} (v3) is RUNNING: it is aborted first" in done.stderr
    assert here.item(running).state is ReleaseState.ABORTED
    assert here.item(promoted).state is ReleaseState.ROLLED_BACK


def test_only_the_last_promotion_is_taken_back(here, promoted):
    newer = here.release("v3")
    here.serve(newer, Status.SUCCEEDED, Status.SUCCEEDED)
    here.flip()
    refused = here.canary("rollback", "transformer", "--release", promoted, "--yes")
    assert refused.exit_code == 1
    assert f"that is {newer}, not {promoted}" in refused.stderr


def test_a_promoted_release_is_not_aborted_but_rolled_back(here, promoted):
    refused = here.canary("abort", "transformer", "--release", promoted, "--yes")
    assert refused.exit_code == 1
    assert "canary rollback transformer" in refused.stderr


def test_errors_are_json_too(here):
    here.app()
    refused = here.json("pause", "transformer", exit_code=1)
    assert refused == {"error": "no release of 'transformer' is running: see `canary releases transformer`", "exit_code": 1}
