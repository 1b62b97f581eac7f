"""What no plan can be: each refusal names the place, and what would do."""

from __future__ import annotations

import json

import pytest

from canary.domain.plan import InvalidPlan
from canary.domain.plan_document import parse_plan, plan_document, plan_from


def stages(*documents, **rest):
    return {"stages": list(documents), **rest}


def refusal(document):
    with pytest.raises(InvalidPlan) as refused:
        parse_plan(json.dumps(document))
    return str(refused.value)


@pytest.mark.parametrize(
    ("document", "place", "cure"),
    [
        ([], "the plan", "expected a JSON object, not a list"),
        (7, "the plan", "expected a JSON object, not 7"),
        ({"stage": []}, "the plan", "unknown key 'stage' (did you mean 'stages'?)"),
        ({"Deadline": "1h"}, "the plan", "did you mean 'deadline'?"),
        ({"timeout": "1h"}, "the plan", "did you mean 'latest_timeout'?"),
        ({"zzz": 1}, "the plan", "unknown key 'zzz'; known are $schema, alpha, deadline"),
        ({"$schema": 7}, "$schema", "the place of the schema"),
        ({"stages": []}, "stages", 'such as {"quota": 2} or "earned"'),
        ({"stages": {}}, "stages", "expected a list of at most 20 stages"),
        (stages(*[{"quota": 1}] * 21), "stages", "21 stages, and 20 are the most"),
        (stages(7), "stages[0]", "expected a JSON object, not 7"),
        (stages("earnd"), "stages[0]", "expected a JSON object, not 'earnd'"),
        (stages({}), "stages[0]", '"quota": 2 (requests), "quota": "earned"'),
        (stages({"quota": 1}, {"bake": "5m"}), "stages[1]", '"weight": 10 (percent)'),
        (stages({"quota": 1, "bakes": "5s"}), "stages[0]", "unknown key 'bakes' (did you mean 'bake'?)"),
        (stages({"quota": 0}), "stages[0].quota", "a whole number from 1 to 100000, not 0"),
        (stages({"quota": 1.0}), "stages[0].quota", "a whole number"),
        (stages({"quota": True}), "stages[0].quota", "not true"),
        (stages({"quota": None}), "stages[0].quota", "not null"),
        (stages({"quota": "2"}), "stages[0].quota", "from 1 to 100000, or \"earned\", not '2'"),
        (stages({"quota": "all"}), "stages[0].quota", 'or "earned"'),
        (stages({"quota": 100_001}), "stages[0].quota", "100000"),
        (stages({"earned": False}), "stages[0].earned", "leave it out where it is not"),
        (stages({"earned": 1}), "stages[0].earned", "expected true"),
        (stages({"earned": True, "quota": 3}), "stages[0].quota", "leave one of the two out"),
        (stages({"quota": 1, "weight": 0}), "stages[0].weight", "from 1 to 100"),
        (stages({"quota": 1, "weight": 101}), "stages[0].weight", "from 1 to 100"),
        (stages({"quota": 1, "weight": "50%"}), "stages[0].weight", "not '50%'"),
        (stages({"quota": 1, "bake": 5}), "stages[0].bake", '"30m", or a number of executions such as {"completed": 50}'),
        (stages({"quota": 1, "bake": None}), "stages[0].bake", '"30m"'),
        (stages({"quota": 1, "bake": "5"}), "stages[0].bake", 'such as "90s"'),
        (stages({"quota": 1, "bake": "-5m"}), "stages[0].bake", 'such as "90s"'),
        (stages({"quota": 1, "bake": "31d"}), "stages[0].bake", "from 0s to 30d"),
        (stages({"quota": 1, "bake": {}}), "stages[0].bake", '"time", "completed" or both'),
        (stages({"quota": 1, "bake": {"complete": 1}}), "stages[0].bake", "did you mean 'completed'?"),
        (stages({"quota": 1, "bake": {"completed": 0}}), "stages[0].bake.completed", "from 1 to 100000"),
        (stages({"quota": 1, "bake": {"time": 7}}), "stages[0].bake.time", 'such as "90s"'),
        (stages({"quota": 1, "min_completed": -1}), "stages[0].min_completed", "from 0"),
        (stages({"quota": 1, "gate": "auto"}), "stages[0].gate", 'expected "manual", or {"type": "manual"'),
        (stages({"quota": 1, "gate": {}}), "stages[0].gate.type", 'expected "manual"'),
        (stages({"quota": 1, "gate": {"type": "manual", "wait": "1h"}}), "stages[0].gate", "unknown key 'wait'"),
        (stages({"quota": 1, "gate": {"type": "manual", "timeout": "0s"}}), "stages[0].gate.timeout", "from 1ms to 30d"),
        (
            stages({"quota": 1, "gate": {"type": "manual", "default": "promote"}}),
            "stages[0].gate.default",
            'expected "abort" or "continue", not \'promote\'',
        ),
        (stages({"quota": 1, "alarms": "errors"}), "stages[0].alarms", "expected a list of at most 20 alarms"),
        (stages({"quota": 1, "alarms": ["a", " "]}), "stages[0].alarms[1]", "the name of a CloudWatch alarm"),
        (stages({"quota": 1, "alarms": ["a" * 256]}), "stages[0].alarms[0]", "1 to 255 printable characters"),
        (stages({"quota": 1, "alarms": ["a\nb"]}), "stages[0].alarms[0]", "printable"),
        (stages({"quota": 1, "alarms": ["\ud800"]}), "stages[0].alarms[0]", "printable"),
        (stages({"quota": 1, "alarms": [7]}), "stages[0].alarms[0]", "not 7"),
        (stages({"quota": 1, "alarms": ["a", "b", "a"]}), "stages[0].alarms[2]", "stands there twice"),
        (stages({"quota": 1, "alarms": [str(n) for n in range(21)]}), "stages[0].alarms", "21 alarms, and 20 are the most"),
        ({"max_failures": -1}, "max_failures", "from 0 to 100000"),
        ({"max_failures": None}, "max_failures", "not null"),
        ({"max_failures": 0.5}, "max_failures", "a whole number"),
        (stages("earned", max_failure_rate=0), "max_failure_rate", 'from 0.01 % to 99.99 %, written as 0.1 or "10%", not 0'),
        (stages("earned", max_failure_rate=1), "max_failure_rate", "not 1"),
        (stages("earned", max_failure_rate=25), "max_failure_rate", "not 25"),
        (stages("earned", max_failure_rate=True), "max_failure_rate", "not true"),
        (stages("earned", max_failure_rate="10"), "max_failure_rate", "not '10'"),
        (stages("earned", max_failure_rate="100%"), "max_failure_rate", "not '100%'"),
        (stages("earned", max_failure_rate="0%"), "max_failure_rate", "not '0%'"),
        (stages("earned", max_failure_rate=0.00005), "max_failure_rate", "from 0.01 %"),
        (stages("earned", max_failure_rate=10**400), "max_failure_rate", "0.1"),
        (stages("earned", alpha=0.3), "alpha", "from 0.01 % to 20 %"),
        (stages("earned", alpha="0.001%"), "alpha", "from 0.01 % to 20 %"),
        (stages("earned", hung_after=0.9), "hung_after", "a number from 1 to 100, not 0.9"),
        (stages("earned", hung_after="3"), "hung_after", "a number from 1 to 100"),
        (stages("earned", hung_after=101), "hung_after", "a number from 1 to 100"),
        ({"max_lost": -1}, "max_lost", "from 0"),
        ({"deadline": "0s"}, "deadline", "from 1ms to 30d"),
        ({"deadline": "31d"}, "deadline", "from 1ms to 30d"),
        ({"deadline": "soon"}, "deadline", 'such as "90s", "30m", "24h" or "2d", not \'soon\''),
        ({"deadline": 24}, "deadline", 'such as "90s"'),
        ({"deadline": "9" * 13 + "s"}, "deadline", 'such as "90s"'),
        ({"no_data": "wait"}, "no_data", 'expected "abort", "promote" or "hold", not \'wait\''),
        ({"on_new_release": "abort"}, "on_new_release", '"supersede", "queue" or "reject"'),
        ({"on_abort": "kill"}, "on_abort", '"finish" or "stop"'),
        ({"watch": 24}, "watch", '"30m"'),
        ({"watch": "31d"}, "watch", "30d"),
        ({"watch": {"completed": 100_001}}, "watch.completed", "100000"),
        ({"preflight": {"orders": 1}}, "preflight", "expected a list of at most 10 payloads"),
        ({"preflight": [{}] * 11}, "preflight", "11 payloads, and 10 are the most"),
        ({"preflight": [1, "\ud800"]}, "preflight[1]", "cannot be sent as JSON"),
        ({"preflight": [json.loads("[" * 60 + "]" * 60)]}, "preflight[0]", "nested more than 50 deep"),
        ({"fallback": "never"}, "fallback", '"always" or "unstarted"'),
        ({"fallback": []}, "fallback", "not a list"),
        ({"latest_timeout": "50ms"}, "latest_timeout", "from 100ms to 20s"),
        ({"latest_timeout": "21s"}, "latest_timeout", "from 100ms to 20s"),
        ({"transform_id": ""}, "transform_id", 'such as "result.executionArn"'),
        ({"transform_id": 7}, "transform_id", "JMESPath"),
        ("carefull", "preset", "there is no 'carefull' (did you mean 'careful'?)"),
        ({"preset": "quick"}, "preset", 'there are "two-requests", "careful", "fast" or "hotfix"'),
        ({"preset": 7}, "preset", "there is no 7"),
        ({"preset": None}, "preset", "there is no null"),
    ],
)
def test_what_is_no_value_for_its_key_is_refused(document, place, cure):
    said = refusal(document)
    assert said.startswith(f"{place}: ")
    assert cure in said


