"""`canary plan`: check, read and write the plan of an app."""

import json

import boto3
import pytest

from canary.domain.plan import Plan
from canary.domain.plan_document import parse_plan, plan_document
from canary.domain.plan_lint import warnings
from canary.domain.plan_schema import schema
from canary.domain.plan_words import sentences
from canary.domain.presets import PRESETS
from canary.errors import Unavailable

LONG = {"stages": [{"quota": 5}, {"quota": 50, "weight": 10, "bake": "30m"}], "max_failures": 1}


def has_plan(here):
    found = boto3.client("ssm", "eu-west-1").get_parameters(Names=["/canary/transformer/plan"])["Parameters"]
    return bool(found)


def words(text):
    return " ".join(text.split())


def test_schema_prints_what_is_published(here):
    done = here.canary("plan", "schema")
    assert done.exit_code == 0
    assert json.loads(done.stdout) == schema() == here.json("plan", "schema")


def test_presets_are_listed_with_what_each_is_for_and_stands_for(here):
    listed = words(here.canary("plan", "presets").stdout)
    found = here.json("plan", "presets")["presets"]
    assert [one["name"] for one in found] == list(PRESETS)
    assert all(name in listed for name in PRESETS)
    assert found[1] == {
        "name": "careful",
        "purpose": PRESETS["careful"].purpose,
        "plan": plan_document(parse_plan("careful")),
    }


@pytest.mark.parametrize("form", ["file", "file with a mark", "standard input", "json", "json string", "preset"])
def test_lint_takes_a_file_standard_input_a_preset_or_json(here, tmp_path, form):
    file = tmp_path / "plan.json"
    file.write_text("\n\ufeffcareful\n".strip() if form == "file with a mark" else ' {"preset": "careful"}\n', encoding="utf-8")
    argument = {"standard input": "-", "json": ' {"preset": "careful"}', "json string": '"careful"', "preset": "careful"}
    done = here.canary("plan", "lint", argument.get(form, str(file)), "--json", input="careful\n")
    assert done.exit_code == 0, done.output
    checked = parse_plan("careful")
    assert json.loads(done.stdout) == {
        "valid": True,
        "plan": plan_document(checked),
        "sentences": list(sentences(checked)),
        "warnings": [],
    }


def test_lint_warns_of_what_is_weak_and_is_content(here):
    done = here.canary("plan", "lint", "hotfix")
    assert done.exit_code == 0
    assert done.stdout.splitlines() == ["valid", *(f"warning: {each}" for each in warnings(parse_plan("hotfix")))]


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ('{"stages": [{"quota": 1, "bakes": "5m"}]}', "stages[0]: unknown key 'bakes' (did you mean 'bake'?)"),
        ('{"max_failures": 2}', "max_failures: 2 of 2 requests may fail"),
        ('{"transform_id": "result.["}', "transform_id: the plan's transform_id 'result.[' is not a JMESPath expression"),
        ('"carefull"', "preset: there is no 'carefull' (did you mean 'careful'?)"),
    ],
)
def test_lint_refuses_with_1_and_says_where_and_what_would_do(here, text, refusal):
    done = here.canary("plan", "lint", text)
    assert done.exit_code == 1
    assert done.stdout.startswith(f"refused: {refusal}")
    document = here.json("plan", "lint", text, exit_code=1)
    assert document == {"valid": False, "error": done.stdout.removeprefix("refused: ").rstrip("\n"), "exit_code": 1}


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("carefull", "is no file and no preset (did you mean 'careful'?)"),
        ("nowhere/plan.json", 'there are "two-requests", "careful", "fast" or "hotfix"'),
        ("-", "'-' is empty"),
        (".", "cannot be read"),
    ],
)
def test_without_a_plan_to_look_at_it_is_wrong_usage(here, argument, said):
    done = here.canary("plan", "lint", argument, input=" \n")
    assert done.exit_code == 2
    assert said in words(done.stderr)


def test_a_file_that_is_no_text_is_wrong_usage(here, tmp_path):
    file = tmp_path / "plan.json"
    file.write_bytes(b"\xff\xfe\x00")
    done = here.canary("plan", "lint", str(file))
    assert done.exit_code == 2
    assert "cannot be read" in words(done.stderr)


def test_show_tells_the_default_plan_of_an_app_without_one(here):
    here.app()
    told = words(here.canary("plan", "show", "transformer").stdout)
    assert "transformer: the default plan, since it has none of its own" in told
    assert all(sentence in told for sentence in sentences(Plan()))
    assert 'for the next release, in full: {"stages": [{"quota": 2, "weight": 50}], "max_failures": 0' in told
    assert here.json("plan", "show", "transformer") == {
        "app": "transformer",
        "plan": plan_document(Plan()),
        "sentences": list(sentences(Plan())),
        "warnings": list(warnings(Plan())),
    }


def test_show_tells_the_parameter_with_what_is_weak_in_it(here):
    here.app(plan={"preset": "hotfix"})
    told = words(here.canary("plan", "show", "transformer").stdout)
    assert "transformer: the plan for its next release, the preset 'hotfix', written" in told
    assert "! preset: a hotfix bakes for 5 min only" in told
    document = here.json("plan", "show", "transformer")
    assert document["parameter"]["value"] == '{"preset": "hotfix"}'
    assert document["parameter"]["version"] == 1
    assert document["plan"] == plan_document(parse_plan("hotfix"))
    assert "running" not in document


