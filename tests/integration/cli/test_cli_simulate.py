"""`canary simulate`: plans tried out, and an app's own history asked for where that is wanted."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass

import pytest

from canary.cli.verb import Session
from canary.domain.baseline import Past

QUICK = ("--releases", "4", "--jobs", "1")


@dataclass
class _History:
    """Executions of an app: one every ten minutes, one in ten failed, two minutes each."""

    count: int

    def past(self, machine):
        assert machine.endswith("transformer-v1")
        return [Past(number % 10 == 0, number * 600_000, 120_000) for number in range(self.count)]


@pytest.fixture
def history(monkeypatch):
    return lambda count: monkeypatch.setattr(Session, "executions", _History(count))


def test_a_plan_is_tried_out_and_shown_for_each_version(here):
    shown = here.canary("simulate", "two-requests", *QUICK)
    assert shown.exit_code == 0
    for words in (
        "as good as current",
        "fails half the time",
        "always fails",
        "one in ten hangs",
        "6 requests an hour",
        "seed 1",
    ):
        assert words in " ".join(shown.stdout.split())
    assert "0 % fail" not in shown.stdout


def test_programs_get_every_number_and_the_same_ones_again(here):
    first, again = (here.json("simulate", "two-requests", *QUICK, "--compare") for _ in range(2))
    assert first == again
    ours, article, *others = first["policies"]
    assert ours["policy"] == "two-requests"
    assert article["policy"].startswith("article")
    assert len(others) == 6
    assert all(each["assumptions"] for each in first["policies"])
    broken = next(row for row in ours["versions"] if row["version"] == "always fails")
    assert broken["out"]["rate"] == 1
    assert broken["exposed"]["mean"] <= 2
    assert broken["causes"] == {"failures": 4}


def test_a_plan_may_be_json_and_the_world_may_be_another(here):
    plan = json.dumps({"stages": [{"quota": 3, "weight": 100}]})
    world = [
        "--requests-per-second",
        "2",
        "--duration",
        "30s",
        "--spread",
        "3",
        "--normal",
        "2%",
        "--heavy-tailed",
        "--outage",
        "5m",
    ]
    found = here.json("simulate", plan, *QUICK, *world, "--failing-takes", "0.2", "--history", "100", "--seed", "9")
    assert found["policies"][0]["policy"] == "this plan"
    assert found["seed"] == 9
    for words in ("2 requests a second", "30 s", "2 % fail", "power law", "100 executions", "0.2 ×", "outage", "5 min"):
        assert words in found["world"]


def test_a_picture_is_drawn(here, tmp_path):
    for more in ((), ("--compare",)):
        picture = tmp_path / f"out{len(more)}.png"
        shown = here.canary("simulate", "two-requests", *QUICK, "--plot", str(picture), *more)
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert str(picture) in shown.stderr


def test_an_app_can_be_the_model(here, history):
    here.app()
    history(50)
    found = here.json("simulate", "two-requests", *QUICK, "--like", "transformer")
    assert "6 requests an hour" in found["world"]
    assert "50 real ones: half take longer than 2 min" in found["world"]
    assert "10 % fail normally" in found["world"]
    stretched = here.json(
        "simulate", "two-requests", *QUICK, "--like", "transformer", "--requests-per-hour", "60", "--normal", "1%"
    )
    assert "60 requests an hour" in stretched["world"]
    assert "1 % fail normally" in stretched["world"]


def test_an_app_without_a_history_is_no_model(here, history):
    here.app()
    history(19)
    refused = here.canary("simulate", "two-requests", *QUICK, "--like", "transformer")
    assert refused.exit_code == 1
    assert "19 finished executions" in refused.stderr
    assert "--requests-per-hour" in refused.stderr


def test_a_plan_that_nothing_could_pass_is_refused(here):
    plan = json.dumps({"stages": [{"quota": "earned"}], "max_failure_rate": 0.01})
    refused = here.canary("simulate", plan, *QUICK, "--normal", "20%")
    assert refused.exit_code == 1
    assert "nothing could pass" in refused.stderr


@pytest.mark.parametrize(
    "options",
    [
        ["--requests-per-hour", "6", "--requests-per-second", "6"],
        ["--normal", "120%"],
        ["--normal", "often"],
        ["--duration", "soon"],
        ["--releases", "0"],
    ],
)
def test_what_makes_no_sense_is_wrong_usage(here, options):
    assert here.canary("simulate", "two-requests", *options).exit_code == 2


def test_without_numpy_it_says_how_to_get_it(here, monkeypatch):
    for name in [name for name in sys.modules if name.startswith(("canary.simulating", "canary.cli.show_simulation"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "numpy", None)
    refused = here.canary("simulate", "careful")
    assert refused.exit_code == 1
    assert "canary-router[simulation]" in refused.stderr
    assert "numpy" in refused.stderr