@pytest.mark.parametrize(
    ("document", "place", "cure"),
    [
        ({"max_failures": 2}, "max_failures", "2 of 2 requests may fail, so nothing would ever be proved; allow 1 at most"),
        (stages({"quota": 3}, {"quota": 2}, max_failures=5), "max_failures", "allow 4 at most"),
        (stages({"quota": 1}, max_failures=1), "max_failures", "1 of 1 request may fail"),
        (
            stages("earned", max_failures=1),
            "max_failures",
            "stages[0] leaves the decision to the evidence; leave one of the two out",
        ),
        (stages({"quota": 9}, {"weight": 5}, max_failures=0), "max_failures", "stages[1] leaves"),
        ({"max_failures": 0, "alpha": 0.01}, "max_failures", "alpha leaves the decision to the evidence"),
        ({"max_failures": 0, "hung_after": 3}, "max_failures", "hung_after leaves"),
        ({"max_failures": 0, "max_failure_rate": 0.1}, "max_failures", "max_failure_rate leaves"),
        (
            {"preset": "careful", "max_failures": 1},
            "max_failures",
            "stages[0] of the preset 'careful' leaves the decision to the evidence; leave it out, or choose a preset that counts",
        ),
        (
            {"preset": "careful", "stages": [{"quota": 50}], "max_failures": 1},
            "max_failures",
            "alpha of the preset 'careful' leaves the decision",
        ),
        (stages(*[{"quota": 1, "bake": "30m"}] * 2, deadline="1h"), "deadline", "bake for 1 h in all"),
        (stages({"quota": 1, "bake": "24h"}), "deadline", "raise the deadline or bake less"),
        (stages({"quota": 1, "bake": {"time": "2h", "completed": 1}}, deadline="2h"), "deadline", "bake for 2 h in all"),
        (stages({"quota": 5, "min_completed": 6}), "stages[0].min_completed", "6 cannot end where only 5 requests may be sent"),
        (stages("earned", {"quota": 5, "bake": {"completed": 6}}), "stages[1].bake", "ask for 5 at most, or raise the quota"),
        (stages({"weight": 5}, "earned"), "stages[0]", 'no end; say a "bake" or "min_completed", or a "quota"'),
        (stages({"weight": 5, "bake": "0s"}, {"weight": 9}), "stages[0]", "no end"),
        (stages({"quota": 1, "gate": "manual"}, deadline="23h"), "stages[0].gate.timeout", "wait less, or raise the deadline"),
        (stages({"quota": 1, "gate": "manual"}, no_data="promote"), "no_data", "without the person whom stages[0].gate asks"),
        (stages({"quota": 28}, max_failure_rate=0.1), "max_failure_rate", "no fewer than 29 can be proof enough"),
        (stages({"quota": 3}, {"quota": 1}, hung_after=3), "stages", "get 4 requests, and no fewer than 5"),
    ],
)
def test_keys_that_contradict_one_another_are_refused(document, place, cure):
    said = refusal(document)
    assert said.startswith(f"{place}: ")
    assert cure in said


