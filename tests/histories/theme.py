"""What a history is about, drawn from its seed: the plan, the stacks, who does what how often, and what goes wrong."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from tests.histories.scheduling import Fault

#: How far a clock may be off, and who all operators are.
SKEW_MS = 1_500
OPERATOR = "ops"
TWO = [{"quota": 2}]
#: Plans by their names; the texts of some cannot be read.
PLANS: Mapping[str, Any] = {
    "default": None,
    "one": {"stages": [{"quota": 1, "weight": 100}]},
    "two stages": {"stages": [{"quota": 1}, {"quota": 2, "weight": 100}]},
    "one may fail": {"stages": [{"quota": 3, "weight": 100}], "max_failures": 1},
    "bake": {"stages": [{"quota": 2, "bake": "10m"}]},
    "unstarted": {"stages": TWO, "fallback": "unstarted"},
    "gate": {"stages": [{"quota": 1, "gate": "manual"}, {"quota": 1}]},
    "gate goes on": {"stages": [{"quota": 1, "gate": {"type": "manual", "timeout": "2h", "default": "continue"}}]},
    "watch": {"stages": TWO, "watch": "30m"},
    "watch some": {"stages": [{"quota": 1, "weight": 100}], "watch": {"completed": 2}},
    "queue": {"stages": TWO, "on_new_release": "queue"},
    "queue and watch": {"stages": [{"quota": 1}], "on_new_release": "queue", "watch": "20m"},
    "reject": {"stages": TWO, "on_new_release": "reject"},
    "preflight": {"stages": [{"quota": 1}], "preflight": [1, 2]},
    "stop": {"stages": [{"quota": 3, "weight": 100}], "on_abort": "stop"},
    "none may be lost": {"stages": [{"quota": 2, "weight": 100}], "max_lost": 0},
    "short": {"stages": TWO, "deadline": "1h"},
    "hold": {"stages": TWO, "deadline": "1h", "no_data": "hold"},
    "promote without": {"stages": [{"quota": 3}], "deadline": "1h", "no_data": "promote"},
    "alarms": {"stages": [{"quota": 2, "alarms": ["errors"]}]},
    "earned": {"stages": ["earned"], "max_failure_rate": 0.5},
    "earned coin": {"stages": [{"quota": "earned", "weight": 50}], "max_failure_rate": 0.6, "deadline": "3h"},
    "coin": {"stages": [{"weight": 50}], "max_failure_rate": 0.6, "deadline": "3h"},
    "coin, then earned": {"stages": [{"weight": 50, "min_completed": 2}, "earned"], "max_failure_rate": 0.6},
    "judged number": {"stages": [{"quota": 4, "weight": 100}], "max_failure_rate": 0.9, "no_data": "hold", "deadline": "2h"},
    "judged watch": {
        "stages": ["earned"], "max_failure_rate": 0.7, "watch": {"time": "20m", "completed": 2}, "on_abort": "stop",
        "on_new_release": "queue", "preflight": [1],
    },
    "unreadable": "{",
    "preset": "fast",
}  # fmt: skip
#: Plans that most histories use; the others share the rest.
_OFTEN = ("default", "one", "two stages")
#: Calls that fail much more often in some histories.
_HOT = (
    "ddb.update_row",
    "ddb.put_row",
    "ddb.claim",
    "ddb.save",
    "ddb.mark_counted",
    "ddb.put_record",
    "ddb.finish_key",
    "ddb.begin_key",
    "ssm.write",
    "ssm.read",
    "stack.call",
    "sfn.",
    "ddb.give_back",
    "ddb.lease",
)


class Kind(StrEnum):
    """What a stack is: a state machine, or a Lambda that starts a workflow (named by our id, by its own, shared) or none."""

    MACHINE = "machine"
    NAMED = "named"
    UNNAMED = "unnamed"
    SHARED = "shared"
    PLAIN = "plain"
    EXPRESS = "express"


@dataclass(frozen=True, slots=True)
class Theme:
    """One history's theme. ``weights``: how often what is begun; ``faults``: the chance of each at one call,
    much more at ``hot`` ones.

    ``health``: the chance of a workflow of each stack to succeed; ``calls_fail``: that of a call of any stack to fail. ``leaps``:
    the chance that time makes a leap, ``bursts``: that of an actor to go on with its next call at once. ``acts``: how many calls
    are made before all comes to rest, once or twice; ``opened``: the chance of each to begin with a release. ``skewed``: how far
    clocks differ at most, in milliseconds. ``initialised``: ``latest`` is there from the beginning;
    ``beside``: routers read again what is due beside the call of a stack.
    """

    plan: str
    kind: Kind
    mood: str
    weights: Mapping[str, int]
    faults: Mapping[Fault, float]
    hot: str | None
    health: Mapping[str, float]
    calls_fail: float
    acts: tuple[int, ...]
    initialised: bool
    opened: float
    beside: bool
    routers: int
    flippers: int
    keyed: float
    keys: int
    leaps: float
    bursts: float
    skewed: int

    def __str__(self) -> str:
        bad = ", ".join(f"{name} {health:.0%}" for name, health in self.health.items() if health < 1)
        return f"plan {self.plan!r}, stacks are {self.kind}, {self.mood}, {self.routers} routers, {self.flippers} flippers" + (
            f", workflows succeed: {bad}" if bad else ""
        )


def plan_text(name: str) -> str | None:
    """The parameter's text."""
    document = PLANS[name]
    return document if document is None or isinstance(document, str) else json.dumps(document)


