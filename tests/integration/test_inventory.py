"""Which stacks exist, and what is in the way of releasing them."""

from __future__ import annotations

import pytest

from canary.aws.inventory import StackInventory
from canary.domain.target import parse_target
from tests.integration.conftest import ACCOUNT, REGION, Wire, error

MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:transformer-v2"


def operations(service) -> list[str]:
    return [request.headers["X-Amz-Target"].decode().split(".")[1] for request in service.requests]


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

    @pytest.mark.parametrize(
        "arn", [MACHINE.replace("transformer-v2", "nobody"), f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:nobody:live"]
    )
    def test_what_does_not_exist_is_to_be_deployed_first(self, moto, arn):
        problem = self.inventory(moto).problem(parse_target(arn))
        assert problem == f"{arn} does not exist: deploy it before releasing it"

    def test_of_an_alias_both_it_and_its_state_machine_are_looked_at(self, scripted):
        alias = {"stateMachineAliasArn": MACHINE + ":live", "name": "live"}
        service = scripted("stepfunctions", Wire(alias), Wire({"stateMachineArn": MACHINE, "type": "EXPRESS"}))
        problem = StackInventory(service.client, service.client).problem(parse_target(MACHINE + ":live"))
        assert "Express" in problem
        assert operations(service) == ["DescribeStateMachineAlias", "DescribeStateMachine"]

    def test_of_a_version_the_version_is_looked_at(self, scripted):
        service = scripted("stepfunctions", Wire({"stateMachineArn": MACHINE + ":3", "type": "STANDARD"}))
        assert StackInventory(service.client, service.client).problem(parse_target(MACHINE + ":3")) is None
        assert service.asked() == {"stateMachineArn": MACHINE + ":3"}

    def test_an_alias_that_is_missing_is_missing(self, scripted):
        service = scripted("stepfunctions", error("ResourceNotFound"))
        assert "does not exist" in StackInventory(service.client, service.client).problem(parse_target(MACHINE + ":live"))

    def test_what_we_may_not_look_at_is_a_problem_too(self, scripted):
        service = scripted("lambda", error("AccessDeniedException", 403))
        target = parse_target(f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f:1")
        assert "cannot be inspected" in StackInventory(service.client, service.client).problem(target)
