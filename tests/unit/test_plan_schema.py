"""The published schema of plans."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from canary.domain.plan_document import PLAN_KEYS, SCHEMA_KEY, plan_document, plan_from
from canary.domain.plan_schema import schema
from canary.domain.plan_stages import GATE_KEYS, SPAN_KEYS, STAGE_KEYS
from canary.domain.presets import PRESETS

FILE = Path(__file__).parents[2] / "docs" / "plan.schema.json"
SCHEMA = schema()
PLAN = SCHEMA["$defs"]["plan"]["properties"]
STAGE = SCHEMA["$defs"]["stage"]["anyOf"][1]["properties"]
VALIDATOR = Draft202012Validator(SCHEMA)


def refuses(document):
    return bool(list(VALIDATOR.iter_errors(document)))


def test_the_published_file_is_what_the_command_prints():
    made = json.dumps(SCHEMA, indent=2, ensure_ascii=False) + "\n"
    assert FILE.read_text() == made, "type: canary plan schema > docs/plan.schema.json"


def test_it_is_a_schema_of_draft_2020_12():
    assert SCHEMA["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    Draft202012Validator.check_schema(SCHEMA)


def test_it_has_every_key_that_the_parser_knows_each_with_a_title_and_a_description():
    span = SCHEMA["$defs"]["span"]["anyOf"][1]["properties"]
    gate = SCHEMA["$defs"]["gate"]["anyOf"][1]["properties"]
    for keys, properties in (((*PLAN_KEYS, SCHEMA_KEY), PLAN), (STAGE_KEYS, STAGE), (SPAN_KEYS, span), (GATE_KEYS, gate)):
        assert properties.keys() == set(keys)
        assert all(one["title"] and one["description"].endswith(".") for one in properties.values())


@pytest.mark.parametrize(("key", "said"), [(key, said) for key, said in PLAN.items() if "default" in said])
def test_a_default_that_it_names_is_the_parsers(key, said):
    beside = {} if key == "max_failures" else {"stages": ["earned"]} if key in {"alpha", "hung_after"} else {}
    assert plan_from({**beside, key: said["default"]}) == plan_from(beside)


@pytest.mark.parametrize("key", [key for key, said in STAGE.items() if "default" in said])
def test_a_default_of_a_stage_that_it_names_is_the_parsers(key):
    assert plan_from({"stages": [{"quota": 9, key: STAGE[key]["default"]}]}) == plan_from({"stages": [{"quota": 9}]})


@pytest.mark.parametrize("name", PRESETS)
def test_it_takes_the_presets_and_what_they_stand_for(name):
    assert not refuses(name)
    assert not refuses({"preset": name, "watch": "0s"})
    assert not refuses(dict(PRESETS[name].document))
    assert not refuses(plan_document(plan_from(name)))


def test_it_refuses_a_preset_that_does_not_exist_but_not_in_what_was_kept():
    kept = plan_document(plan_from("careful")) | {"preset": "gone"}
    assert not refuses(kept)
    assert refuses({"preset": "gone"})
    assert refuses("gone")
    assert refuses({**kept, "preset": "Not A Name"})


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"stage": []},
        {"stages": []},
        {"stages": [{}]},
        {"stages": [{"bake": "5m"}]},
        {"stages": [{"quota": 0}]},
        {"stages": [{"quota": "all"}]},
        {"stages": [{"earned": False}]},
        {"stages": [{"quota": 1, "bakes": "5m"}]},
        {"stages": [{"quota": 1, "bake": {}}]},
        {"stages": [{"quota": 1, "gate": {"timeout": "1h"}}]},
        {"stages": [{"quota": 1, "alarms": ["a", "a"]}]},
        {"stages": [{"quota": 1}] * 21},
        {"deadline": "soon"},
        {"deadline": "5 minutes"},
        {"max_failure_rate": 25},
        {"max_failure_rate": "25"},
        {"alpha": 0.5},
        {"hung_after": 0},
        {"no_data": "wait"},
        {"preflight": [1] * 11},
        {"transform_id": " "},
    ],
)
def test_it_refuses_what_is_no_plan(document):
    assert refuses(document)
