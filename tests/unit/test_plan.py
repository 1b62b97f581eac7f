"""Plans, and the document that they are written in."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canary.domain.plan import Fallback, InvalidPlan, Plan, Stage, parse_plan, plan_document, plan_from
from tests.strategies import plans


@settings(max_examples=60)
@given(plans())
def test_every_plan_is_read_back_from_its_document(plan):
    assert plan_from(json.loads(json.dumps(plan_document(plan)))) == plan


@pytest.mark.parametrize("text", [None, "", " \n"])
def test_without_a_plan_two_requests_prove_a_release(text):
    plan = parse_plan(text)
    assert (plan.stages, plan.max_failures, plan.max_lost, plan.deadline_ms) == ((Stage(quota=2, weight=50),), 0, 2, 86_400_000)
    assert (plan.fallback, plan.latest_timeout_ms, plan.transform_id) == (Fallback.ALWAYS, 10_000, None)


def test_a_plan_of_several_stages_counts_its_quota_up():
    plan = parse_plan('{"stages": [{"quota": 1}, {"quota": 5, "bake": "10m"}, {"quota": 10, "weight": 100}]}')
    assert [plan.quota_through(stage) for stage in range(3)] == [1, 6, 16] == [1, 6, plan.quota]
    assert plan.stages[1] == Stage(quota=5, weight=50, bake_ms=600_000)


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("1500ms", 1500), ("90s", 90_000), ("30m", 1_800_000), ("24h", 86_400_000), ("2d", 172_800_000), ("5 m", 300_000)],
)
def test_a_duration_is_a_number_and_a_unit(text, milliseconds):
    assert parse_plan(json.dumps({"deadline": text})).deadline_ms == milliseconds


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ([], "the plan"),
        ("x", "the plan"),
        ({"stage": []}, "unknown key 'stage'"),
        ({"stages": []}, "stages"),
        ({"stages": {}}, "stages"),
        ({"stages": [{"quota": 1}] * 21}, "stages"),
        ({"stages": [7]}, "stages[0]"),
        ({"stages": [{"quota": 1}, {"weight": 5}]}, "stages[1].quota"),
        ({"stages": [{"quota": 0}]}, "stages[0].quota"),
        ({"stages": [{"quota": 1.0}]}, "stages[0].quota"),
        ({"stages": [{"quota": True}]}, "stages[0].quota"),
        ({"stages": [{"quota": "2"}]}, "stages[0].quota"),
        ({"stages": [{"quota": 100_001}]}, "stages[0].quota"),
        ({"stages": [{"quota": 1, "weight": 0}]}, "stages[0].weight"),
        ({"stages": [{"quota": 1, "weight": 101}]}, "stages[0].weight"),
        ({"stages": [{"quota": 1, "bake": 5}]}, "stages[0].bake"),
        ({"stages": [{"quota": 1, "bake": "5"}]}, "stages[0].bake"),
        ({"stages": [{"quota": 1, "bake": "31d"}]}, "stages[0].bake"),
        ({"stages": [{"quota": 1, "bakes": "5s"}]}, "stages[0]"),
        ({"max_failures": -1}, "max_failures"),
        ({"max_failures": None}, "max_failures"),
        ({"max_failures": 2}, "max_failures"),
        ({"max_lost": -1}, "max_lost"),
        ({"deadline": "0s"}, "deadline"),
        ({"deadline": "31d"}, "deadline"),
        ({"deadline": "soon"}, "deadline"),
        ({"deadline": "1h", "stages": [{"quota": 1, "bake": "30m"}] * 2}, "deadline"),
        ({"latest_timeout": "50ms"}, "latest_timeout"),
        ({"latest_timeout": "21s"}, "latest_timeout"),
        ({"fallback": "never"}, "fallback"),
        ({"fallback": []}, "fallback"),
        ({"transform_id": ""}, "transform_id"),
        ({"transform_id": 7}, "transform_id"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_with_the_place(document, place):
    with pytest.raises(InvalidPlan) as refusal:
        plan_from(document)
    assert place in str(refusal.value)


@pytest.mark.parametrize(
    "text", ["{", "nonsense", "[" * 4000, '{"deadline": "' + "9" * 5000 + 's"}', '{"max_failures": ' + "9" * 5000 + "}"]
)
def test_a_text_that_is_no_plan_is_refused_and_does_no_harm(text):
    with pytest.raises(InvalidPlan):
        parse_plan(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["1s", "24h", "always"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["quota", "weight", "bake", "deadline", "fallback", "max_lost"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(["stages", "max_failures", "max_lost", "deadline", "fallback", "latest_timeout"]), json_values
    )
)
def test_whatever_the_document_it_is_a_plan_that_can_pass_or_it_is_refused(document):
    try:
        plan = plan_from(document)
    except InvalidPlan:
        return
    assert plan_from(plan_document(plan)) == plan
    assert 0 <= plan.max_failures < plan.quota


def test_the_plan_that_a_plan_is_written_as_can_be_read_at_its_largest():
    largest = Plan(stages=(Stage(quota=100_000),) * 20)
    assert plan_from(plan_document(largest)) == largest
