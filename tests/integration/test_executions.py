"""Reading executions, with the answers that AWS gives late, or not at all; and stopping them."""

from __future__ import annotations

from typing import Any

import pytest

from canary.aws.executions import StepFunctions
from canary.domain.audit import SKEW_MS, ExecutionStatus
from canary.domain.baseline import MOST_PAST, Past
from canary.errors import Denied, Unavailable
from tests.integration.conftest import ACCOUNT, REGION, Wire, error

NOW = 1_795_246_200_123


def machine(name: str = "transformer-v2") -> str:
    return f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{name}"


def execution(number: int, name: str = "transformer-v2") -> str:
    return f"arn:aws:states:{REGION}:{ACCOUNT}:execution:{name}:request-{number:02d}"


def told(arn: str, status: str = "RUNNING", **more) -> dict:
    return {
        "executionArn": arn, "stateMachineArn": machine(), "name": arn.rsplit(":", 1)[1], "status": status,
        "startDate": NOW / 1000, **more,
    }  # fmt: skip


def operations(service) -> list[str]:
    return [request.headers["X-Amz-Target"].decode().split(".")[1] for request in service.requests]


def test_an_execution_is_described_with_its_times_and_the_name_of_its_error(scripted):
    ended = told(execution(1), "FAILED", stopDate=(NOW + 5) / 1000, error="TransformError", cause="card 4111")
    service = scripted("stepfunctions", Wire(ended))
    seen = StepFunctions(service.client).observe([execution(1)])[execution(1)]
    assert (seen.status, seen.started_at, seen.stopped_at) == (ExecutionStatus.FAILED, NOW, NOW + 5)
    assert seen.error == "TransformError"


@pytest.mark.parametrize("status", sorted(set(ExecutionStatus) - {ExecutionStatus.MISSING, ExecutionStatus.UNREADABLE}))
def test_every_status_of_step_functions_is_understood(scripted, status):
    service = scripted("stepfunctions", Wire(told(execution(1), status.value)))
    assert StepFunctions(service.client).observe([execution(1)])[execution(1)].status is status


@pytest.mark.parametrize("code", ["ExecutionDoesNotExist", "InvalidArn"])
def test_an_execution_that_is_not_known_is_missing(scripted, code):
    service = scripted("stepfunctions", error(code))
    assert StepFunctions(service.client).observe([execution(1)])[execution(1)].status is ExecutionStatus.MISSING


def test_an_execution_that_we_may_not_see_is_unreadable_and_says_why(scripted):
    service = scripted("stepfunctions", error("AccessDeniedException", message="not you"))
    seen = StepFunctions(service.client).observe([execution(1)])[execution(1)]
    assert seen.status is ExecutionStatus.UNREADABLE
    assert "not you" in seen.error


def test_nothing_is_asked_and_nobody_is_called(scripted):
    service = scripted("stepfunctions", error("ThrottlingException"))
    assert StepFunctions(service.client).observe([]) == {}
    assert service.requests == []


