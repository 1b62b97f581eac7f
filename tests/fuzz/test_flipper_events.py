"""Whatever wakes the flipper, and however often: the result is that of the schedule."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from canary.domain.states import ReleaseState
from tests.fakes.scene import APP, Scene, arn
from tests.fuzz.installation import on_trial, state
from tests.fuzz.rubbish import texts, tries, values, words

NAMES = ["schedule", "parameter-store-change", "step-functions-status-change", "step-functions-status-change-failed"]


@st.composite
def spoilt(draw, document):
    """A document in which something is missing, of another kind, or somebody else's."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 4))):
        place = document
        while (inner := [value for value in place.values() if isinstance(value, dict) and value]) and draw(st.booleans()):
            place = draw(st.sampled_from(inner))
        if not place:
            break
        key = draw(st.sampled_from(sorted(place)))
        if draw(st.booleans()):
            del place[key]
        else:
            place[key] = draw(values)
    return document


#: Names of parameters and executions, ours and other people's.
hints = st.one_of(
    words,
    st.sampled_from(["transformer", "/canary/transformer/latest", "/canary/other/latest", "/other/transformer/latest",
    "/canary/../x/latest"]),
    st.builds("/canary/{}/{}".format, words, st.sampled_from(["current", "latest", "previous", "plan", ""])),
)  # fmt: skip
foreign = st.builds(
    lambda word, detail: {"app": word, "detail": detail}, hints | values, st.builds(lambda n: {"name": n}, hints) | values
)


def rest(scene):
    """What there is, but for when it came about: a pass more takes time."""
    return {name: [part for part in held if name != "apps"] for name, held in state(scene).items()} | {
        "releases": [(release.target, release.state, release.granted, release.claimed) for release in scene.all_releases()],
        "values": [scene.parameter(name) for name in ("current", "latest", "previous", "plan")],
    }


@pytest.fixture
def passed(woken):
    """Wake the flipper; what it says must be JSON, since the command line reads it."""

    def wake(scene: Scene, event):
        said = json.loads(json.dumps(woken(scene, event)))
        assert said.keys() == {"passes"}
        assert all(done["result"] in {"done", "busy"} for done in said["passes"]), said
        return said

    return wake


def opened() -> Scene:
    """A write to latest that no pass has seen."""
    scene = Scene()
    scene.write_latest(arn("v2"))
    return scene


@tries(120)
@given(st.data())
def test_any_event_brings_what_the_schedule_brings(passed, load_event, data):
    kind = st.sampled_from(NAMES).flatmap(lambda name: st.just(load_event(name)) | spoilt(load_event(name)))
    event = data.draw(kind | foreign | values)
    woken_by_it, woken_by_the_schedule = opened(), opened()
    passed(woken_by_it, event)
    passed(woken_by_the_schedule, load_event("schedule"))
    assert rest(woken_by_it) == rest(woken_by_the_schedule)
    assert woken_by_it.only_release().state is ReleaseState.RUNNING


@tries(60)
@given(st.data())
@example(None)
def test_an_event_that_tells_of_nothing_changes_nothing_however_often_it_comes(passed, load_event, data):
    event = (
        {}
        if data is None
        else data.draw(foreign | values | st.sampled_from(NAMES).flatmap(lambda name: spoilt(load_event(name))))
    )
    scene = on_trial()
    scene.send()
    scene.flip()
    before = state(scene)
    for _ in range(3):
        passed(scene, event)
    assert state(scene) == before


@tries(40)
@given(st.permutations([*NAMES, *NAMES]), st.integers(1, 8))
def test_events_twice_and_in_any_order_promote_what_has_succeeded_once(passed, load_event, names, count):
    scene = on_trial()
    scene.spend()
    scene.end_workflows()
    for name in names[:count]:
        passed(scene, load_event(name))
    assert (scene.parameter("current"), scene.parameter("previous"), scene.parameter("latest")) == (arn("v2"), arn("v1"), "NONE")
    assert [version.value for version in scene.parameters.versions[APP, "current"]] == [arn("v1"), arn("v2")]
    assert scene.only_release().state is ReleaseState.PROMOTED


@tries(60)
@given(texts)
def test_an_event_that_is_only_text_is_none_of_ours(passed, text):
    scene = on_trial()
    before = state(scene)
    passed(scene, text)
    assert state(scene) == before