def theme_of(rng: random.Random) -> Theme:
    """Draw a theme."""
    plan = rng.choice(_OFTEN) if rng.random() < 0.25 else rng.choice(list(PLANS))
    kind = rng.choices(list(Kind), (40, 25, 10, 10, 12, 3))[0]
    mood = rng.choices(("calm", "faulty", "rough", "crashing", "stale", "contended"), (15, 30, 12, 15, 15, 13))[0]
    healths = rng.choice(((1, 1, 1, 1), (1, 1, 1, 1), (0, 1, 0, 1), (0.5, 0.5, 1, 1), (0.9, 0.9, 0.9, 0.9), (0, 0, 0, 0)))
    theme = Theme(
        plan=plan,
        kind=kind,
        mood=mood,
        weights=_weights(rng, mood),
        faults=_faults(rng, mood),
        hot=rng.choice(_HOT) if mood != "calm" and rng.random() < 0.5 else None,
        health=dict(zip(("v2", "v3", "v4", "v5"), healths, strict=True)),
        calls_fail=rng.choice((0, 0, 0, 0.1, 0.4)),
        acts=rng.choice(((120,), (200,), (300,), (100, 120), (150, 150))),
        initialised=rng.random() < 0.7,
        beside=rng.random() < 0.5,
        opened=rng.choice((0.0, 0.6, 1.0)),
        routers=rng.randint(1, 4),
        flippers=rng.randint(1, 3),
        keyed=rng.choice((0, 0.2, 0.6)),
        leaps=rng.choice((0.002, 0.01, 0.03)),
        bursts=rng.choice((0.0, 0.5, 0.8)),
        skewed=rng.choice((0, 0, SKEW_MS)),
        keys=4,
    )
    return _aimed(theme, rng) if rng.random() < 0.3 else theme