class TestMany:
    """From twenty executions of one state machine, pages are read instead."""

    def test_twenty_are_listed_in_one_call(self, scripted):
        arns = [execution(n) for n in range(20)]
        service = scripted("stepfunctions", Wire({"executions": [told(arn, "SUCCEEDED") for arn in arns]}))
        seen = StepFunctions(service.client).observe(arns)
        assert {arn: e.status for arn, e in seen.items()} == dict.fromkeys(arns, ExecutionStatus.SUCCEEDED)
        assert (operations(service), service.asked()["maxResults"]) == (["ListExecutions"], 1000)

    def test_nineteen_are_described(self, scripted):
        service = scripted("stepfunctions", Wire(told(execution(0))))
        StepFunctions(service.client).observe([execution(n) for n in range(19)])
        assert operations(service) == ["DescribeExecution"] * 19

    def test_one_that_a_late_list_lacks_is_described(self, scripted):
        arns = [execution(n) for n in range(20)]
        late = Wire({"executions": [told(arn) for arn in arns[1:]]})
        service = scripted("stepfunctions", late, Wire({"executions": []}), Wire(told(arns[0], "FAILED")))
        seen = StepFunctions(service.client).observe(arns)
        assert (len(seen), seen[arns[0]].status) == (20, ExecutionStatus.FAILED)
        assert operations(service) == ["ListExecutions", "ListExecutions", "DescribeExecution"]
        assert (service.asked(0)["statusFilter"], "statusFilter" in service.asked(1)) == ("RUNNING", False)

    def test_of_more_than_may_be_described_at_once_the_oldest_are_and_the_others_are_absent(self, scripted):
        arns = [f"{execution(0)}{n:04d}" for n in range(300)]
        nothing = Wire({"executions": []})
        service = scripted("stepfunctions", nothing, nothing, Wire(told(arns[0], "SUCCEEDED")))
        assert StepFunctions(service.client).observe(reversed(arns)).keys() == set(arns[:200])
        assert operations(service)[2:] == ["DescribeExecution"] * 200

    def test_executions_of_others_on_the_page_are_passed_over(self, scripted):
        arns = [execution(n) for n in range(20)]
        service = scripted("stepfunctions", Wire({"executions": [told(a) for a in [*arns, execution(99)]]}))
        assert StepFunctions(service.client).observe(arns).keys() == set(arns)

    def test_pages_are_turned_until_all_are_found_and_no_further(self, scripted):
        arns = [execution(n) for n in range(20)]
        pages = [
            Wire({"executions": [told(a) for a in arns[:10]], "nextToken": "1"}),
            Wire({"executions": [told(a) for a in arns[10:]], "nextToken": "2"}),
        ]
        service = scripted("stepfunctions", *pages)
        assert len(StepFunctions(service.client).observe(arns)) == 20
        assert operations(service) == ["ListExecutions"] * 2

    def test_where_they_may_not_be_listed_each_says_so_itself(self, scripted):
        arns = [execution(n) for n in range(20)]
        service = scripted("stepfunctions", error("AccessDeniedException"))
        assert {e.status for e in StepFunctions(service.client).observe(arns).values()} == {ExecutionStatus.UNREADABLE}

    def test_those_of_a_state_machine_that_was_deleted_are_missing(self, scripted):
        arns = [execution(n) for n in range(20)]
        service = scripted("stepfunctions", error("StateMachineDoesNotExist"), error("ExecutionDoesNotExist"))
        assert {e.status for e in StepFunctions(service.client).observe(arns).values()} == {ExecutionStatus.MISSING}

    def test_few_of_one_state_machine_are_not_listed_because_another_has_many(self, scripted):
        many, few = [execution(n) for n in range(20)], [execution(1, "transformer-v3")]
        listed = Wire({"executions": [told(a) for a in many]})
        service = scripted("stepfunctions", Wire(told(few[0])), listed)
        StepFunctions(service.client).observe([*few, *many])
        assert sorted(operations(service)) == ["DescribeExecution", "ListExecutions"]


def ran(number: int, started_at: int, status: str = "FAILED", duration_ms: int = 60_000) -> dict:
    ended = {} if status == "RUNNING" else {"stopDate": (started_at + duration_ms) / 1000}
    return told(execution(number), status, **ended) | {"startDate": started_at / 1000}


def pages(*found: list[dict], more: bool = False) -> list[Wire]:
    """Pages that each name the next one; the last one too, where there are ``more`` that nobody should ask for."""
    tokens = [{"nextToken": str(n)} for n in range(len(found))]
    if not more:
        tokens[-1] = {}
    return [Wire({"executions": page, **token}) for page, token in zip(found, tokens, strict=True)]


def thousand(newest: int, status: str = "FAILED") -> list[dict]:
    """A whole page, a second between the starts."""
    return [ran(newest - n, NOW - 1000 * (newest + n), status) for n in range(1000)]


