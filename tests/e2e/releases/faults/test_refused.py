"""Nobody listens where a service was, for all apps at once, in whatever phase they are."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.releases.faults.proxy import Service, Way
from tests.e2e.releases.faults.scenario import Case, Life, Phase

pytestmark = pytest.mark.xdist_group("outages")


@pytest.mark.parametrize("service", [Service.SSM, Service.DYNAMODB, Service.STATES, Service.LAMBDA])
def test_nobody_is_turned_away_while_a_service_refuses_connections_and_all_settles_by_itself(
    live: Callable[[Case], Life], service: Service
):
    phases = [Phase.TRIAL] if service is Service.LAMBDA else list(Phase)
    cases = [Case(service, Way.REFUSED, phase) for phase in phases]
    with ThreadPoolExecutor(len(cases)) as crowd:
        lives = list(crowd.map(live, cases))
    for life in lives:
        if life.error:
            raise life.error
        assert any(sent.outage for sent in life.sent)