def test_show_tells_the_plan_of_a_release_that_goes_on_by_another(here):
    here.app(plan=LONG)
    release = here.release()
    assert "running" not in here.json("plan", "show", "transformer")
    here.write("plan", "careful")
    document = here.json("plan", "show", "transformer")
    assert document["plan"] == plan_document(parse_plan("careful"))
    assert document["running"]["release"] == release
    assert document["running"]["plan"] == plan_document(parse_plan(json.dumps(LONG)))
    told = words(here.canary("plan", "show", "transformer").stdout)
    assert f"release {release} (v2) is RUNNING, and goes on by the plan that it began with" in told
    assert "Stage 2 of 2: latest gets 50 requests" in told


def test_show_ends_with_1_when_the_parameter_holds_no_plan(here):
    here.app()
    here.write("plan", '{"stage": []}')
    done = here.canary("plan", "show", "transformer")
    assert done.exit_code == 1
    assert "it cannot be used, so every release is rejected: the plan: unknown key 'stage'" in words(done.stdout)
    document = here.json("plan", "show", "transformer", exit_code=1)
    assert "unknown key 'stage'" in document["error"]
    assert document["parameter"]["value"] == '{"stage": []}'
    assert "plan" not in document


@pytest.mark.parametrize("arguments", [("show", "transfromer"), ("set", "transfromer", "careful")])
def test_an_app_that_does_not_exist_is_said_and_gets_no_plan(here, arguments):
    here.app()
    done = here.canary("plan", *arguments)
    assert done.exit_code == 1
    assert "there is no app 'transfromer'; there are transformer" in done.stderr
    assert not has_plan(here)


def test_parameters_that_cannot_be_read_are_said(here, monkeypatch):
    here.app()
    monkeypatch.setattr("canary.aws.parameters.ParameterStore.read", _unavailable)
    done = here.canary("plan", "show", "transformer")
    assert done.exit_code == 1
    assert "the parameters of 'transformer' cannot be read" in done.stderr


def _unavailable(*_):
    raise Unavailable("SSM", "InternalServerError", "try later")


def test_set_writes_what_it_is_given_and_tells_it(here, tmp_path):
    here.app()
    file = tmp_path / "plan.json"
    file.write_text(f"{json.dumps(LONG, indent=2)}\n")
    done = here.canary("plan", "set", "transformer", str(file))
    assert done.exit_code == 0
    assert here.parameter("plan") == json.dumps(LONG, indent=2)
    assert done.stdout.startswith("transformer: its next release goes by this:\n  • Stage 1 of 2: latest gets 5 requests")
    assert "keeps the plan" not in done.stdout


def test_set_restores_the_default_by_its_name(here):
    here.app(plan=LONG)
    document = here.json("plan", "set", "transformer", "two-requests")
    assert here.parameter("plan") == "two-requests"
    assert (document["written"], document["plan"]) == (True, plan_document(parse_plan("two-requests")))
    assert document["warnings"] == list(warnings(Plan()))


def test_set_leaves_a_running_release_its_plan_and_says_so(here):
    here.app(plan=LONG)
    release = here.release()
    done = here.canary("plan", "set", "transformer", "careful")
    assert f"release {release} (v2) runs, and keeps the plan that it began with" in done.stdout
    here.flip()
    assert here.item(release).plan == parse_plan(json.dumps(LONG))
    assert here.json("plan", "set", "transformer", "careful")["running"] == release


def test_a_release_goes_by_the_preset_that_was_set_and_keeps_its_name(here):
    here.app()
    here.canary("plan", "set", "transformer", "hotfix")
    assert here.item(here.release()).plan == parse_plan("hotfix")


def test_set_writes_nothing_on_a_dry_run(here):
    here.app()
    done = here.canary("plan", "set", "transformer", "careful", "--dry-run")
    assert done.exit_code == 0
    assert "nothing was written; its next release would go by this" in done.stdout
    assert here.json("plan", "set", "transformer", "careful", "--dry-run")["written"] is False
    assert not has_plan(here)


@pytest.mark.parametrize(
    "text", ['{"max_failures": 2}', '{"transform_id": "["}', '{"stages": [' + '"earned", ' * 500 + '"earned"]}']
)
def test_set_refuses_what_no_release_could_go_by(here, text):
    here.app()
    done = here.canary("plan", "set", "transformer", text)
    assert done.exit_code == 2
    assert not has_plan(here)


def test_set_does_not_make_an_app_by_giving_it_a_plan(here):
    here.write("plan", "careful")
    done = here.canary("plan", "set", "transformer", "fast")
    assert done.exit_code == 1
    assert "canary init transformer" in done.stderr
    assert here.parameter("plan") == "careful"


@pytest.mark.parametrize("plan", ["careful", '{"stages": [{"quota": 7}]}'])
def test_init_takes_a_plan_in_the_same_forms(here, plan):
    assert here.canary("init", "transformer", "--arn", here.stack("v1"), "--plan", plan).exit_code == 0
    assert here.parameter("plan") == plan


@pytest.mark.parametrize("plan", ["carefull", '{"transform_id": "["}', '{"max_failures": 2}'])
def test_init_refuses_a_plan_before_it_makes_an_app(here, plan):
    assert here.canary("init", "transformer", "--arn", here.stack("v1"), "--plan", plan).exit_code == 2
    assert not has_plan(here)
    assert not boto3.client("ssm", "eu-west-1").get_parameters_by_path(Path="/canary", Recursive=True)["Parameters"]
