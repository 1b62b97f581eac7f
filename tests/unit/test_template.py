"""The template, the HTTP contract, the settings and the example events, as far as they can be judged without a deployment."""

import json
import re
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml
from openapi_spec_validator import validate
from samtranslator.yaml_helper import yaml_parse

from canary.domain.request_id import new_request_id

ROOT = Path(__file__).parents[2]
TEMPLATE: dict[str, Any] = yaml_parse((ROOT / "template.yaml").read_text())
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]
CONTRACT: dict[str, Any] = yaml.safe_load((ROOT / "openapi.yaml").read_text())
SAMCONFIG = tomllib.loads((ROOT / "samconfig.toml").read_text())
FLIPPER = RESOURCES["FlipperFunction"]["Properties"]
WAKE_UPS: dict[str, Any] = FLIPPER["Events"]
OPERATIONS = [(path, method, operation) for path, methods in CONTRACT["paths"].items() for method, operation in methods.items()]


def of_type(kind: str) -> dict[str, Any]:
    return {name: resource["Properties"] for name, resource in RESOURCES.items() if resource["Type"] == kind}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements(role: str) -> list[dict[str, Any]]:
    return [one for policy in RESOURCES[role]["Properties"]["Policies"] for one in policy["PolicyDocument"]["Statement"]]


def resources_for(role: str, service: str) -> list[str]:
    return [
        json.dumps(resource)
        for statement in statements(role)
        if any(action.startswith(f"{service}:") for action in as_list(statement["Action"]))
        for resource in as_list(statement["Resource"])
    ]


def roles_that_may(action: str) -> list[str]:
    return [role for role in of_type("AWS::IAM::Role") if any(action in as_list(one["Action"]) for one in statements(role))]


def overrides(environment: str) -> dict[str, str]:
    return dict(one.split("=", 1) for one in SAMCONFIG[environment]["deploy"]["parameters"]["parameter_overrides"])


def refused(parameter: str, value: str) -> bool:
    declared = TEMPLATE["Parameters"][parameter]
    if "AllowedValues" in declared:
        return value not in map(str, declared["AllowedValues"])
    return re.fullmatch(declared["AllowedPattern"], value) is None


class TestRoles:
    def test_only_the_flipper_may_write_parameters_and_only_those_that_are_its_own(self):
        assert roles_that_may("ssm:PutParameter") == ["FlipperRole"]
        [statement] = [one for one in statements("FlipperRole") if "ssm:PutParameter" in as_list(one["Action"])]
        assert statement["Action"] == "ssm:PutParameter"
        names = {resource["Fn::Sub"].rpartition("parameter${ParameterPrefix}/*/")[2] for resource in statement["Resource"]}
        assert names == {"current", "latest", "previous"}

    @pytest.mark.parametrize("service", ["lambda", "states"])
    @pytest.mark.parametrize("role", ["RouterRole", "FlipperRole"])
    def test_targets_and_executions_are_reached_only_where_the_pattern_allows(self, role, service):
        reached = resources_for(role, service)
        assert reached
        assert all(re.search(r":(function|stateMachine|execution):\$\{TargetPattern\}(:\*)?\"", one) for one in reached)

    def test_both_may_call_targets_since_the_flipper_runs_the_preflight(self):
        assert roles_that_may("lambda:InvokeFunction") == roles_that_may("states:StartExecution") == ["RouterRole", "FlipperRole"]

    def test_only_the_flipper_may_stop_an_execution(self):
        assert roles_that_may("states:StopExecution") == ["FlipperRole"]
        [statement] = [one for one in statements("FlipperRole") if "states:StopExecution" in as_list(one["Action"])]
        assert statement["Resource"]["Fn::Sub"].endswith(":execution:${TargetPattern}:*")

    def test_only_the_flipper_reads_alarms_and_may_do_nothing_else_to_them(self):
        reading = [(role, one) for role in ("RouterRole", "FlipperRole") for one in statements(role) if "cloudwatch" in str(one)]
        assert [(role, one["Action"]) for role, one in reading] == [("FlipperRole", "cloudwatch:DescribeAlarms")]

    def test_the_flipper_may_query_releases_their_rows_and_records_and_the_indexes_that_it_looks_in(self):
        queried = [one["Resource"] for one in statements("FlipperRole") if "dynamodb:Query" in as_list(one["Action"])]
        assert [resource for each in queried for resource in as_list(each)] == [
            {"Fn::GetAtt": ["ReleasesTable", "Arn"]},
            {"Fn::Sub": "${ReleasesTable.Arn}/index/apps"},
            {"Fn::GetAtt": ["AuditTable", "Arn"]},
            {"Fn::Sub": "${AuditTable.Arn}/index/in_flight"},
        ]

    @pytest.mark.parametrize("role", ["RouterRole", "FlipperRole"])
    def test_no_role_is_given_a_whole_service_or_all_of_its_resources(self, role):
        for statement in statements(role):
            assert not any("*" in action for action in as_list(statement["Action"]))
            assert statement["Resource"] != "*" or statement["Sid"] in {"WriteTraces", "ReadAlarms"}

    def test_every_function_has_a_role_of_its_own(self):
        roles = [one["Role"] for one in of_type("AWS::Serverless::Function").values()]
        assert roles == [{"Fn::GetAtt": ["RouterRole", "Arn"]}, {"Fn::GetAtt": ["FlipperRole", "Arn"]}]


