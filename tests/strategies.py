"""Anything that the domain can be: for tests that say something of all of it."""

from __future__ import annotations

from hypothesis import Phase
from hypothesis import strategies as st

from canary.domain.plan import MAX_DEADLINE_MS, MAX_LATEST_TIMEOUT_MS, MAX_QUOTA, MAX_STAGES, Fallback, Plan, Stage
from canary.domain.release import (
    Ask,
    Change,
    Flip,
    Gate,
    Notice,
    NoticeKind,
    Release,
    ReleaseState,
    Tally,
    Verb,
)

#: Where an example takes milliseconds, shrinking takes minutes: the first one that fails has to do.
NO_SHRINKING = (Phase.explicit, Phase.generate)
#: 1970 to 2100, to the millisecond.
times = st.integers(0, 4_102_444_800_000)
#: What DynamoDB takes: any Unicode text but half a surrogate pair.
texts = st.text(st.characters(codec="utf-8"), max_size=30)
counts = st.integers(0, 10**6)
keys = st.from_regex(r"[0-9]{8}-[0-9a-f]{8}", fullmatch=True)
request_ids = st.from_regex(r"[A-Za-z0-9_-]{1,80}", fullmatch=True)
statuses = st.sampled_from(["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED", "LOST"])


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Every plan that the parameter may hold."""
    deadline = draw(st.integers(1, MAX_DEADLINE_MS))
    count = draw(st.integers(1, MAX_STAGES))
    stages = tuple(
        Stage(
            quota=draw(st.integers(1, MAX_QUOTA)),
            weight=draw(st.integers(1, 100)),
            bake_ms=draw(st.integers(0, (deadline - 1) // count)),
        )
        for _ in range(count)
    )
    quota = sum(stage.quota for stage in stages)
    return Plan(
        stages=stages,
        max_failures=draw(st.integers(0, min(quota - 1, MAX_QUOTA))),
        max_lost=draw(st.just(-1) | st.integers(0, MAX_QUOTA)),
        deadline_ms=deadline,
        fallback=draw(st.sampled_from(Fallback)),
        latest_timeout_ms=draw(st.integers(100, MAX_LATEST_TIMEOUT_MS)),
        transform_id=draw(st.none() | texts.filter(str.strip)),
    )


def releases(release: str = "00000001-0123abcd", app: str = "transformer") -> st.SearchStrategy[Release]:
    """Every release, however unlikely."""
    maybe = st.none() | texts
    return st.builds(
        Release,
        app=st.just(app),
        release=st.just(release),
        rev=st.integers(1, 10**6),
        state=st.sampled_from(ReleaseState),
        since=times,
        opened_at=times,
        written_at=times,
        value=texts,
        target=texts,
        tag=texts,
        by=maybe,
        commit=maybe,
        plan=plans(),
        stage=st.integers(0, MAX_STAGES - 1),
        stage_since=times,
        granted=counts,
        claimed=counts,
        gate=st.sampled_from(Gate),
        open=st.dictionaries(request_ids, times, max_size=3),
        tally=st.builds(Tally, *[counts] * 6),
        counted=st.dictionaries(request_ids, statuses, max_size=3),
        lost_forgiven=counts,
        refunds_forgiven=counts,
        state_machine=maybe,
        asks=st.lists(st.builds(Ask, st.sampled_from(Verb), texts, texts, times), max_size=2).map(tuple),
        flip=st.none() | st.builds(Flip, texts, counts, texts),
        verdict=maybe,
        reason=maybe,
        refusal=maybe,
        warning=maybe,
        restored_from=maybe,
        ended_at=st.none() | times,
        notices=st.lists(st.builds(Notice, st.sampled_from(NoticeKind), texts, times), max_size=2).map(tuple),
        history=st.lists(st.builds(Change, times, texts, texts, texts), max_size=3).map(tuple),
    )
