"""The embedded AWS itself: it starts, keeps its state, and leaves nothing behind."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from canary.local import LocalError, LocalStack, down, exports, server, status, up
from canary.local.stack import client

STARTS_A_SERVER = """
import sys, time
from pathlib import Path
from canary.local import server
running = server.start(Path(sys.argv[1]))
print(running.pid, flush=True)
time.sleep(60)
"""


#: For what takes seconds on a machine that has nothing else to do.
LONG = 60


@pytest.fixture
def kept_port(monkeypatch) -> int:
    """A port below those that the system hands out to whoever wants any: it stays free while a server is down."""
    port = next(port for port in range(20_000 + os.getpid() % 10_000, 32_768) if server._is_free(port))
    monkeypatch.setattr(server, "_free_port", lambda: port)
    return port


def alive(group: int) -> list[str]:
    """The processes of a group that still run; those that only wait for their parent to notice are gone."""
    listed = subprocess.run(["ps", "-A", "-o", "pgid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(maxsplit=2) for line in listed.splitlines()]
    return [" ".join(row) for row in rows if row[0] == str(group) and not row[1].startswith("Z")]


def test_up_survives_a_crash_and_answers_again_after_down_with_the_same_url_key_and_data(tmp_path, eventually, kept_port):
    said: list[str] = []
    up(said.append, folder=tmp_path)
    try:
        os.kill(server.find(tmp_path).pid, signal.SIGKILL)
        eventually(lambda: server.find(tmp_path) is None, within=LONG)
        first = up(said.append, folder=tmp_path)
        assert sum("sam deploy" in line for line in said) == 2, "nothing had been saved yet, so it is deployed again"
        group = server.find(tmp_path).pid

        name = f"{first.outputs['ParameterPrefix']}/kept/current"
        first.client("ssm").put_parameter(Name=name, Value="NONE", Type="String")
        assert health(first) == 200
        assert up(said.append, folder=tmp_path) == first, "a second up uses what runs"
        assert len(alive(group)) > 1, "there is a Lambda worker to clean up"

        assert down(said.append, folder=tmp_path)
        eventually(lambda: not alive(group), within=LONG)
        with pytest.raises(LocalError, match="canary local up"):
            status(folder=tmp_path)
        assert not down(said.append, folder=tmp_path), "there is nothing more to stop"

        again = up(said.append, folder=tmp_path)
        group = server.find(tmp_path).pid
        assert again == first
        assert again.client("ssm").get_parameter(Name=name)["Parameter"]["Value"] == "NONE"
        assert health(again) == 200
        assert sum("sam deploy" in line for line in said) == 2, "what is deployed is not deployed again"
    finally:
        down(said.append, folder=tmp_path, forget=True)
    eventually(lambda: not alive(group), within=LONG)
    assert not tmp_path.exists()


def health(stack: LocalStack) -> int:
    url = urlsplit(stack.router_url)
    with contextlib.closing(http.client.HTTPConnection(url.hostname, url.port, timeout=40)) as connection:
        connection.request("GET", f"{url.path}/health", headers={"X-Api-Key": stack.api_key})
        return connection.getresponse().status


def test_a_server_ends_with_its_parent_even_if_that_is_killed(tmp_path, eventually):
    folder = tmp_path / "server"
    with subprocess.Popen([sys.executable, "-c", STARTS_A_SERVER, str(folder)], stdout=subprocess.PIPE, text=True) as parent:
        group = int(parent.stdout.readline())
        assert alive(group)
        parent.send_signal(signal.SIGKILL)
    eventually(lambda: not alive(group), within=LONG)
    eventually(lambda: not folder.exists(), within=LONG)


def test_a_server_that_cannot_start_says_what_its_log_says(tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit('no room on this machine')")
    real = server._environment
    monkeypatch.setattr(server, "_environment", lambda *a, **k: {**real(*a, **k), "PYTHONPATH": str(tmp_path)})
    with pytest.raises(LocalError, match="no room on this machine"):
        server.start(tmp_path / "server")


def test_the_exports_lead_boto3_to_the_stack(stack, monkeypatch):
    for name, value in exports(stack).items():
        monkeypatch.setenv(name, value)
    script = "import boto3, os; print(boto3.client('dynamodb').describe_table(TableName=os.environ['CANARY_AUDIT_TABLE']))"
    assert (
        stack.outputs["AuditTable"]
        in subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    )


@pytest.mark.parametrize(
    ("behaviour", "ends"), [("succeed", "SUCCEEDED"), ("fail", "FAILED"), ("slow", "SUCCEEDED"), ("hang", "RUNNING")]
)
def test_the_workflow_of_the_example_ends_as_its_version_was_told_to(deploy_version, sfn, eventually, behaviour, ends):
    version = deploy_version("v9.0.0", behaviour=behaviour, delay_seconds=1)
    started = sfn.start_execution(stateMachineArn=version.state_machine_arn, input='{"orders": 2}')["executionArn"]
    if behaviour == "hang":  # as all others run, too, before they end
        eventually(lambda: "Hang" in entered(sfn, started), within=LONG)
    ended = eventually(lambda: (found := sfn.describe_execution(executionArn=started))["status"] == ends and found, within=LONG)
    if ends == "SUCCEEDED":
        assert json.loads(ended["output"]) == {"orders": 2, "total_cents": 6975}
    if ends == "FAILED":
        assert ended["error"] == "TotalsMismatch"
    if ends == "RUNNING":
        sfn.stop_execution(executionArn=started)


def entered(sfn, execution: str) -> list[str]:
    """The states that an execution has come to."""
    events = sfn.get_execution_history(executionArn=execution)["events"]
    return [event["stateEnteredEventDetails"]["name"] for event in events if "stateEnteredEventDetails" in event]


@pytest.mark.parametrize("body", ['{"orders": 0}', '{"orders": 1}', "[1, 2]", '"text"', "null", "{}"])
def test_the_workflow_of_the_example_takes_any_body(deploy_version, sfn, eventually, body):
    version = deploy_version("v9.0.0")
    started = sfn.start_execution(stateMachineArn=version.state_machine_arn, input=body)["executionArn"]
    ended = eventually(
        lambda: (found := sfn.describe_execution(executionArn=started))["status"] != "RUNNING" and found, within=LONG
    )
    assert ended["status"] == "SUCCEEDED", ended


def test_the_example_starts_one_execution_for_one_request_id(deploy_version, awslambda):
    version = deploy_version("v9.0.0")
    context = base64.b64encode(json.dumps({"custom": {"canary_request_id": "the-request"}}).encode()).decode()
    answers = [
        json.loads(
            awslambda.invoke(FunctionName=version.function_alias_arn, Payload=b"{}", ClientContext=context)["Payload"].read()
        )
        for _ in range(2)
    ]
    assert answers[0] == answers[1]
    assert answers[0]["executionArn"].endswith(f":{version.stack}:the-request")
    assert answers[0]["version"] == "v9.0.0"


def test_the_example_raises_when_it_was_told_to(deploy_version, awslambda):
    version = deploy_version("v9.0.0", behaviour="raise")
    assert "FunctionError" in awslambda.invoke(FunctionName=version.function_alias_arn, Payload=b"{}")


def test_a_function_has_other_variables_for_a_block_and_its_own_afterwards(stack, awslambda, given_environment, call):
    def seen_by_the_api():
        function = stack.outputs["RouterFunction"]
        version = awslambda.get_alias(FunctionName=function, Name="live")["FunctionVersion"]
        found = awslambda.get_function_configuration(FunctionName=function, Qualifier=version)
        return found["Environment"]["Variables"]

    before = seen_by_the_api()
    with given_environment("RouterFunction", AWS_ENDPOINT_URL_SSM="http://127.0.0.1:9"):
        assert seen_by_the_api() == {**before, "AWS_ENDPOINT_URL_SSM": "http://127.0.0.1:9"}
    assert seen_by_the_api() == before


def test_a_version_that_cannot_be_deployed_says_why(aws):
    aws.example.deploy("v9.1.0")
    with pytest.raises(LocalError, match="transformer-v9-1-0 was not created"):
        aws.example.deploy("v9.1.0")


def test_what_is_stopped_frees_its_port(tmp_path, kept_port):
    running = server.start(tmp_path)
    assert running.port == kept_port
    client(running.endpoint_url, "sts").get_caller_identity()
    running.stop()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{running.endpoint_url}/health", timeout=2)
    assert not server.is_held(tmp_path)
    assert not Path(tmp_path / "tmp").exists()
