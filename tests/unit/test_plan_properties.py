"""Any plan, however it is written, and any document that is none."""

from __future__ import annotations

import json
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from canary.domain import presets
from canary.domain.plan import InvalidPlan
from canary.domain.plan_checks import check
from canary.domain.plan_document import COMPLETE, PLAN_KEYS, parse_plan, plan_document, plan_from
from canary.domain.plan_lint import warnings
from canary.domain.plan_schema import schema
from canary.domain.plan_stages import GATE_KEYS, SPAN_KEYS, STAGE_KEYS
from canary.domain.plan_words import sentences
from canary.domain.presets import Preset
from canary.domain.target import MOST_CHARACTERS
from tests.plan_strategies import json_values, plans, written_plans

SCHEMA = Draft202012Validator(schema())


@settings(max_examples=200)
@given(plans())
def test_every_plan_is_read_back_from_its_document(plan):
    assert plan_from(json.loads(json.dumps(plan_document(plan)))) == plan


@given(plans())
def test_what_is_kept_of_a_plan_is_in_order_says_everything_and_passes_the_schema(plan):
    document = plan_document(plan)
    check(plan)
    assert document.keys() >= COMPLETE
    assert not list(SCHEMA.iter_errors(document))


@settings(max_examples=60)
@given(plans())
def test_what_is_kept_of_a_plan_stays_what_it_is_when_its_preset_changes(plan):
    document = plan_document(plan)
    later = Preset(
        "Changed.", {"stages": ["earned"], "max_failure_rate": 0.3, "transform_id": "new", "max_failures": 3, "novel": 1}
    )
    with patch.object(presets, "PRESETS", dict.fromkeys(presets.PRESETS, later)):
        assert plan_from(document) == plan


@settings(max_examples=200)
@given(written_plans())
def test_a_plan_is_the_same_however_it_is_written_and_passes_the_schema(written):
    plan, document = written
    assert plan_from(document) == plan
    assert not list(SCHEMA.iter_errors(document))
    text = json.dumps(document, separators=(",", ":"))
    if len(text) <= MOST_CHARACTERS:
        assert parse_plan(text) == plan


@given(plans())
def test_every_plan_can_be_told_and_has_its_warnings(plan):
    told = sentences(plan)
    assert all(line.endswith(".") and line[0].isupper() for line in told)
    assert all(": " in line and not line.endswith(".") for line in warnings(plan))


#: Values that are wrong nearly everywhere.
numbers = [0, -1, 1, 2, 1.5, 0.1, 101, 10**9, 10**400, float("nan"), float("inf")]
words = [
    "",
    " ",
    "x",
    "0s",
    "1 d",
    "99y",
    "٣m",
    "earned",
    "manual",
    "abort",
    "hold",
    "careful",
    "50%",
    "100%",
    "-1%",
    "\ud800",
    "q" * 300,
]
nested = [[], [[]], {}, {"completed": 1}, {"time": "1s"}, {"type": "manual"}, {"x": 1}, ["a", "a"], [{"quota": 1}] * 21, [1] * 11]
junk = st.sampled_from([None, True, False]) | st.sampled_from(numbers) | st.sampled_from(words) | st.sampled_from(nested)
known_keys = st.sampled_from([*PLAN_KEYS, *STAGE_KEYS, *SPAN_KEYS, *GATE_KEYS, "$schema", "stage", "Quota"])


def broken(document, draw):
    """Put something wrong somewhere into a document."""
    place = document
    while True:
        inner = [
            value for value in (place.values() if isinstance(place, dict) else place) if isinstance(value, dict | list) and value
        ]
        if not inner or draw(st.booleans()):
            break
        place = draw(st.sampled_from(inner))
    if isinstance(place, list):
        place[draw(st.integers(0, len(place) - 1))] = draw(junk)
    else:
        place[draw(st.sampled_from(sorted(place)) | known_keys if place else known_keys)] = draw(junk)
    return document


@settings(max_examples=300)
@given(written_plans(), st.data())
def test_what_the_schema_refuses_the_parser_refuses_too(written, data):
    document = broken(json.loads(json.dumps(written[1])), data.draw)
    try:
        plan_from(document)
    except InvalidPlan:
        return
    assert not list(SCHEMA.iter_errors(document))


documents = st.dictionaries(
    known_keys,
    json_values | junk | st.lists(st.dictionaries(known_keys, json_values | junk, max_size=4) | junk, max_size=3),
    max_size=5,
)


@settings(max_examples=300)
@given(documents | json_values)
def test_whatever_the_document_it_is_a_plan_or_it_is_refused(document):
    try:
        plan = plan_from(document)
    except InvalidPlan as refusal:
        str(refusal).encode()
        return
    assert plan_from(plan_document(plan)) == plan
    assert not list(SCHEMA.iter_errors(document))


@given(st.text(max_size=60) | st.text('{}[]",:0123456789.eE-+ntf', max_size=40))
def test_whatever_the_text_it_is_a_plan_or_it_is_refused(text):
    try:
        parse_plan(text)
    except InvalidPlan as refusal:
        str(refusal).encode()
