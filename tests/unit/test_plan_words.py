"""Plans in sentences, and what is weak in them."""

from __future__ import annotations

import json

import pytest

from canary.domain.baseline import Baseline
from canary.domain.bets import promotion_bound
from canary.domain.evidence import Evidence
from canary.domain.measure import bad_rate, measured
from canary.domain.plan import Plan, Span, Stage
from canary.domain.plan_checks import clean_runs, least_runs
from canary.domain.plan_document import parse_plan, plan_document, plan_from
from canary.domain.plan_lint import warnings
from canary.domain.plan_words import USUAL_BAD_RATE, sentences, span_words
from canary.domain.presets import PRESETS


def told(**document):
    return " ".join(sentences(parse_plan(json.dumps(document))))


def warned(**document):
    return warnings(parse_plan(json.dumps(document)))


def lines(text):
    """Sentences as a page has them, one to a paragraph."""
    return tuple(" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n"))


def test_the_default_plan_in_sentences():
    assert sentences(Plan()) == lines("""
        Stage 1 of 1: latest gets 2 requests; until then each one has a chance of 50 % to go there. All of them have to end.

        Then latest becomes current, and everybody gets it.

        Failures are counted: the first failure throws latest out. That proves little (2 of 2: at 95 % only failure rates above
        77.6 % are excluded).

        Deadline: if that is not decided 1 d after the release began, it is thrown out.

        A newer release ends this one and takes its place.

        If latest is thrown out, workflows that still run on it run to their end.

        If latest does not answer a request as it should, or not within 10 s, current gets the request, even if latest may have
        begun to work on it.

        If more than 2 requests cannot be sent to latest through no fault of its own, the release is held.
    """)


def test_the_careful_plan_in_sentences():
    assert sentences(parse_plan("careful"))[:5] == lines("""
        Stage 1 of 1: latest gets as many requests at a time as it has earned: 2 at first, more as they succeed, up to all of
        them. It is over when it is proved, at 95 %, that latest fails less than 10 % of the time (or, where current fails often
        itself, five times as often as that).

        Then latest becomes current, and everybody gets it.

        Watch: it is watched for 1 h and until 50 executions have ended. If it fails, the stack before it serves again, by
        itself.

        The evidence decides: latest is thrown out as soon as it is clear that it fails more often than current does or is
        slower. What has been on its way for 3 × the time in which 99.9 % of current's end counts as failed. A good version is
        thrown out by chance in 1 % of releases at most. Proof takes about 29 requests in a row without a failure, and more where
        some fail.

        Deadline: if that is not decided 14 d after the release began, it is thrown out.
    """)


def test_a_long_plan_is_told_stage_by_stage():
    plan = plan_from(
        {
            "preflight": [{}, {}],
            "stages": [
                {"quota": 1, "weight": 100, "bake": "5m"},
                {"weight": 10, "bake": {"time": "2h", "completed": 40}, "min_completed": 20, "gate": "manual"},
                {"quota": "earned", "weight": 20, "alarms": ["errors", "p99"]},
            ],
            "max_failure_rate": "25%",
        }
    )
    assert sentences(plan)[:4] == lines("""
        Preflight: 2 made-up requests are run on latest. Unless all succeed, latest is thrown out before it gets any real
        request.

        Stage 1 of 3: latest gets the next request. It has to end. The stage takes at least 5 min.

        Stage 2 of 3: latest gets 10 % of the requests. At least 40 of them have to end. The stage takes at least 2 h. Then a
        person has to agree (`canary promote`); without an answer within 1 d latest is thrown out.

        Stage 3 of 3: latest gets as many requests at a time as it has earned: 2 at first, more as they succeed, 20 % of all at
        most. It is over when it is proved, at 95 %, that latest fails less than 25 % of the time. If the alarm "errors" or
        "p99" rings, latest is thrown out; without data from it the stage does not end.
    """)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"preflight": [1]}, "1 made-up request is run on latest. Unless it succeeds,"),
        ({"stages": [{"quota": 9, "weight": 100}]}, "latest gets the next 9 requests. All of them have to end."),
        (
            {"stages": [{"quota": 20}], "max_failures": 2},
            "2 may fail, and one more failure throws latest out.",
        ),
        (
            {"stages": [{"quota": 1, "gate": {"type": "manual", "default": "continue"}}]},
            "within 1 d the release goes on by itself",
        ),
        ({"stages": [{"quota": "earned", "min_completed": 7}]}, "At least 7 of them have to end."),
        (
            {"stages": ["earned", {"quota": 9}]},
            "Stage 1 of 2: latest gets as many requests at a time as it has earned: 2 at first",
        ),
        ({"no_data": "hold"}, "it is held, and a person decides"),
        ({"no_data": "promote"}, "it is promoted if something succeeded, nothing failed and nothing is unknown"),
        ({"on_new_release": "queue"}, "A newer release waits until this one has ended."),
        ({"on_new_release": "reject"}, "A newer release is refused until this one has ended."),
        ({"on_abort": "stop"}, "workflows that still run on it are stopped"),
        ({"fallback": "unstarted"}, "only if latest surely did not begin; otherwise the caller gets the error"),
        ({"latest_timeout": "2500ms"}, "or not within 2.5 s"),
        ({"max_lost": 1}, "If more than 1 request cannot be sent"),
        ({"watch": {"completed": 1}}, "watched until 1 execution has ended."),
        ({"transform_id": "a.b"}, "stands in its answer at 'a.b'."),
        ({"stages": ["earned"], "hung_after": 1.5, "alpha": "5%"}, "for 1.5 × the time in which 99.9 % of current's end counts"),
        ({"stages": ["earned"], "alpha": "5%"}, "by chance in 5 % of releases at most"),
    ],
)
def test_each_rule_has_its_sentence(document, words):
    assert words in told(**document)


