"""What others do, where their documentation says so."""

from __future__ import annotations

import numpy as np
import pytest

from canary.simulating.durations import Lognormal
from canary.simulating.policy import Ending
from canary.simulating.rivals import RIVALS
from canary.simulating.rivals.argo import Argo
from canary.simulating.rivals.article import FirstTwo
from canary.simulating.rivals.codedeploy import AnyError, CodeDeploy, ErrorRate
from canary.simulating.rivals.flagger import Flagger
from canary.simulating.rivals.kayenta import Kayenta, is_high
from canary.simulating.rivals.traffic import Phase, shown
from canary.simulating.trace import Trace
from canary.simulating.world import GOOD, Version, World

BUSY = World(hourly=36_000, durations=Lognormal(2000))
QUIET = World()
BROKEN = Version(name="always fails", rate=1.0)


def endings(policy, world, version, releases=8):
    return {policy.release(Trace(world, 1, number), version).ending for number in range(releases)}


@pytest.mark.parametrize("policy", RIVALS, ids=lambda policy: policy.name)
def test_every_policy_says_what_is_supposed_of_it(policy):
    assert policy.name
    assert policy.assumptions


@pytest.mark.parametrize(
    ("policy", "exposed"),
    [
        (FirstTwo(), 2),
        (CodeDeploy(AnyError()), 60),
        (CodeDeploy(ErrorRate()), 60),
        (Argo(), 3600),
        (Flagger(), 360),
        (Kayenta(), 600),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_with_traffic_a_broken_version_is_out_after_so_many(policy, exposed):
    fates = [policy.release(Trace(BUSY, 1, number), BROKEN) for number in range(8)]
    assert {fate.ending for fate in fates} == {Ending.ABORTED}
    assert np.mean([fate.exposed for fate in fates]) == pytest.approx(exposed, rel=0.15)


@pytest.mark.parametrize(
    "policy", [CodeDeploy(AnyError()), CodeDeploy(ErrorRate()), Argo(), Kayenta()], ids=lambda policy: policy.name
)
def test_with_little_traffic_a_broken_version_is_shipped_by_who_takes_no_data_for_fine(policy):
    assert endings(policy, QUIET, BROKEN) == {Ending.PROMOTED}


@pytest.mark.parametrize("policy", [Argo(no_data_is_fine=False), Flagger()], ids=lambda policy: policy.name)
def test_with_little_traffic_a_good_version_is_thrown_out_by_who_takes_no_data_for_failed(policy):
    assert endings(policy, QUIET, GOOD) == {Ending.ABORTED}


def test_the_articles_rule_waits_for_what_never_ends():
    assert endings(FirstTwo(), QUIET, Version(name="hangs", hanging=1.0, rate=0.0), 1) == {Ending.UNDECIDED}


def test_kayenta_calls_high_what_is_clearly_higher():
    low, high = np.linspace(0.0, 0.01, 10), np.linspace(0.05, 0.07, 10)
    assert is_high(high, low)
    assert not is_high(low, high)
    assert not is_high(low, low)
    assert not is_high(np.zeros(10), np.zeros(10))
    assert not is_high(np.array([]), low)


def test_traffic_follows_the_weights():
    seen = shown(BUSY, Trace(BUSY, 1, 1).latest, GOOD, [Phase(10, 10), Phase(10, 50)])
    assert seen.exposed(600_000) == pytest.approx(600, rel=0.15)
    assert len(seen.starts) == pytest.approx(3600, rel=0.1)
    assert seen.starts[-1] < 1_200_000
    ended, failed = seen.by_minute(20)
    assert ended.sum() == (seen.ends < 1_200_000).sum()
    assert failed.sum() == (seen.failed & (seen.ends < 1_200_000)).sum()