@pytest.mark.parametrize(
    "document",
    [
        stages({"quota": 3}, {"quota": 2}, max_failures=4),
        stages({"quota": 5, "min_completed": 5, "bake": {"completed": 5}}),
        stages({"quota": 1, "bake": "30m"}, {"quota": 1, "bake": "29m"}, deadline="1h"),
        stages({"quota": 1, "gate": "manual"}, deadline="24h"),
        stages({"quota": 29}, max_failure_rate=0.1),
        stages({"quota": 5}, hung_after=3),
        stages({"quota": 1}, no_data="promote"),
        stages("earned", {"weight": 5, "min_completed": 1}, {"weight": 5}),
    ],
)
def test_what_only_just_agrees_is_a_plan(document):
    parse_plan(json.dumps(document))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "neither JSON (Expecting property name"),
        ('{"stages": [}', "line 1 column 13"),
        ("two requests", "nor one of the presets two-requests, careful, fast, hotfix"),
        ("nonsense", "preset: there is no 'nonsense'"),
        ("null", "preset: there is no 'null'"),
        ("Careful", "did you mean 'careful'?"),
        ('{"max_failures": NaN}', "NaN is not a number in JSON"),
        ('{"preflight": [-Infinity]}', "-Infinity is not a number in JSON"),
        ('{"preflight": [1e999]}', "preflight[0]: it cannot be sent as JSON"),
        ('{"deadline": "1h", "deadline": "2h"}', "the key 'deadline' stands twice"),
        ('{"preflight": [{"a": 1, "a": 2}]}', "the key 'a' stands twice"),
        ("[" * 4000, "nested too deeply"),
        ('{"deadline": "' + "9" * 4000 + 's"}', "deadline: expected a duration"),
        ('{"max_failures": ' + "9" * 4000 + "}", "max_failures: expected a whole number"),
        ('{"' + "k" * 200 + '": 1}', "unknown key 'kkk"),
    ],
)
def test_a_text_that_is_no_plan_is_refused_in_few_words(text, words):
    with pytest.raises(InvalidPlan) as refused:
        parse_plan(text)
    assert words in str(refused.value)
    assert len(str(refused.value)) < 500


def test_a_refusal_shows_nothing_that_a_terminal_would_obey():
    assert "\x1b" not in refusal({"\x1b[2J": 1, "deadline": "1h"})
    assert "\x1b" not in refusal({"deadline": "\x1b[2J"})


def test_a_complete_document_keeps_a_preset_that_is_gone_but_no_nonsense():
    document = plan_document(parse_plan("hotfix"))
    assert plan_from({**document, "preset": "gone"}).preset == "gone"
    for nonsense in ("Not A Name", "", 7, None):
        with pytest.raises(InvalidPlan, match="preset: expected a preset's name"):
            plan_from({**document, "preset": nonsense})