class TestWakeUps:
    @pytest.mark.parametrize("name", WAKE_UPS)
    def test_a_wake_up_that_cannot_be_delivered_is_tried_again_and_then_kept(self, name):
        properties = WAKE_UPS[name]["Properties"]
        assert properties["RetryPolicy"]["MaximumRetryAttempts"] > 0
        assert properties["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": ["UndeliveredWakeUps", "Arn"]}}

    def test_a_pass_that_fails_is_kept(self):
        assert FLIPPER["EventInvokeConfig"]["DestinationConfig"]["OnFailure"]["Destination"] == {
            "Fn::GetAtt": ["FailedPasses", "Arn"]
        }

    def test_the_schedule_comes_every_minute(self):
        assert WAKE_UPS["EveryMinute"]["Properties"]["Schedule"] == "rate(1 minute)"

    def test_only_the_allowed_state_machines_wake_the_flipper(self):
        [machine] = WAKE_UPS["WorkflowEnded"]["Properties"]["Pattern"]["detail"]["stateMachineArn"]
        assert machine["wildcard"]["Fn::Sub"].endswith(":stateMachine:${TargetPattern}")

    def test_only_parameters_under_the_prefix_wake_the_flipper(self):
        assert WAKE_UPS["ParameterChanged"]["Properties"]["Pattern"]["detail"]["name"] == [
            {"prefix": {"Fn::Sub": "${ParameterPrefix}/"}}
        ]


class TestState:
    def test_no_parameter_of_an_app_is_a_resource_of_the_stack(self):
        assert not of_type("AWS::SSM::Parameter")

    @pytest.mark.parametrize("table", of_type("AWS::DynamoDB::Table"))
    def test_a_table_survives_its_stack_and_can_be_restored(self, table):
        assert RESOURCES[table]["DeletionPolicy"] == "RetainExceptOnCreate"
        assert RESOURCES[table]["UpdateReplacePolicy"] == "Retain"
        properties = RESOURCES[table]["Properties"]
        assert properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
        assert properties["SSESpecification"]["SSEEnabled"] is True
        assert properties["BillingMode"] == "PAY_PER_REQUEST"
        assert properties["DeletionProtectionEnabled"] == {
            "Fn::FindInMap": ["Environments", {"Ref": "Environment"}, "DeletionProtection"]
        }

    def test_tables_are_protected_from_deletion_wherever_they_matter(self):
        protected = {name: one["DeletionProtection"] for name, one in TEMPLATE["Mappings"]["Environments"].items()}
        assert protected == {"local": False, "staging": True, "production": True}

    def test_finished_rows_of_the_audit_table_expire(self):
        assert of_type("AWS::DynamoDB::Table")["AuditTable"]["TimeToLiveSpecification"] == {
            "AttributeName": "expires_at",
            "Enabled": True,
        }

    def test_every_function_has_logs_that_expire(self):
        for function in of_type("AWS::Serverless::Function").values():
            logs = RESOURCES[function["LoggingConfig"]["LogGroup"]["Ref"]]["Properties"]
            assert logs["RetentionInDays"] == {"Ref": "LogRetentionDays"}


