"""A call that was sent and never answered may have taken effect: that the next try surely did nothing does not change it."""

from __future__ import annotations

import pytest

from canary.wire.call import repeated
from canary.wire.connection import Response
from canary.wire.faults import Broken, NoAnswer, Refusal, Unreached, WireFault


def outcome(*faults: WireFault) -> type[WireFault]:
    """What is told of a call that is tried so often, and each time something else goes wrong."""
    left = list(faults)

    def once() -> Response:
        raise left.pop(0)

    with pytest.raises(WireFault) as raised:
        repeated(once, len(faults), lambda: None)
    return raised.type


THROTTLED = Refusal(400, "ThrottlingException", {})


@pytest.mark.parametrize("unclear", [NoAnswer("late"), Broken("cut off")])
@pytest.mark.parametrize("then", [Unreached("refused"), THROTTLED])
def test_what_was_sent_and_never_answered_stays_unclear(unclear, then):
    assert outcome(unclear, then) is type(unclear)


def test_what_never_went_out_is_known_not_to_have_taken_effect():
    assert outcome(Unreached("refused"), Unreached("refused")) is Unreached
    assert outcome(Unreached("refused"), THROTTLED) is Refusal


def test_an_answer_about_the_first_try_is_an_answer():
    assert outcome(NoAnswer("late"), Refusal(400, "ExecutionAlreadyExists", {})) is Refusal
