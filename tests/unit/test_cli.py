"""The command line's own promises: help at once, examples everywhere, errors that are sentences."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import click
import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner

from canary.aws.flipper_function import FlipperFunction
from canary.cli.arguments import moment
from canary.cli.failure import explained
from canary.cli.main import main
from canary.cli.show_audit import cell
from canary.cli.text import plain
from canary.errors import Denied, Unavailable

VERBS = [name for name in main.list_commands(click.Context(main)) if name not in {"demo", "local"}]
NOON = 1_795_262_400_000


def test_help_is_there_at_once_because_no_verb_is_loaded_for_it():
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom canary.cli.main import main\n"
        "print(CliRunner().invoke(main, ['--help']).output)\n"
        "assert not {'boto3', 'botocore', 'rich', 'pynamodb'} & sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(f"  {name} " in done.stdout for name in VERBS)
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize("verb", [[verb] for verb in VERBS] + [["local", "up"], ["local", "down"], ["local", "status"]])
def test_every_verb_has_examples_and_writes_json(verb):
    done = CliRunner().invoke(main, [*verb, "--help"])
    assert done.exit_code == 0
    assert "Examples:" in done.stdout
    assert f"canary {' '.join(verb)}" in done.stdout
    assert "--json" in done.stdout


def test_the_contracts_verbs_are_all_there():
    contract = "init plan release status releases explain audit pause resume promote abort rollback retry stop-all start-all"
    assert set(main.list_commands(click.Context(main))) >= {*contract.split(), "doctor", "local", "demo"}


def test_a_verb_that_does_not_exist_is_wrong_usage():
    done = CliRunner().invoke(main, ["deploy"])
    assert done.exit_code == 2
    assert "No such command 'deploy'" in done.stderr


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2h", NOON - 7_200_000),
        ("90 m", NOON - 5_400_000),
        ("2026-11-21", NOON - 43_200_000),
        ("2026-11-21T12:00:00Z", NOON),
        ("2026-11-21T13:00:00.500+01:00", NOON + 500),
        (None, None),
    ],
)
def test_a_time_is_so_long_ago_or_a_date(text, at):
    assert moment(text, NOON, "--since") == at


@pytest.mark.parametrize("foreign", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_foreign_text_is_no_formula(foreign):
    assert cell(foreign) == f"'{foreign}"
    assert cell(f"a{foreign}") == f"a{foreign}"
    assert cell(-1) == -1


def test_a_foreign_text_does_not_run_the_terminal():
    assert plain("v1\x1b[2J\nok") == "v1·[2J·ok"


@pytest.mark.parametrize(
    ("error", "exit_code", "words"),
    [
        (Unavailable("STS", "NoCredentialsError", "none"), 2, "aws sso login"),
        (Denied("STS", "ExpiredTokenException", "old"), 2, "aws sso login"),
        (Unavailable("SSM", "EndpointConnectionError", "no route"), 1, "AWS_ENDPOINT_URL"),
        (Denied("SSM", "AccessDeniedException", "ssm:PutParameter"), 1, "docs/security.md"),
        (ClientError({"Error": {"Code": "Odd", "Message": "it broke"}}, "Op"), 1, "it broke"),
    ],
)
def test_an_error_is_a_sentence_that_says_what_to_do(error, exit_code, words):
    with pytest.raises(click.ClickException, match=words) as caught, explained(as_json=False, debug=False):
        raise error
    assert caught.value.exit_code == exit_code


def test_a_defect_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError), explained(as_json=True, debug=False):
        _ = 1 / 0


class FakeLambda:
    """Answers invocations with what it is given: a document, a function's error, or an error of Lambda's."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.payloads = []

    def invoke(self, **given):
        self.payloads.append((given["FunctionName"], json.loads(given["Payload"])))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        failed = {"FunctionError": "Unhandled"} if isinstance(answer, str) else {}
        return {"Payload": io.BytesIO(json.dumps(answer).encode()), **failed}


def passes(result):
    return {"passes": [{"app": "other", "result": "failed"}, {"app": "transformer", "result": result}]}


THROTTLED = ClientError({"Error": {"Code": "TooManyRequestsException", "Message": "slow down"}}, "Invoke")


def waking(*answers):
    client, paused = FakeLambda(*answers), []
    return FlipperFunction(client, "flipper", paused.append), client, paused


def test_waking_the_flipper_tells_what_came_of_its_pass():
    function, client, paused = waking(passes("done"))
    assert function.wake("transformer") == "done"
    assert client.payloads == [("flipper", {"app": "transformer"})]
    assert paused == []


def test_a_flipper_that_is_busy_or_throttled_is_asked_again_a_few_times():
    function, client, paused = waking(passes("busy"), THROTTLED, passes("done"))
    assert function.wake("transformer") == "done"
    assert len(client.payloads) == 3
    assert paused == [0.5, 1.0]
    function, client, _ = waking(*[passes("busy")] * 9)
    assert function.wake("transformer") == "busy"
    assert len(client.payloads) == 5
    function, client, _ = waking(*[THROTTLED] * 9)
    with pytest.raises(Unavailable, match="slow down"):
        function.wake("transformer")


def test_a_flipper_that_fails_is_not_asked_again():
    function, client, _ = waking("it broke", passes("done"))
    with pytest.raises(Unavailable, match=r"flipper failed, see its log: .*it broke"):
        function.wake("transformer")
    assert len(client.payloads) == 1
    assert waking({"passes": []})[0].wake("transformer") == "failed"
