"""Whatever stands in the parameters: the release is refused where everybody sees it, and nobody upstream notices."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from canary.aws.transform_id import expression_problem
from canary.domain.plan import InvalidPlan
from canary.domain.plan_document import parse_plan
from canary.domain.states import ReleaseState
from canary.domain.target import InvalidTarget, is_blank, parse_pointer
from canary.routing.problem import Problem
from tests.fakes.scene import APP, Scene, arn
from tests.fuzz.installation import on_trial, state
from tests.fuzz.rubbish import nested, parameters, plans, texts, tries

#: jmespath takes a text between backticks that is no JSON, and warns.
pytestmark = pytest.mark.filterwarnings("ignore:deprecated string literal syntax:PendingDeprecationWarning")
BAD_TAG = json.dumps({"arn": arn("v2"), "tag": "\ud800\x1b[2J", "by": "\ud800", "commit": "\x00"})


def usable(scene, value):
    """Whether a value names a target that may be called."""
    try:
        return scene.allowed.refusal(parse_pointer(value).target) is None
    except InvalidTarget:
        return False


def plain(text):
    """Whether a text can be kept in a table and shown on a terminal."""
    return text is None or (text.isprintable() and len(text) <= 4_096)


@tries(300)
@given(parameters | texts)
@example(BAD_TAG)
def test_a_value_names_a_target_or_is_refused_with_what_to_write_instead(value):
    try:
        pointer = parse_pointer(value)
    except InvalidTarget as refusal:
        said = str(refusal)
    else:
        said = None
    if said is not None:
        assert said
        assert plain(said)
        assert len(said) < 500
        return
    assert pointer.value == value
    assert pointer.target.arn.isascii()
    assert pointer.tag
    assert all(map(plain, (pointer.tag, pointer.commit, pointer.by)))


@tries(120)
@given(parameters)
@example(BAD_TAG)
@example("\x1b[2J")
@example('{"arn": ' + nested("1", 2_000) + "}")
@example(json.dumps({"arn": arn("v2"), "tag": "x" * 5_000}))
def test_whatever_is_written_to_latest_nobody_upstream_notices_and_a_refusal_says_why(value):
    scene = Scene()
    scene.write_latest(value)
    assert scene.send().body["routed_to"] == "current"
    for _ in range(2):
        assert [(done.app, done.result) for done in scene.flip()] == [(APP, "done")]
    assert [version.value for version in scene.parameters.versions[APP, "current"]] == [arn("v1")], "current is as it was"
    if is_blank(value):
        assert scene.all_releases() == []
        return
    release = scene.only_release()
    assert all(map(plain, (release.tag, release.target, release.by, release.commit, release.refusal)))
    if usable(scene, value) and parse_pointer(value).target.arn != arn("v1") and len(value) <= 4_096:
        assert release.state is ReleaseState.RUNNING
        return
    assert (release.state, scene.parameter("latest")) == (ReleaseState.REJECTED, "NONE")
    assert release.refusal
    assert scene.releases.items[APP].quarantine == {}
    assert scene.send().body["routed_to"] == "current"
    assert {name for name, _ in scene.stacks.sent} == {"transformer-v1"}


@tries(80)
@given(parameters)
@example(BAD_TAG)
def test_whatever_stands_in_current_requests_are_served_or_told_that_there_is_nothing_to_route_to(value):
    scene = on_trial()
    scene.parameters.put(APP, "current", value)
    try:
        reply = scene.send(scene.desk(draw=0.99))
    except Problem as problem:
        status, reply = problem.status, None
    else:
        status = reply.status
    if reply is None:
        assert (status, usable(scene, value)) == (503, False)
    else:
        wanted = parse_pointer(value).target.name if usable(scene, value) else "transformer-v1"  # the mirror
        assert [name for name, _ in scene.stacks.sent] == [wanted]
        json.dumps(reply.body, ensure_ascii=False).encode()
    versions = list(scene.parameters.versions[APP, "current"])
    for _ in range(2):
        assert [done.result for done in scene.flip()] == ["done"]
    assert scene.parameters.versions[APP, "current"] == versions, "somebody else wrote it: it is not ours to mend"


@tries(60)
@given(parameters)
def test_whatever_stands_in_previous_a_release_goes_on_and_promotes(value):
    scene = on_trial()
    scene.parameters.put(APP, "previous", value)
    scene.spend()
    scene.end_workflows()
    for _ in range(3):
        assert [done.result for done in scene.flip()] == ["done"]
    assert (scene.parameter("current"), scene.parameter("previous")) == (arn("v2"), arn("v1"))


@tries(60)
@given(parameters)
def test_whatever_is_written_to_latest_during_a_release_current_is_one_of_the_two(value):
    scene = on_trial()
    scene.send()
    scene.write_latest(value)
    for _ in range(3):
        assert [done.result for done in scene.flip()] == ["done"]
    assert scene.parameter("current") == arn("v1")
    first = scene.all_releases()[0]
    assert first.state in {ReleaseState.SUPERSEDED, ReleaseState.ABORTED}
    assert not any(entry for entry in scene.releases.items[APP].quarantine), "a withdrawn or superseded stack stays welcome"


@tries(250)
@given(plans)
@example('{"stages": [{"quota": 1, "quota": 2}]}')
@example('{"max_failures": NaN}')
@example('{"max_failures": ' + "9" * 4_000 + "}")
@example(nested("1", 4_000))
@example('{"preflight": [' + nested("1", 900) + "]}")
def test_a_plan_is_one_or_it_is_refused_with_its_place_and_a_cure(text):
    try:
        parse_plan(text)
    except InvalidPlan as refusal:
        said = str(refusal)
        assert re.match(r"(the plan|[a-z_]+(\[\d+\])?(\.[a-z_]+)*(\[\d+\])?): ", said), said
        assert len(said) < 600
        assert said.isprintable()


@tries(100)
@given(plans)
@example('{"transform_id": "' + "(" * 2_000 + '"}')
@example('{"transform_id": "' + "!" * 3_000 + 'a"}')
@example('{"transform_id": "a[::0]"}')
def test_whatever_stands_in_plan_current_serves_and_a_release_opens_or_is_refused(text):
    scene = Scene(plan=text)
    assert scene.send().body["routed_to"] == "current"
    scene.write_latest(arn("v2"))
    for _ in range(2):
        assert [(done.app, done.result) for done in scene.flip()] == [(APP, "done")]
    release = scene.only_release()
    try:
        plan = parse_plan(text)
    except InvalidPlan as refusal:
        plan, said = None, str(refusal)
    else:
        said = ""
    if plan is None:
        assert (release.state, scene.parameter("latest")) == (ReleaseState.REJECTED, "NONE")
        assert said in (release.refusal or "")
    else:
        unusable = expression_problem(plan.transform_id)
        assert (release.state is ReleaseState.REJECTED) == bool(release.refusal)
        assert unusable is None or release.refusal == unusable
    assert scene.send().status in {200, 202}
    assert scene.parameter("current") == arn("v1")


@tries(60)
@given(plans)
def test_a_plan_that_is_edited_changes_no_release_that_runs(text):
    scene = on_trial()
    before = scene.only_release()
    scene.parameters.put(APP, "plan", text)
    assert [done.result for done in scene.flip()] == ["done"]
    assert scene.only_release() == before


@tries(40)
@given(st.sampled_from(["current", "latest", "previous", "plan", "other", ""]), parameters)
def test_what_is_written_for_one_app_changes_nothing_of_another(name, value):
    scene = on_trial()
    scene.send()
    scene.flip()
    before = state(scene)
    scene.parameters.put("zeta", name, value)
    for _ in range(2):
        assert {done.result for done in scene.flip()} == {"done"}
    after = state(scene)
    for part in ("parameters", "releases", "rows"):
        mine = {key: held for key, held in after[part].items() if "zeta" not in (key if isinstance(key, tuple) else (key,))}
        assert mine == before[part]


@pytest.mark.parametrize("name", ["current", "latest", "plan"])
def test_a_parameter_that_is_gone_is_as_good_as_blank(name):
    scene = on_trial()
    scene.parameters.versions.pop((APP, name), None)
    assert scene.send().body["routed_to"] in {"current", "latest"} if name != "current" else True
    assert [done.result for done in scene.flip()] == ["done"]