class TestPast:
    def test_it_is_read_in_pages_of_a_thousand(self, scripted):
        answers = pages([ran(2, NOW, "SUCCEEDED")], [ran(1, NOW - 9, "TIMED_OUT", 5)])
        service = scripted("stepfunctions", *answers)
        assert StepFunctions(service.client).past(machine()) == (Past(False, NOW, 60_000), Past(True, NOW - 9, 5))
        assert service.asked() == {"stateMachineArn": machine(), "maxResults": 1000}
        assert service.asked(1) == {"stateMachineArn": machine(), "maxResults": 1000, "nextToken": "0"}

    def test_no_page_is_turned_beyond_the_newest_ten_thousand_and_those_that_run_are_among_them(self, scripted):
        answers = pages(thousand(0, "RUNNING"), *([thousand(0, "SUCCEEDED")] * 9), more=True)
        service = scripted("stepfunctions", *answers)
        assert len(StepFunctions(service.client).past(machine())) == 9_000
        assert len(service.requests) == MOST_PAST // 1000

    def test_where_most_still_run_those_that_have_ended_are_no_history(self, scripted):
        """At a hundred a second with workflows of an hour the newest ten thousand have ended only where they failed."""
        service = scripted("stepfunctions", *pages([*[ran(5, NOW, "FAILED")] * 10, *thousand(0, "RUNNING")[:990]]))
        assert StepFunctions(service.client).past(machine()) == ()

    @pytest.mark.parametrize("qualifier", [":live", ":7"])
    def test_a_list_is_asked_for_by_the_state_machine_alone(self, scripted, qualifier):
        """By an alias or a version it would lack what was started by another name."""
        service = scripted("stepfunctions", Wire({"executions": []}))
        StepFunctions(service.client).past(machine() + qualifier)
        assert service.asked()["stateMachineArn"] == machine()

    @pytest.mark.parametrize("code", ["StateMachineDoesNotExist", "InvalidArn", "StateMachineTypeNotSupported"])
    def test_a_state_machine_without_a_list_has_no_past(self, scripted, code):
        assert StepFunctions(scripted("stepfunctions", error(code)).client).past(machine()) == ()

    def test_one_that_we_may_not_list_says_so(self, scripted):
        with pytest.raises(Denied):
            StepFunctions(scripted("stepfunctions", error("AccessDeniedException")).client).past(machine())

    def test_half_a_past_is_none(self, scripted):
        service = scripted("stepfunctions", *pages([ran(1, NOW)], more=True), error("ThrottlingException"))
        with pytest.raises(Unavailable):
            StepFunctions(service.client).past(machine())

    def test_a_stop_before_the_start_is_no_negative_duration(self, scripted):
        service = scripted("stepfunctions", *pages([ran(1, NOW, "FAILED", -2)]))
        assert StepFunctions(service.client).past(machine()) == (Past(True, NOW, 0),)


class TestFailures:
    def failures(self, service, since: int = NOW) -> list[str]:
        return [execution.arn for execution in StepFunctions(service.client).failures(machine(), since)]

    def test_each_way_to_fail_is_a_list_of_its_own(self, scripted):
        service = scripted(
            "stepfunctions",
            Wire({"executions": [ran(2, NOW + 1, "ABORTED")]}),
            Wire({"executions": [ran(3, NOW + 2)]}),
            Wire({"executions": [ran(1, NOW, "TIMED_OUT")]}),
        )
        assert self.failures(service) == [execution(3), execution(2), execution(1)]
        assert [service.asked(n)["statusFilter"] for n in range(3)] == ["ABORTED", "FAILED", "TIMED_OUT"]
        assert {service.asked(n)["maxResults"] for n in range(3)} == {1000}

    def test_no_page_is_turned_once_one_ends_before_since(self, scripted):
        """Whether the list is sorted by start or by end: what had ended before had started before."""
        early = ran(1, NOW - SKEW_MS - 60_001)
        service = scripted("stepfunctions", *pages([ran(2, NOW), early], more=True))
        assert self.failures(service) == [execution(2)]
        assert len(service.requests) == 3

    def test_a_page_that_ends_just_before_since_is_not_trusted_to_be_the_last(self, scripted):
        """Clocks differ, and so the order of what starts at about the same time."""
        answers = pages([ran(2, NOW), ran(1, NOW - SKEW_MS - 60_000)], [ran(3, NOW)])
        service = scripted("stepfunctions", *answers, Wire({"executions": []}))
        assert set(self.failures(service)) == {execution(2), execution(3)}
        assert service.asked(1)["nextToken"] == "0"

    def test_an_empty_page_is_not_the_last_while_it_names_another(self, scripted):
        service = scripted("stepfunctions", *pages([], [ran(1, NOW)]), Wire({"executions": []}))
        assert self.failures(service) == [execution(1)]

    def test_one_that_moves_from_list_to_list_meanwhile_comes_once(self, scripted):
        aborted, failed = Wire({"executions": [ran(1, NOW, "ABORTED")]}), Wire({"executions": [ran(1, NOW)]})
        service = scripted("stepfunctions", aborted, failed, Wire({"executions": []}))
        assert self.failures(service) == [execution(1)]

    def test_too_many_are_not_taken_for_all(self, scripted):
        aborted = Wire({"executions": [ran(99_999, NOW, "ABORTED")]})
        service = scripted("stepfunctions", aborted, *pages(*(self.distinct(page) for page in range(10)), more=True))
        with pytest.raises(Unavailable) as caught:
            self.failures(service)
        assert caught.value.code == "TooMany"
        assert len(service.requests) == 1 + MOST_PAST // 1000

    def test_as_many_as_may_be_are_not_too_many(self, scripted):
        service = scripted("stepfunctions", *pages(*(self.distinct(page) for page in range(10))), Wire({"executions": []}))
        assert len(self.failures(service)) == MOST_PAST

    def distinct(self, page: int) -> list[dict]:
        return [ran(1000 * page + n, NOW + 1) for n in range(1000)]