def test_a_stage_that_only_the_evidence_ends_says_so_and_others_before_the_last_do_not():
    first, second = sentences(parse_plan('{"stages": [{"weight": 5, "bake": "1h"}, "earned"]}'))[:2]
    assert "It is over when it is proved" not in first
    assert "It is over when it is proved" in second
    assert "It is over when it is proved" in sentences(parse_plan('{"stages": ["earned", "earned"]}'))[0]


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (Span(ms=3_600_000), "for 1 h"),
        (Span(completed=50), "until 50 executions have ended"),
        (Span(ms=60_000, completed=1), "for 60 s and until 1 execution has ended"),
    ],
)
def test_a_span_in_words(span, words):
    assert span_words(span) == words


def test_the_rate_that_the_sentences_name_is_the_one_that_the_judge_excludes():
    often_right = Baseline(executions=10_000, failed=0)
    assert bad_rate(parse_plan("careful"), often_right) == USUAL_BAD_RATE
    assert measured(Evidence(), often_right, parse_plan("careful")).clean_runs == clean_runs(USUAL_BAD_RATE)


@pytest.mark.parametrize("failed", [0, 10, 100, 1_000, 3_000, 5_000, 9_000, 9_999])
@pytest.mark.parametrize("rate", [None, 0.1, 0.25, 0.5])
def test_fewer_requests_than_the_least_never_prove_enough(failed, rate):
    plan = Plan(stages=(Stage(earned=True),), max_failures=None, max_failure_rate=rate)
    baseline = Baseline(executions=10_000, failed=failed)
    normal, bad = baseline.rate, bad_rate(plan, baseline)
    if normal < bad:
        assert promotion_bound(least_runs(plan) - 1, 0, normal, bad) < measured(Evidence(), baseline, plan).bound_at


@pytest.mark.parametrize(
    ("document", "warning"),
    [
        (
            {},
            (
                "stages: 2 of 2: at 95 % only failure rates above 77.6 % are excluded; "
                'the preset "careful" proves more before it promotes'
            ),
        ),
        (
            {"preset": "hotfix", "stages": [{"quota": 20, "bake": "5m"}]},
            "preset: a hotfix bakes for 5 min only, and its watch has to find what shows later",
        ),
        (
            {"preset": "hotfix", "stages": [{"quota": 20, "bake": "5m"}], "watch": "0s"},
            "preset: a hotfix bakes for 5 min only, and what shows later nobody looks for: say a watch",
        ),
        (
            {"stages": [{"quota": 40}], "max_failure_rate": 0.1},
            (
                "stages: they give 40 requests; proof takes 29 in a row without a failure, and about as many again after one, "
                'so that a good version may run out of them; let the last stage have "quota": "earned"'
            ),
        ),
        (
            {"stages": ["earned"], "max_failure_rate": "60%"},
            "max_failure_rate: a version that fails nearly 60 % of the time may be promoted; most plans want 0.1",
        ),
        (
            {"stages": ["earned"], "max_failure_rate": "0.1%"},
            "max_failure_rate: to prove less than 0.1 % takes 2995 requests in a row without a failure",
        ),
        (
            {"stages": ["earned"], "alpha": 0.1},
            "alpha: a good version is thrown out in up to 10 % of releases; 0.01 is usual",
        ),
        (
            {"stages": ["earned"], "hung_after": 1.5},
            "hung_after: at 1.5 a workflow that is only slow passes for hung; say 2 or more",
        ),
        (
            {"stages": [{"weight": 5}]},
            (
                "stages[0]: 5 % of all requests go to latest, however many these are, until it is found out; "
                'add "quota": "earned", or a number, to limit that'
            ),
        ),
        (
            {"stages": ["earned", {"quota": 20, "gate": {"type": "manual", "timeout": "2h", "default": "continue"}}]},
            "stages[1].gate: after 2 h it opens by itself, whether or not anybody has looked",
        ),
        (
            {"stages": ["earned"], "no_data": "promote"},
            (
                "no_data: at the deadline a version is promoted that has not proved what the plan asks for: "
                'one success is enough; "hold" lets a person decide'
            ),
        ),
        (
            {"stages": ["earned"], "on_abort": "stop"},
            'on_abort: "stop" cuts off work that callers wait for; only retries of theirs do it again',
        ),
        (
            {"stages": ["earned"], "latest_timeout": "2s"},
            (
                "latest_timeout: after 2 s a request that latest is still working on is done again by current; "
                'give it more, or say "fallback": "unstarted"'
            ),
        ),
    ],
)
def test_what_is_weak_is_said_and_nothing_else(document, warning):
    assert warned(**document) == (warning,)


@pytest.mark.parametrize(
    "document",
    [
        {"preset": "careful"},
        {"preset": "fast"},
        {"stages": [{"quota": 20}]},
        {"stages": [{"quota": 58}], "max_failure_rate": 0.1},
        {"stages": ["earned"], "alpha": 0.05, "hung_after": 2, "max_failure_rate": 0.49, "no_data": "hold"},
        {"stages": [{"quota": "earned", "gate": "manual"}], "latest_timeout": "2s", "fallback": "unstarted"},
        {"stages": ["earned"], "latest_timeout": "10s"},
    ],
)
def test_what_is_not_weak_gets_no_warning(document):
    assert warned(**document) == ()


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_told_and_warned_of_like_what_is_kept_of_it(name):
    plan = parse_plan(name)
    assert sentences(plan_from(plan_document(plan))) == sentences(plan)
    assert warnings(plan_from(plan_document(plan))) == warnings(plan)
