"""Plans: what people write, and what it means."""

from __future__ import annotations

import json

import pytest

from canary.domain.plan import (
    DAY_MS,
    DEFAULT_MAX_LOST,
    HOUR_MS,
    MAX_ALARMS,
    MAX_DEADLINE_MS,
    MAX_PREFLIGHT,
    MAX_QUOTA,
    MAX_STAGES,
    Fallback,
    GateDefault,
    InvalidPlan,
    ManualGate,
    NoData,
    OnAbort,
    OnNewRelease,
    Plan,
    Span,
    Stage,
)
from canary.domain.plan_checks import check
from canary.domain.plan_document import COMPLETE, PLAN_KEYS, parse_plan, plan_document, plan_from
from canary.domain.presets import PRESETS
from canary.domain.target import MOST_CHARACTERS


def read(**document):
    return parse_plan(json.dumps(document))


def stage(**document):
    return read(stages=[document, "earned"]).stages[0]


@pytest.mark.parametrize("text", [None, "", " \n", "NONE", "-"])
def test_without_a_plan_two_requests_prove_a_release(text):
    plan = parse_plan(text)
    assert plan == Plan() == parse_plan('{"stages": [{"quota": 2, "weight": 50}]}') == parse_plan("{}")
    assert (plan.stages, plan.max_failures, plan.max_lost, plan.deadline_ms) == ((Stage(quota=2, weight=50),), 0, 2, DAY_MS)
    assert (plan.fallback, plan.latest_timeout_ms, plan.transform_id, plan.preset) == (Fallback.ALWAYS, 10_000, None, None)
    assert not plan.judged


def test_a_plan_of_several_stages_has_the_quota_of_all():
    plan = read(stages=[{"quota": 1}, {"quota": 5, "bake": "10m"}, {"quota": 10, "weight": 100}])
    assert (plan.quota, plan.max_lost) == (16, 16)
    assert plan.stages[1] == Stage(quota=5, weight=50, bake=Span(ms=600_000))


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("1500ms", 1500), ("90s", 90_000), ("30m", 1_800_000), ("24h", DAY_MS), ("2d", 2 * DAY_MS), ("5 m", 300_000)],
)
def test_a_duration_is_a_number_and_a_unit(text, milliseconds):
    assert read(deadline=text).deadline_ms == milliseconds


@pytest.mark.parametrize(
    ("written", "rate"),
    [(0.1, 0.1), ("10%", 0.1), ("10 %", 0.1), ("2.5 %", 0.025), ("0.7%", 0.007), ("99.99%", 0.9999), ("0.01%", 0.0001)],
)
def test_a_rate_is_a_number_or_a_percentage(written, rate):
    assert read(stages=["earned"], max_failure_rate=written).max_failure_rate == rate


def test_alpha_is_written_like_a_rate_and_hung_after_is_any_number():
    plan = read(stages=["earned"], alpha="5 %", hung_after=2)
    assert (plan.alpha, plan.hung_after) == (0.05, 2.0)


@pytest.mark.parametrize("written", ["earned", {"quota": "earned"}, {"earned": True}, {"quota": "earned", "weight": 100}])
def test_an_earned_stage_may_be_written_in_a_word(written):
    assert read(stages=[written]).stages == (Stage(earned=True, weight=100),)


def test_the_weight_of_an_earned_stage_is_a_ceiling_and_else_half_of_the_requests_go_to_latest():
    assert stage(quota="earned").weight == 100
    assert stage(quota="earned", weight=20).weight == 20
    assert stage(quota=100).weight == 50


def test_a_stage_with_a_weight_alone_sends_a_share_and_says_when_it_is_over():
    assert stage(weight=10, bake="30m") == Stage(weight=10, bake=Span(ms=1_800_000))
    assert stage(weight=10, min_completed=3) == Stage(weight=10, min_completed=3)
    assert read(stages=[{"quota": 1}, {"weight": 10}]).stages[-1].open_ended  # the last one is over when enough is proved


@pytest.mark.parametrize(
    ("written", "span"),
    [
        ("30m", Span(ms=1_800_000)),
        ("0s", Span()),
        ({"completed": 50}, Span(completed=50)),
        ({"time": "1h", "completed": 50}, Span(ms=HOUR_MS, completed=50)),
        ({"time": "1h"}, Span(ms=HOUR_MS)),
    ],
)
def test_a_stage_bakes_and_a_promotion_is_watched_for_a_time_for_a_number_of_executions_or_for_both(written, span):
    assert stage(quota=100, bake=written).bake == read(watch=written).watch == span


