"""Where a transform id is found."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.aws.transform_id import expression_problem, find_transform_id

ARN = "arn:aws:states:eu-west-1:123456789012:execution:m:e"
NAMES = ("executionArn", "execution_arn", "transformId", "transform_id")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*NAMES, "body", "x"]) | st.text(), inner, max_size=4)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", [lambda d: d, lambda d: {"body": d}, lambda d: {"body": json.dumps(d)}])
def test_it_is_found_at_the_top_level_in_a_body_and_in_a_body_of_json_text(name, place):
    assert find_transform_id(place({name: ARN, "lines": 3}), None) == ARN


def test_of_several_names_the_first_counts_and_the_top_level_before_the_body():
    answer = {"transform_id": "4", "transformId": "3", "execution_arn": "2", "executionArn": "1", "body": {"executionArn": "5"}}
    assert find_transform_id(answer, None) == "1"
    del answer["executionArn"]
    assert find_transform_id(answer, None) == "2"


@pytest.mark.parametrize(
    "nothing", [None, "", 7, [ARN], {"executionArn": ""}, {"executionArn": 5}, {"body": "x"}, {"body": None}, ARN]
)
def test_where_there_is_none_none_is_found(nothing):
    assert find_transform_id(nothing, None) is None


def test_a_body_that_is_nested_without_end_holds_none():
    assert find_transform_id({"body": "[" * 100_000}, None) is None


def test_an_expression_says_where_it_is_and_nowhere_else():
    assert find_transform_id({"result": {"jobs": [{"arn": ARN}]}, "executionArn": "other"}, "result.jobs[0].arn") == ARN
    assert find_transform_id({"executionArn": ARN}, "result.jobs[0].arn") is None


@pytest.mark.parametrize("expression", ["[[[", "length(nowhere)", "no_such_function(@)", "a b"])
def test_an_expression_that_cannot_be_used_fails_nobodys_request_and_the_usual_places_count(expression):
    assert find_transform_id({"executionArn": ARN}, expression) == ARN


@given(answer=json_values, expression=st.none() | st.text(max_size=12) | st.sampled_from(["a.b", "[0]", "length(@)", "keys(@)"]))
def test_whatever_a_target_answers_and_a_plan_says_nothing_is_raised(answer, expression):
    found = find_transform_id(answer, expression)
    assert found is None or found != ""


def test_an_expression_that_can_be_used_has_no_problem():
    assert expression_problem(None) is None
    assert expression_problem("result.executionArn") is None


@pytest.mark.parametrize("expression", ["[[[", "a b", "'open"])
def test_an_expression_that_cannot_be_read_has_one_that_names_it(expression):
    problem = expression_problem(expression)
    assert problem is not None
    assert repr(expression) in problem
    assert "\n" not in problem
