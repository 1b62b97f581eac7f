"""Reading executions and stacks, with the answers that AWS gives late, or not at all."""

from __future__ import annotations

import pytest

from canary.aws.executions import StackInventory, StepFunctions
from canary.domain.audit import ExecutionStatus
from canary.domain.target import parse_target
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
        service = scripted("stepfunctions", late, Wire(told(arns[0], "FAILED")))
        seen = StepFunctions(service.client).observe(arns)
        assert (len(seen), seen[arns[0]].status) == (20, ExecutionStatus.FAILED)
        assert operations(service) == ["ListExecutions", "DescribeExecution"]

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


class TestWhatExists:
    def inventory(self, moto) -> StackInventory:
        return StackInventory(moto("lambda"), moto("stepfunctions"))

    def made(self, moto, kind: str = "STANDARD") -> str:
        definition = '{"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}'
        role = f"arn:aws:iam::{ACCOUNT}:role/r"
        made = moto("stepfunctions").create_state_machine(name="transformer-v2", definition=definition, roleArn=role, type=kind)
        return made["stateMachineArn"]

    def test_a_standard_state_machine_has_no_problem(self, moto):
        assert self.inventory(moto).problem(parse_target(self.made(moto))) is None

    def test_an_express_one_cannot_be_followed(self, moto):
        assert "Express" in self.inventory(moto).problem(parse_target(self.made(moto, "EXPRESS")))

    @pytest.mark.parametrize("arn", [machine("nobody"), f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:nobody:live"])
    def test_what_does_not_exist_is_to_be_deployed_first(self, moto, arn):
        problem = self.inventory(moto).problem(parse_target(arn))
        assert problem == f"{arn} does not exist: deploy it before releasing it"

    def test_of_an_alias_both_it_and_its_state_machine_are_looked_at(self, scripted):
        alias = {"stateMachineAliasArn": machine() + ":live", "name": "live"}
        service = scripted("stepfunctions", Wire(alias), Wire({"stateMachineArn": machine(), "type": "EXPRESS"}))
        problem = StackInventory(service.client, service.client).problem(parse_target(machine() + ":live"))
        assert "Express" in problem
        assert operations(service) == ["DescribeStateMachineAlias", "DescribeStateMachine"]

    def test_of_a_version_the_version_is_looked_at(self, scripted):
        service = scripted("stepfunctions", Wire({"stateMachineArn": machine() + ":3", "type": "STANDARD"}))
        assert StackInventory(service.client, service.client).problem(parse_target(machine() + ":3")) is None
        assert service.asked() == {"stateMachineArn": machine() + ":3"}

    def test_an_alias_that_is_missing_is_missing(self, scripted):
        service = scripted("stepfunctions", error("ResourceNotFound"))
        assert "does not exist" in StackInventory(service.client, service.client).problem(parse_target(machine() + ":live"))

    def test_what_we_may_not_look_at_is_a_problem_too(self, scripted):
        service = scripted("lambda", error("AccessDeniedException", 403))
        target = parse_target(f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f:1")
        assert "cannot be inspected" in StackInventory(service.client, service.client).problem(target)
