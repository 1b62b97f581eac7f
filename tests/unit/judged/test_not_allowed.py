"""Permissions that are missing when a release opens: it opens with less, and says so wherever somebody looks."""

from __future__ import annotations

import pytest
from rich.console import Console

from canary.cli.show_status import status_view
from canary.domain.states import Gate, ReleaseState
from canary.errors import Denied
from canary.operating.reading import Overview
from tests.fakes.scene import APP, Scene, machine

NO = Denied("sfn", "AccessDeniedException", "states:ListExecutions")
WARNING = "current's history may not be read, so latest is compared with less: "
_S = ReleaseState


def opened(*denied: str, **plan: object) -> Scene:
    scene = Scene(plan={"stages": ["earned"], **plan}, current=machine("v1"))
    scene.ran_before(500, 2)
    scene.write_latest(machine("v2"))
    scene.calls.fail(NO, *denied)
    scene.flip()
    scene.calls.let_live()
    return scene


def test_the_release_opens_and_takes_requests():
    scene = opened("sfn.past")
    release = scene.only_release()
    assert (release.state, release.gate, release.granted, release.baseline.executions) == (_S.RUNNING, Gate.OPEN, 2, 0)
    assert scene.spend() == 2


def test_it_bears_a_warning_and_whoever_is_told_of_it_hears_that():
    scene = opened("sfn.past")
    assert (scene.only_release().warning or "").startswith(WARNING)
    assert "states:ListExecutions" in (scene.only_release().warning or "")
    assert "Release Opened" in [kind for _, kind in scene.notices.sent]


def test_the_status_shows_it():
    scene = opened("sfn.past")
    console = Console(width=300)
    with console.capture() as captured:
        console.print(
            status_view(Overview(app=APP, at=scene.clock(), item=scene.releases.items[APP], release=scene.only_release()))
        )
    assert WARNING in captured.get()


def test_a_target_that_is_mutable_besides_does_not_hide_it():
    scene = Scene(plan={"stages": ["earned"]}, current=machine("v1"))
    scene.ran_before(100, 0)
    scene.parameters.put(APP, "latest", "arn:aws:lambda:eu-west-1:123456789012:function:transformer-v2:$LATEST")
    scene.calls.fail(NO, "sfn.past")
    scene.flip()
    warning = scene.only_release().warning or ""
    assert WARNING in warning
    assert "mutable" in warning


def test_the_preflight_does_not_make_it_forgotten():
    scene = opened("sfn.past", preflight=[{}])
    scene.end_workflows()
    scene.flip()
    assert scene.only_release().state is _S.RUNNING
    assert (scene.only_release().warning or "").startswith(WARNING)


def test_without_a_need_for_the_history_nobody_asks_for_it():
    scene = opened("sfn.past", stages=[{"quota": 2}])
    assert (scene.only_release().warning, "sfn.past" in scene.calls.log) == (None, False)


def test_with_permission_there_is_nothing_to_warn_of():
    assert opened().only_release().warning is None


@pytest.mark.parametrize("denied", ["sfn.past", "sfn.failures"])
def test_it_goes_on_to_its_promotion_once_it_may_be_read(denied):
    scene = opened(denied, max_failure_rate=0.3)
    scene.behaves("v2")
    for _ in range(40):
        scene.spend()
        scene.flip()
    assert (scene.only_release().state, scene.parameter("current")) == (_S.PROMOTED, machine("v2"))