class TestAlarms:
    @pytest.mark.parametrize("alarm", of_type("AWS::CloudWatch::Alarm"))
    def test_an_alarm_tells_people_when_it_begins_and_when_it_ends(self, alarm):
        properties = RESOURCES[alarm]["Properties"]
        assert properties["AlarmActions"] == properties["OKActions"] == [{"Ref": "Topic"}]

    @pytest.mark.parametrize("alarm", of_type("AWS::CloudWatch::Alarm"))
    def test_an_alarm_is_described_in_the_operations_guide(self, alarm):
        properties = RESOURCES[alarm]["Properties"]
        name = properties["AlarmName"]["Fn::Sub"].removeprefix("${AWS::StackName}-")
        assert f'See docs/operations.md, "{name}".' in properties["AlarmDescription"]
        headings = re.findall(r"^#+ .*$", (ROOT / "docs" / "operations.md").read_text(), flags=re.MULTILINE)
        assert any(name in heading for heading in headings)

    def test_a_silent_flipper_is_an_alarm(self):
        assert RESOURCES["NoFlipperPassAlarm"]["Properties"]["TreatMissingData"] == "breaching"

    @pytest.mark.parametrize("exported", [True, False], ids=["with an export", "without"])
    def test_the_dashboard_shows_every_alarm_that_there_is(self, exported):
        body, more = RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
        condition, alarms, none = more["AuditExportAlarms"]["Fn::If"]
        text = body.replace("${AuditExportAlarms}", alarms["Fn::Sub"] if exported else none)
        shown = [widget for widget in json.loads(text)["widgets"] if widget["type"] == "alarm"]
        there = [
            name
            for name in of_type("AWS::CloudWatch::Alarm")
            if exported or RESOURCES[name].get("Condition") != condition == "ExportsAudit"
        ]
        assert sorted(shown[0]["properties"]["alarms"]) == sorted(f"${{{name}.Arn}}" for name in there)

    def test_an_export_that_fails_is_an_alarm_which_does_not_end_because_the_pipe_was_stopped(self):
        failed, late = (RESOURCES[f"AuditExport{how}Alarm"] for how in ("Failed", "Late"))
        assert failed["Condition"] == late["Condition"] == "ExportsAudit"
        total, *parts = failed["Properties"]["Metrics"]
        assert total["Expression"] == "SUM(METRICS())"  # without data there is no sum: a constant would end the alarm
        heard = [part["MetricStat"]["Metric"] for part in parts]
        assert {each["MetricName"] for each in heard} == {"ExecutionFailed", "ExecutionPartiallyFailed", "ExecutionTimeout"}
        assert all(each["Dimensions"] == [{"Name": "PipeName", "Value": {"Ref": "AuditExportPipe"}}] for each in heard)
        assert not any(part["ReturnData"] for part in parts)
        assert failed["Properties"]["TreatMissingData"] == "ignore"
        assert late["Properties"]["Dimensions"] == [{"Name": "DeliveryStreamName", "Value": {"Ref": "AuditExportStream"}}]
        buffering = RESOURCES["AuditExportStream"]["Properties"]["ExtendedS3DestinationConfiguration"]["BufferingHints"]
        assert late["Properties"]["Threshold"] > 2 * buffering["IntervalInSeconds"]


class TestContract:
    def test_the_outputs_that_other_programs_read_are_there(self):
        functions = {"RouterFunction", "FlipperFunction"}
        state = {"AuditTable", "ReleasesTable", "ParameterPrefix"}
        endpoint = {"RouterUrl", "ApiKeyId", "ServiceNamespace", "ServiceName"}
        assert functions | state | endpoint <= TEMPLATE["Outputs"].keys()

    def test_service_discovery_tells_exactly_what_the_client_needs_and_never_the_key(self):
        attributes = RESOURCES["DiscoveryInstance"]["Properties"]["InstanceAttributes"]
        assert attributes.keys() == {"environment", "url", "api_key_id", "authorization"}
        assert attributes["url"] == TEMPLATE["Outputs"]["RouterUrl"]["Value"]

    def test_the_http_contract_is_valid_openapi(self):
        validate(CONTRACT)

    @pytest.mark.parametrize(
        ("path", "method", "operation"), OPERATIONS, ids=lambda value: value if isinstance(value, str) else ""
    )
    def test_an_operation_needs_the_key_and_reaches_the_routers_alias(self, path, method, operation):
        assert operation.get("security") == [{"api_key": []}], "API Gateway does not heed what stands at the root"
        integration = operation["x-amazon-apigateway-integration"]
        assert "${RouterFunctionAliaslive}" in integration["uri"]["Fn::Sub"]
        assert integration["timeoutInMillis"] / 1000 >= RESOURCES["RouterFunction"]["Properties"]["Timeout"]

    def test_nothing_but_schemas_is_referred_to_since_api_gateway_imports_nothing_else(self):
        text = (ROOT / "openapi.yaml").read_text()
        assert set(re.findall(r'\$ref: "(#/components/\w+)/', text)) == {"#/components/schemas"}
        assert not re.search(r"[:-] [&*]\w", text), "an included file may not be read with YAML anchors"

    @pytest.mark.parametrize("response", CONTRACT["x-amazon-apigateway-gateway-responses"])
    def test_what_api_gateway_refuses_reads_like_what_the_router_refuses(self, response):
        given = CONTRACT["x-amazon-apigateway-gateway-responses"][response]
        rendered = given["responseTemplates"]["application/json"].replace("$context.error.messageString", '"why"')
        problem = json.loads(rendered)
        assert problem.keys() == {"type", "title", "status", "detail"}
        assert problem["status"] == given["statusCode"]
        assert given["responseParameters"]["gatewayresponse.header.Content-Type"] == "'application/problem+json'"

    def test_the_contract_has_no_short_intrinsics_which_an_included_file_may_not_have(self):
        assert not re.search(r"!(Sub|Ref|GetAtt)\b", (ROOT / "openapi.yaml").read_text())


