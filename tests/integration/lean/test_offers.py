"""What a router reads of releases and apps, from the items that the flipper writes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canary.aws.releases import ReleaseTable
from canary.domain.app import App, Mirror
from canary.domain.offer import Offer
from canary.domain.plan import Fallback, Plan, Stage
from canary.domain.release import Control, Release
from canary.domain.states import Gate, ReleaseState
from canary.errors import Unavailable
from canary.lean.slots import LeanSlots
from tests.fakes.endpoint import wired
from tests.integration.conftest import REGION

NOW = 1_795_246_200_123
APP, NAME = "transformer", "00000001-0123abcd"
RELEASE = Release(
    app=APP, release=NAME, rev=1, state=ReleaseState.RUNNING, since=NOW, opened_at=NOW, written_at=NOW, value="v", target="t",
    tag="v2", granted=2, gate=Gate.OPEN,
)  # fmt: skip
READ = [name for name, value in vars(Offer).items() if isinstance(value, property)]


@pytest.fixture
def table(moto, tables):
    return ReleaseTable(moto("dynamodb"), tables.releases, REGION)


@pytest.fixture
def slots(moto_over_http, tables):
    with wired(moto_over_http) as wire:
        yield LeanSlots(wire, tables.releases)


def said(offer) -> dict:
    """All that a router may ask; of what is known of current's workflows only whether it is."""
    return {name: getattr(offer, name) for name in READ if name != "control"} | {"control": offer.control is not None}


def test_a_release_that_does_not_exist_is_none(slots):
    assert slots.release(APP, NAME) is None


plans = st.builds(
    Plan,
    stages=st.just((Stage(quota=3), Stage(quota=1))), max_failures=st.integers(0, 3), fallback=st.sampled_from(Fallback),
    latest_timeout_ms=st.integers(100, 20_000), transform_id=st.none() | st.just("a.b"),
) | st.just(Plan(stages=(Stage(quota=3), Stage()), max_failures=None))  # fmt: skip
releases = st.builds(
    replace,
    st.just(RELEASE),
    release=st.integers(1, 10**8).map("{:08d}-0123abcd".format), state=st.sampled_from(ReleaseState), gate=st.sampled_from(Gate),
    share=st.integers(1, 10_000), granted=st.integers(0, 10**6), claimed=st.integers(0, 10**6), value=st.text(min_size=1),
    behind=st.none() | st.just("00000002-0123abcd"), open=st.just({"a": NOW}), plan=plans,
    control=st.none() | st.builds(Control, st.none() | st.text(min_size=1), st.booleans()),
)  # fmt: skip


@settings(max_examples=60)
@given(release=releases)
def test_an_offer_says_of_a_release_what_the_release_says(slots, table, release):
    if not table.create(release):
        return
    assert said(slots.release(APP, release.release)) == said(table.release(APP, release.release)) == said(release)


def test_an_item_of_the_first_version_has_the_weight_of_its_stage_for_a_share(slots, table, moto, tables):
    table.create(replace(RELEASE, plan=Plan(stages=(Stage(quota=1), Stage(quota=1, weight=7))), stage=1))
    moto("dynamodb").update_item(
        TableName=tables.releases, Key={"app": {"S": APP}, "release": {"S": NAME}}, UpdateExpression="REMOVE stage_base, #s",
        ExpressionAttributeNames={"#s": "share"},
    )  # fmt: skip
    assert slots.release(APP, NAME).share == table.release(APP, NAME).share == 700


@pytest.mark.parametrize(
    ("name", "value"),
    [("state", "NOVEL"), ("gate", "AJAR"), ("plan", "{"), ("plan", '{"stages": 7}'), ("claimed", "many"), ("value", None)],
)
def test_an_item_that_cannot_be_understood_is_unavailable_and_names_the_release(slots, table, moto, tables, name, value):
    table.create(RELEASE)
    moto("dynamodb").update_item(
        TableName=tables.releases, Key={"app": {"S": APP}, "release": {"S": NAME}}, UpdateExpression="SET #n = :v",
        ExpressionAttributeNames={"#n": name}, ExpressionAttributeValues={":v": {"S": value} if value else {"NULL": True}},
    )  # fmt: skip
    with pytest.raises(Unavailable, match=NAME) as caught:
        slots.release(APP, NAME)
    assert caught.value.code == "Unreadable"


def test_what_only_the_flipper_reads_may_be_anything(slots, table, moto, tables):
    table.create(RELEASE)
    moto("dynamodb").update_item(
        TableName=tables.releases, Key={"app": {"S": APP}, "release": {"S": NAME}}, UpdateExpression="SET history = :v, #o = :v",
        ExpressionAttributeNames={"#o": "hold"}, ExpressionAttributeValues={":v": {"S": "?"}},
    )  # fmt: skip
    assert slots.release(APP, NAME).granted == 2


def test_an_app_has_its_mirror(slots, table):
    assert slots.app(APP) is None
    table.lease(APP, "me", NOW, NOW + 1)
    assert slots.app(APP) is None
    table.save_app(App(app=APP), App(app=APP, checked=7))
    assert slots.app(APP).mirror is None
    table.save_app(table.app(APP), replace(table.app(APP), mirror=Mirror("v", 3)))
    assert slots.app(APP) == App(app=APP, rev=2, mirror=Mirror("v", 3))
