"""A call that was sent and never answered may have taken effect: that the next try surely did nothing does not change it."""

from __future__ import annotations

from typing import Any

import pytest

from canary.wire.call import Patience, Pending
from canary.wire.faults import Broken, NoAnswer, Refusal, Unreached, WireFault


class Line:
    """A connection on which this happens."""

    def __init__(self, fault: WireFault) -> None:
        self.fault = fault

    def receive(self, _: float) -> Any:
        raise self.fault


class Wire:
    """Sends, and each time something else goes wrong."""

    def __init__(self, *faults: WireFault) -> None:
        self.faults = list(faults)

    def send(self, *_: Any) -> Line:
        fault = self.faults.pop(0)
        if isinstance(fault, Unreached):
            raise fault
        return Line(fault)

    def wait(self) -> None: ...
    def lose(self, *_: Any) -> None: ...
    def give_back(self, *_: Any) -> None: ...


def outcome(*faults: WireFault) -> type[WireFault]:
    pending = Pending(Wire(*faults), None, "/", {}, b"", Patience(1, 1, len(faults)))  # type: ignore[arg-type]
    with pytest.raises(WireFault) as raised:
        pending.response()
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