class TestSettings:
    @pytest.mark.parametrize(
        "parameter", [name for name, one in TEMPLATE["Parameters"].items() if {"AllowedPattern", "AllowedValues"} & one.keys()]
    )
    def test_a_refused_value_is_refused_with_a_sentence(self, parameter):
        assert re.fullmatch(r"must .*\.", TEMPLATE["Parameters"][parameter]["ConstraintDescription"], flags=re.DOTALL)

    @pytest.mark.parametrize("pattern", ["*", "transformer-*", "transformer-v1-1-0", "*-pipeline", "etl-*-live"])
    def test_a_target_pattern_is_a_name_with_stars(self, pattern):
        assert not refused("TargetPattern", pattern)

    @pytest.mark.parametrize("pattern", ["", "?", "**", "a**b", "transformer-?", "arn:aws:lambda:*", "a b", "[a-z]*"])
    def test_anything_else_is_no_target_pattern(self, pattern):
        assert refused("TargetPattern", pattern)

    def test_there_are_settings_for_every_environment(self):
        assert {"default", "local", "staging", "production"} <= SAMCONFIG.keys()

    @pytest.mark.parametrize("environment", ["default", "local", "staging", "production"])
    def test_settings_name_parameters_that_exist(self, environment):
        assert overrides(environment).keys() <= TEMPLATE["Parameters"].keys()

    @pytest.mark.parametrize("environment", ["local", "staging", "production"])
    def test_each_environment_says_its_name(self, environment):
        assert overrides(environment)["Environment"] == environment

    def test_without_an_environment_nothing_is_deployed(self):
        assert refused("Environment", overrides("default")["Environment"])

    @pytest.mark.parametrize("environment", ["staging", "production"])
    def test_nothing_is_deployed_to_aws_before_somebody_says_which_targets_are_allowed(self, environment):
        assert refused("TargetPattern", overrides(environment)["TargetPattern"])

    def test_production_is_deployed_gradually(self):
        assert overrides("production")["GradualDeployment"] == "true"
        assert RESOURCES["RouterFunction"]["Properties"]["DeploymentPreference"]["Enabled"] == {"Ref": "GradualDeployment"}


class TestEvents:
    @pytest.mark.parametrize("name", ["api-post-app", "api-get-request", "api-get-health"])
    def test_a_request_is_one_that_the_contract_knows(self, name):
        event = json.loads((ROOT / "events" / f"{name}.json").read_text())
        assert (event["resource"], event["httpMethod"].lower()) in {(path, method) for path, method, _ in OPERATIONS}
        assert event["path"] == event["resource"].format(**event["pathParameters"] or {})

    @pytest.mark.parametrize(
        ("name", "wake_up"),
        [
            ("step-functions-status-change", "WorkflowEnded"),
            ("step-functions-status-change-failed", "WorkflowEnded"),
            ("parameter-store-change", "ParameterChanged"),
        ],
    )
    def test_an_event_is_one_that_wakes_the_flipper(self, name, wake_up):
        event = json.loads((ROOT / "events" / f"{name}.json").read_text())
        pattern = WAKE_UPS[wake_up]["Properties"]["Pattern"]
        assert [event["source"]] == pattern["source"]
        assert [event["detail-type"]] == pattern["detail-type"]
        for key, allowed in pattern["detail"].items():
            assert any(matches(event["detail"][key], one) for one in allowed), key

    def test_a_workflow_that_is_not_a_request_to_latest_wakes_nobody(self):
        """Else every execution of a busy pipeline would make a pass, and use up the parameter reads that routers need."""
        (name,) = WAKE_UPS["WorkflowEnded"]["Properties"]["Pattern"]["detail"]["name"]
        assert not matches(new_request_id(1_795_246_200_000, 0), name)
        assert matches(new_request_id(1_795_246_200_000, 0, release="00000017-3fa9c1d2"), name)
        assert matches(new_request_id(1_795_246_200_000, 0, release="00000017-3fa9c1d2", key="0" * 32), name)


def matches(value: str, pattern: object) -> bool:
    """Match as EventBridge does; intrinsic functions in a pattern stand for anything."""
    if isinstance(pattern, str):
        return value == pattern
    (kind, text), *_ = pattern.items()
    text = "*" if isinstance(text, dict) else text
    return fnmatchcase(value, text + "*" if kind == "prefix" else text)
