"""The page on plans says what is."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from canary.domain.plan import InvalidPlan, Plan
from canary.domain.plan_checks import clean_runs
from canary.domain.plan_document import PLAN_KEYS, parse_plan, plan_document, plan_from
from canary.domain.plan_lint import warnings
from canary.domain.plan_stages import STAGE_KEYS
from canary.domain.presets import PRESETS

PAGE = (Path(__file__).parents[2] / "docs" / "plans.md").read_text()


def table(first):
    """The cells of the table whose first column is called so."""
    [found] = [rows for rows in re.findall(r"(?:^\|.*\|\n)+", PAGE, flags=re.MULTILINE) if rows.startswith(f"| {first} |")]
    return [[cell.strip() for cell in row.strip("| ").split(" | ")] for row in found.splitlines()[2:]]


def span(cell):
    return re.fullmatch(r"`(.*)`", cell)[1]


def test_the_page_has_the_presets_as_they_are():
    rows = [(span(name), purpose, json.loads(span(document))) for name, purpose, document in table("preset")]
    assert rows == [(name, preset.purpose, preset.document) for name, preset in PRESETS.items()]


@pytest.mark.parametrize(("first", "keys"), [("key", PLAN_KEYS), ("stage's key", STAGE_KEYS)])
def test_the_page_has_every_key_in_its_order(first, keys):
    assert tuple(span(row[0]) for row in table(first)) == keys


@pytest.mark.parametrize(("key", "default"), [(span(row[0]), row[1]) for row in table("key") if row[1].startswith("`")])
def test_a_default_on_the_page_is_the_plans(key, default):
    beside = {"stages": ["earned"]} if key in {"alpha", "hung_after"} else {}
    assert plan_from({**beside, key: json.loads(span(default))}) == plan_from(beside)
    if key != "stages":
        assert key in plan_document(plan_from(beside))


@pytest.mark.parametrize(("key", "default"), [(span(row[0]), row[1]) for row in table("stage's key") if row[1].startswith("`")])
def test_a_default_of_a_stage_on_the_page_is_the_plans(key, default):
    said = re.findall(r"`([^`]+)`", default)
    for quota, value in zip([9, "earned"], said * 2, strict=False):
        assert plan_from({"stages": [{"quota": quota, key: json.loads(value)}]}) == plan_from({"stages": [{"quota": quota}]})


@pytest.mark.parametrize("text", re.findall(r"```json\n(.*?)```", PAGE, flags=re.DOTALL))
def test_an_example_on_the_page_is_a_plan_without_a_contradiction(text):
    parse_plan(text)


@pytest.mark.parametrize(("text", "refusal"), re.findall(r"^(\{.*)\n    (.*)", PAGE, flags=re.MULTILINE))
def test_a_refusal_on_the_page_is_the_refusal(text, refusal):
    with pytest.raises(InvalidPlan) as refused:
        parse_plan(text)
    assert str(refused.value) == refusal


def test_the_numbers_of_proof_on_the_page_are_right():
    told = "about 29 requests in a row without a failure to exclude a rate of 10 %, 11 to exclude 25 %, and 59 to exclude 5 %"
    assert told in " ".join(PAGE.split())
    assert [clean_runs(rate) for rate in (0.1, 0.25, 0.05)] == [29, 11, 59]
    assert any("77.6 %" in warning for warning in warnings(Plan()))