@pytest.mark.parametrize(
    ("written", "gate"),
    [
        ("manual", ManualGate(DAY_MS, GateDefault.ABORT)),
        ({"type": "manual"}, ManualGate(DAY_MS, GateDefault.ABORT)),
        ({"type": "manual", "timeout": "2h", "default": "continue"}, ManualGate(2 * HOUR_MS, GateDefault.CONTINUE)),
    ],
)
def test_a_gate_is_a_person_with_a_time_to_answer(written, gate):
    assert stage(quota=1, gate=written).gate == gate


def test_every_other_key_is_read():
    plan = read(
        stages=[{"quota": 5, "min_completed": 5, "alarms": ["errors", "p99"]}],
        max_failures=1,
        max_lost=0,
        no_data="hold",
        on_new_release="queue",
        on_abort="stop",
        preflight=[{"orders": 1}, None, []],
        fallback="unstarted",
        latest_timeout="2500ms",
        transform_id="result.executionArn",
    )
    assert plan == Plan(
        stages=(Stage(quota=5, min_completed=5, alarms=("errors", "p99")),),
        max_failures=1,
        max_lost=0,
        no_data=NoData.HOLD,
        on_new_release=OnNewRelease.QUEUE,
        on_abort=OnAbort.STOP,
        preflight=({"orders": 1}, None, []),
        fallback=Fallback.UNSTARTED,
        latest_timeout_ms=2500,
        transform_id="result.executionArn",
    )


@pytest.mark.parametrize(
    "document",
    [
        {"stages": ["earned"]},
        {"stages": [{"quota": 30}, {"weight": 5}]},
        {"stages": [{"quota": 60}], "alpha": 0.01},
        {"stages": [{"quota": 60}], "hung_after": 3},
        {"stages": [{"quota": 60}], "max_failure_rate": "10%"},
    ],
)
def test_a_plan_is_judged_when_anything_in_it_asks_for_evidence(document):
    plan = read(**document)
    assert (plan.judged, plan.max_failures) == (True, None)


def test_a_judged_plan_without_a_number_of_requests_bears_a_few_unsent_ones():
    assert read(stages=["earned"]).max_lost == DEFAULT_MAX_LOST
    assert read(stages=[{"quota": 60}], alpha=0.01).max_lost == 60


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("written", ["{}", " {} \n", '"{}"', '{{"preset": "{}"}}'])
def test_a_preset_is_a_bare_word_a_json_string_or_an_object(name, written):
    plan = parse_plan(written.format(name))
    assert plan.preset == name
    check(plan)


def test_the_preset_two_requests_is_the_default():
    assert plan_document(parse_plan("two-requests")) == {"preset": "two-requests"} | plan_document(Plan())


def test_careful_is_judged_earns_its_slots_has_two_weeks_and_is_watched():
    plan = parse_plan("careful")
    assert (plan.stages, plan.judged, plan.deadline_ms) == ((Stage(earned=True, weight=100),), True, 14 * DAY_MS)
    assert plan.watch == Span(ms=HOUR_MS, completed=50)


def test_fast_excludes_a_quarter_and_hotfix_is_one_request_with_a_days_watch():
    fast, hotfix = parse_plan("fast"), parse_plan("hotfix")
    assert (fast.stages, fast.max_failure_rate, fast.watch) == ((Stage(earned=True, weight=100),), 0.25, Span(ms=HOUR_MS))
    assert hotfix.stages == (Stage(quota=1, weight=100, bake=Span(ms=300_000)),)
    assert (hotfix.judged, hotfix.watch) == (False, Span(ms=DAY_MS))


def test_keys_beside_a_preset_take_the_place_of_its_own():
    plan = read(preset="careful", watch="0s", max_failure_rate="20%", deadline="2d")
    assert (plan.watch, plan.max_failure_rate, plan.deadline_ms) == (Span(), 0.2, 2 * DAY_MS)
    assert (plan.stages, plan.preset) == (parse_plan("careful").stages, "careful")


def test_careful_weighs_evidence_under_stages_of_ones_own_too():
    assert read(preset="careful", stages=[{"quota": 10}, {"quota": 100}]).judged