def _aimed(theme: Theme, rng: random.Random) -> Theme:
    """A theme that aims at what others hardly come to."""
    faulty = dict.fromkeys((Fault.REFUSED, Fault.THROTTLED, Fault.UNANSWERED, Fault.CRASH_BEFORE, Fault.CRASH_AFTER), 0.005)
    match rng.choice(("keys", "unrecorded", "unsent", "rollbacks", "switches", "newer", "held")):
        case "keys":
            crash = {Fault.CRASH_BEFORE: 0.06, Fault.CRASH_AFTER: 0.06}
            often = {**theme.weights, "request": 900}
            return replace(theme, mood="keys", keyed=1.0, keys=2, leaps=0.05, routers=4, faults=crash, weights=often)
        case "unrecorded":
            kind, hot = rng.choice((Kind.SHARED, Kind.SHARED, Kind.NAMED)), "ddb.update_row"
            health = dict.fromkeys(theme.health, 1.0)
            return replace(
                theme, mood="unrecorded", plan="stop", kind=kind, calls_fail=0.5, hot=hot, faults=faulty, health=health
            )
        case "unsent":
            plan = rng.choice(("none may be lost", "one", "earned"))
            return replace(theme, mood="unsent", plan=plan, calls_fail=0.5, faults={Fault.THROTTLED: 0.01}, hot="stack.call")
        case "rollbacks":
            often = {**theme.weights, "fitting": 60, "foreign": 2, "tag": 6}
            return replace(theme, mood="rollbacks", plan="one", acts=(100, 200), weights=often, faults=faulty, calls_fail=0)
        case "switches":
            often = {**theme.weights, "stop-all": 40, "fitting": 40, "tag": 30}
            return replace(theme, mood="switches", weights=often, faults={}, bursts=rng.choice((0.5, 0.8)))
        case "newer":
            often = {**theme.weights, "tag": 60, "withdraw": 10, "nonsense": 20}
            return replace(theme, mood="newer", weights=often, faults={Fault.STALE: 0.2, Fault.UNANSWERED: 0.01}, hot="ssm.write")
        case _:
            often = {**theme.weights, "blind": 10, "alarm": 30, "fitting": 40, "foreign": 2}
            plan = rng.choice(("alarms", "gate", "earned", "coin", "hold"))
            return replace(theme, mood="held", plan=plan, weights=often, faults={Fault.DENIED: 0.2, Fault.STALE: 0.05})


def _weights(rng: random.Random, mood: str) -> dict[str, int]:
    """How often what is begun, relative to each other."""
    weights = {
        "request": rng.choice((300, 300, 900)),
        "pass": 260,
        "end": 220,
        "tag": rng.choice((6, 12, 30)),
        "withdraw": rng.choice((0, 0, 4, 10)),
        "nonsense": rng.choice((0, 0, 4)),
        "foreign": rng.choice((0, 0, 0, 2)),
        "redrive": rng.choice((0, 0, 6)),
        "alarm": 12,
        "plan": rng.choice((0, 0, 4)),
        "outage": rng.choice((0, 0, 6)) if mood != "calm" else 0,
        "blind": rng.choice((0, 0, 0, 8)),
        "stop-all": rng.choice((0, 0, 5)),
        "retry": rng.choice((0, 6)),
        "release": rng.choice((0, 4)),
        "find": 10,
    }
    for verb in ("pause", "resume", "abort", "promote", "force", "rollback"):
        weights[verb] = rng.choice((0, 0, 0, 3))
    weights["fitting"] = rng.choice((0, 8, 25, 60))
    if mood == "contended":
        weights |= {"tag": 60, "pass": 330}
    return weights


def _faults(rng: random.Random, mood: str) -> dict[Fault, float]:
    """The chance of each fault at one call."""
    match mood:
        case "calm":
            return {}
        case "faulty":
            each = rng.choice((0.005, 0.01, 0.02))
            return dict.fromkeys(Fault, each) | {Fault.STALE: 3 * each}
        case "rough":
            return dict.fromkeys(Fault, 0.03) | {Fault.STALE: 0.2}
        case "crashing":
            return {Fault.CRASH_BEFORE: 0.025, Fault.CRASH_AFTER: 0.025, Fault.STALE: 0.02}
        case "stale":
            return {Fault.STALE: 0.5, Fault.SLOW: 0.02}
        case _:
            return {Fault.STALE: 0.03, Fault.SLOW: 0.05, Fault.UNANSWERED: 0.01}
