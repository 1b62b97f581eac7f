"""What the flipper sees of an app that has one release: its parameters, before the flip and after it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from typing import Final

from canary.domain.alarm import AlarmState
from canary.domain.app import App, Inspection, Parameter, Seen, Version
from canary.domain.baseline import Baseline
from canary.domain.opening import adopt, opening
from canary.domain.plan import Plan
from canary.domain.plan_document import plan_document
from canary.domain.release import Control, Release, release_key
from canary.domain.sight import Sight
from canary.domain.steps import CreateRelease, SaveRelease
from canary.domain.target import BLANK

_APP: Final = "simulated"
_STACK: Final = "arn:aws:states:eu-west-1:123456789012:stateMachine:simulated-v"
_CURRENT: Final = Parameter(f"{_STACK}1", 1, 0)
_LATEST: Final = Parameter(f"{_STACK}2", 2, 0)
_KEY: Final = release_key(_LATEST.version, _LATEST.value, _LATEST.modified_at)
_CONTROL: Final = Control(f"{_STACK}1", named=True)

_BEFORE: Final = Seen(
    app=App(app=_APP, followed=(_KEY,)),
    current=_CURRENT,
    latest=_LATEST,
    previous=None,
    history=(Version(_LATEST.value, _LATEST.version, _LATEST.modified_at, ""),),
)
_AFTER: Final = Seen(
    app=App(app=_APP, followed=(_KEY,), promoted=_KEY),
    current=Parameter(_LATEST.value, 2, 0),
    latest=Parameter(BLANK, 3, 0),
    previous=Parameter(_CURRENT.value, 1, 0),
)


class PlanRefused(Exception):
    """The release would be REJECTED: the message says why."""


def opened(plan: Plan, baseline: Baseline) -> Release:
    """Open a release of a plan, as the flipper does. Raises `PlanRefused`."""
    adopted = adopt(_BEFORE, 0)
    assert isinstance(adopted, CreateRelease)  # noqa: S101 - latest names a release that does not exist yet
    seen = replace(_BEFORE, inspection=Inspection(_text(plan), baseline=baseline, control=_CONTROL))
    step = opening(adopted.release, seen, 0)
    assert isinstance(step, SaveRelease)  # noqa: S101 - it is looked at, and begins or is refused
    if step.after.refusal:
        raise PlanRefused(step.after.refusal)
    return step.after


def on_trial_sight(release: Release, sight: Sight) -> Seen:
    """What is seen while the release is on trial."""
    return replace(_BEFORE, releases={_KEY: release}, sights={_KEY: sight})


def after_flip(release: Release, sight: Sight) -> Seen:
    """What is seen once it is current."""
    return replace(_AFTER, releases={_KEY: release}, sights={_KEY: sight})


def all_ok(names: Iterable[str]) -> dict[str, AlarmState]:
    """Alarms that do not ring."""
    return dict.fromkeys(names, AlarmState.OK)


@cache
def _text(plan: Plan) -> str:
    return json.dumps(plan_document(plan))
