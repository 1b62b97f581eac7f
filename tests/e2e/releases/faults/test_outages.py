"""The control plane fails, in every way that it can, while requests flow: nobody upstream notices, and all settles by itself."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.releases.faults.proxy import Service, Way
from tests.e2e.releases.faults.scenario import Case, Life, Phase

pytestmark = pytest.mark.xdist_group("outages")
WAYS = [way for way in Way if way is not Way.REFUSED]
CONTROL = (Service.SSM, Service.DYNAMODB, Service.STATES)
#: All of them, in minutes, where somebody asks for it.
ALL = os.environ.get("CANARY_OUTAGES") == "all"
EVERY = [Case(service, way, phase) for service, way, phase in itertools.product(CONTROL, WAYS, Phase)]
#: Every service in every phase, and every way with two of them.
SOME = [
    Case(service, WAYS[(number * 4 + turn) % len(WAYS)], phase)
    for number, service in enumerate(CONTROL)
    for turn, phase in enumerate(Phase)
]
INVOKE = [Case(Service.LAMBDA, way, Phase.TRIAL) for way in WAYS]
NOTICES = [Case(service, way, Phase.PROMOTION) for service in (Service.EVENTS, Service.SNS) for way in WAYS]
#: A throttled invoke starts nothing, of one that is half dead nobody knows; an event is told again until it was heard.
MORE = [INVOKE[1], INVOKE[5], Case(Service.EVENTS, Way.BROKEN, Phase.PROMOTION)]
CASES = [*EVERY, *INVOKE, *NOTICES] if ALL else [*SOME, *MORE]
AT_ONCE = 6


@pytest.fixture(scope="module")
def lived(request: pytest.FixtureRequest, live: Callable[[Case], Life]) -> dict[Case, Life]:
    """All cases of which this run wants to know, several at once."""
    tests = [item for item in request.session.items if isinstance(item, pytest.Function) and item.module is request.module]
    cases = [test.callspec.params["case"] for test in tests if "case" in test.callspec.params]
    with ThreadPoolExecutor(AT_ONCE) as crowd:
        return dict(zip(cases, crowd.map(live, cases), strict=True))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_nobody_is_turned_away_and_all_settles_by_itself(lived, case, record_property):
    life = lived[case]
    record_property("calls that failed", life.hits)
    record_property("requests", len(life.sent))
    if life.error:
        raise life.error
    assert life.hits, "nobody has met the outage"