class TestStarted:
    def test_pages_are_turned_until_one_ends_before_since(self, scripted):
        answers = pages(
            [ran(5, NOW + 9, "RUNNING"), ran(4, NOW + 2, "RUNNING")],
            [ran(3, NOW), ran(2, NOW - SKEW_MS - 1, "RUNNING")],
            more=True,
        )
        service = scripted("stepfunctions", *answers)
        found = StepFunctions(service.client).started(machine(), NOW, NOW + 9)
        assert [each.arn for each in found] == [execution(4), execution(3)]
        assert len(service.requests) == 2
        assert "statusFilter" not in service.asked()

    def test_no_more_come_than_the_newest_ten_thousand(self, scripted):
        service = scripted("stepfunctions", *pages(*([thousand(0, "RUNNING")] * 10), more=True))
        assert len(StepFunctions(service.client).started(machine(), 0, NOW + 1)) == MOST_PAST
        assert len(service.requests) == MOST_PAST // 1000


class TestSucceeded:
    def test_pages_are_turned_until_enough_are_found(self, scripted):
        service = scripted("stepfunctions", *pages(*([thousand(0, "SUCCEEDED")] * 2), more=True))
        assert len(StepFunctions(service.client).succeeded(machine(), 0, 1001)) == 2000
        assert [service.asked(n)["statusFilter"] for n in range(2)] == ["SUCCEEDED"] * 2
        assert len(service.requests) == 2

    def test_those_from_before_are_left_out_and_end_it(self, scripted):
        found = [ran(2, NOW, "SUCCEEDED"), ran(1, NOW - SKEW_MS - 60_001, "SUCCEEDED")]
        service = scripted("stepfunctions", *pages(found, more=True))
        assert [each.arn for each in StepFunctions(service.client).succeeded(machine(), NOW, 9)] == [execution(2)]
        assert len(service.requests) == 1


class TestStop:
    def stopped(self, scripted, *answers: Wire, cause: str = "the release was aborted") -> Any:
        service = scripted("stepfunctions", *answers)
        StepFunctions(service.client).stop(execution(1), cause)
        return service

    def test_it_says_who_and_why(self, scripted):
        service = self.stopped(scripted, Wire({"stopDate": NOW / 1000}))
        assert operations(service) == ["StopExecution"]
        assert service.asked() == {"executionArn": execution(1), "error": "Canary", "cause": "the release was aborted"}

    @pytest.mark.parametrize("code", ["ExecutionDoesNotExist", "InvalidArn", "ValidationException"])
    def test_one_that_is_not_running_is_no_trouble(self, scripted, code):
        assert len(self.stopped(scripted, error(code)).requests) == 1

    @pytest.mark.parametrize("code", ["KmsAccessDeniedException", "KmsInvalidStateException"])
    def test_a_state_machine_with_a_key_that_we_may_not_use_is_stopped_without_words(self, scripted, code):
        service = self.stopped(scripted, error(code), Wire({"stopDate": NOW / 1000}))
        assert service.asked(1) == {"executionArn": execution(1)}

    def test_a_long_cause_is_cut_to_what_step_functions_takes(self, scripted):
        assert len(self.stopped(scripted, Wire({"stopDate": NOW / 1000}), cause="x" * 40_000).asked()["cause"]) == 32_768

    def test_one_that_we_may_not_stop_says_so(self, scripted):
        with pytest.raises(Denied):
            self.stopped(scripted, error("AccessDeniedException"))

    def test_moto_stops_what_has_ended_where_step_functions_refuses(self, moto):
        """So the contract suite does not ask for it; when moto learns it, it can."""
        client = moto("stepfunctions")
        definition = '{"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}'
        client.create_state_machine(name="m", definition=definition, roleArn=f"arn:aws:iam::{ACCOUNT}:role/r")
        arn = client.start_execution(stateMachineArn=machine("m"), name="e")["executionArn"]
        first, second = (client.stop_execution(executionArn=arn)["stopDate"] for _ in range(2))
        assert second > first