def test_what_a_release_keeps_of_a_preset_says_everything_itself():
    document = plan_document(parse_plan("careful"))
    assert document.keys() >= COMPLETE
    assert document["preset"] == "careful"
    assert plan_from({**document, "preset": "renamed-since"}) == Plan(
        **{name: "renamed-since" if name == "preset" else getattr(parse_plan("careful"), name) for name in Plan.__slots__}
    )


@pytest.mark.parametrize(
    "document",
    [
        {
            "stages": [{"quota": 2, "weight": 50, "bake": "0ms"}],
            "max_failures": 0,
            "max_lost": 2,
            "deadline": "86400000ms",
            "fallback": "always",
            "latest_timeout": "10000ms",
        },
        {
            "stages": [{"quota": 1, "weight": 100, "bake": "0ms"}, {"quota": 9, "weight": 5, "bake": "1800000ms"}],
            "max_failures": 3,
            "max_lost": 4,
            "deadline": "43200000ms",
            "fallback": "unstarted",
            "latest_timeout": "2500ms",
            "transform_id": "result.executionArn",
        },
    ],
)
def test_a_plan_that_an_earlier_version_has_kept_is_read_as_it_was(document):
    plan = plan_from(document)
    assert not plan.judged
    assert (plan.max_failures, plan.max_lost) == (document["max_failures"], document["max_lost"])
    assert [(s.quota, s.weight, f"{s.bake.ms}ms") for s in plan.stages] == [tuple(s.values()) for s in document["stages"]]
    assert (f"{plan.deadline_ms}ms", plan.fallback) == (document["deadline"], document["fallback"])
    assert (f"{plan.latest_timeout_ms}ms", plan.transform_id) == (document["latest_timeout"], document.get("transform_id"))
    assert plan_from(plan_document(plan)) == plan


def test_what_was_kept_can_be_read_even_if_it_would_be_refused_by_now():
    contradicting = {"stages": [{"quota": 1, "bake": "2h"}], "deadline": "1h"}
    assert plan_from(contradicting).deadline_ms == HOUR_MS
    with pytest.raises(InvalidPlan):
        parse_plan(json.dumps(contradicting))


def test_an_editors_key_for_the_schema_does_no_harm():
    assert read(**{"$schema": "./plan.schema.json"}) == Plan()


def test_durations_are_kept_in_the_largest_unit_that_says_them_exactly():
    plan = Plan(stages=(Stage(quota=2, bake=Span(ms=90_000)),), deadline_ms=36 * HOUR_MS, latest_timeout_ms=2500)
    document = plan_document(plan)
    assert document["stages"] == [{"quota": 2, "weight": 50, "bake": "90s"}]
    assert (document["deadline"], document["latest_timeout"], document["watch"]) == ("36h", "2500ms", "0s")


def test_a_judged_plan_keeps_no_count_and_a_counted_one_no_alpha():
    assert not plan_document(Plan()).keys() & {"alpha", "hung_after", "max_failure_rate"}
    assert "max_failures" not in plan_document(parse_plan("fast"))
    assert list(plan_document(parse_plan("fast"))) == [key for key in PLAN_KEYS if key not in {"max_failures", "transform_id"}]


def test_the_largest_plan_can_be_written_and_read():
    name = "n" * 255
    largest = Plan(
        stages=(Stage(quota=MAX_QUOTA, alarms=tuple(f"{name[:-2]}{n:02}" for n in range(MAX_ALARMS))),) * MAX_STAGES,
        max_failures=MAX_QUOTA,
        max_lost=MAX_QUOTA * MAX_STAGES,
        deadline_ms=MAX_DEADLINE_MS,
        watch=Span(MAX_DEADLINE_MS, MAX_QUOTA),
        preflight=({"a": [1]},) * MAX_PREFLIGHT,
    )
    check(largest)
    assert plan_from(plan_document(largest)) == largest


def test_a_parameter_is_filled_to_the_last_character_and_no_further():
    text = json.dumps({"preflight": ["x" * 100]})
    fits = text + " " * (MOST_CHARACTERS - len(text))
    assert parse_plan(fits).preflight == ("x" * 100,)
    with pytest.raises(InvalidPlan, match="4097 characters, and a parameter holds 4096; leave out white space"):
        parse_plan(fits + " ")
