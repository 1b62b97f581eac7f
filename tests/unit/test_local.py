"""What the embedded AWS does without being started."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import subprocess
import sys
import types
import zipfile

import pytest

from canary.local import Checkout, LocalError, LocalStack, as_shell, exports
from canary.local.adapt import _DECODER, pass_client_context, pointer_to, share_layers
from canary.local.build import digest
from canary.local.deploy import local_url
from canary.local.server import find, is_held

OUTPUTS = {
    "AuditTable": "audit",
    "FlipperFunction": "flipper",
    "ParameterPrefix": "/canary",
    "ReleasesTable": "releases",
    "RouterFunction": "router",
}
STACK = LocalStack("http://127.0.0.1:1", "eu-west-1", "http://127.0.0.1:1/restapis/a/b/_user_request_", "k y", OUTPUTS)


@pytest.fixture
def root(tmp_path):
    (tmp_path / "layers" / "canary").mkdir(parents=True)
    (tmp_path / "router").mkdir()
    (tmp_path / "template.yaml").write_text("Resources: {}")
    (tmp_path / "router" / "app.py").write_text("")
    return tmp_path


def test_a_checkout_is_found_from_anywhere_inside(root):
    assert Checkout.find(root / "layers" / "canary") == Checkout(root)


def test_outside_of_a_checkout_the_error_says_what_to_do(tmp_path):
    with pytest.raises(LocalError, match="make setup"):
        Checkout.find(tmp_path)


def test_without_sam_the_error_says_what_to_do(root):
    with pytest.raises(LocalError, match="make setup"):
        _ = Checkout(root).sam


@pytest.mark.parametrize("change", ["content", "name", "new"])
def test_the_digest_changes_with_every_input(root, change):
    before = digest(root)
    match change:
        case "content":
            (root / "router" / "app.py").write_text("x")
        case "name":
            (root / "router" / "app.py").rename(root / "router" / "other.py")
        case _:
            (root / "openapi.yaml").write_text("")
    assert digest(root) != before


def test_the_digest_ignores_what_is_not_shipped(root):
    before = digest(root)
    (root / "router" / "__pycache__").mkdir()
    (root / "router" / "__pycache__" / "app.pyc").write_text("x")
    (root / "README.md").write_text("x")
    assert digest(root) == before


def test_the_url_on_aws_becomes_the_one_of_the_embedded_aws():
    assert (
        local_url("http://127.0.0.1:4567", "https://abc123.execute-api.eu-west-1.amazonaws.com/local")
        == "http://127.0.0.1:4567/restapis/abc123/local/_user_request_"
    )


def test_the_exports_cover_the_sdks_and_the_command_line():
    variables = exports(STACK)
    assert variables["AWS_ENDPOINT_URL"] == STACK.endpoint_url
    assert variables["AWS_REGION"] == variables["AWS_DEFAULT_REGION"] == STACK.region
    assert variables["CANARY_RELEASES_TABLE"] == "releases"


def test_the_exports_survive_a_shell():
    shell = as_shell(exports(STACK))
    assert "export CANARY_API_KEY='k y'" in shell
    assert shell.startswith("unset AWS_PROFILE")


def test_a_record_of_a_server_that_is_gone_is_not_believed(tmp_path):
    assert find(tmp_path) is None
    (tmp_path / "server.json").write_text(json.dumps({"pid": 1, "port": 1}))
    assert not is_held(tmp_path)
    assert find(tmp_path) is None


def test_the_client_context_reaches_the_worker():
    seen = []

    async def invoke(name, event, headers, *rest):
        seen.append(service._durable_env_overlay())

    runtime = types.SimpleNamespace(_PYTHON_WORKER_SCRIPT='{"client_context": None,}')
    service = types.SimpleNamespace(_invoke=invoke, _durable_env_overlay=dict)
    pass_client_context(runtime, service)
    asyncio.run(service._invoke("f", {}, {"X-Amz-Client-Context": "e30="}))
    assert seen == [{"client_context": "e30="}]
    assert "None" not in runtime._PYTHON_WORKER_SCRIPT.removeprefix(_DECODER)


def test_the_client_context_is_the_object_that_aws_gives():
    names = {}
    exec(_DECODER, names)
    encoded = base64.b64encode(json.dumps({"custom": {"canary_request_id": "r"}}).encode()).decode()
    assert names["_client_context"](encoded).custom == {"canary_request_id": "r"}
    assert names["_client_context"](encoded).env is None
    assert names["_client_context"](None) is None


def test_another_ministack_is_refused():
    with pytest.raises(SystemExit, match="make setup"):
        pass_client_context(types.SimpleNamespace(_PYTHON_WORKER_SCRIPT=""), types.SimpleNamespace())


def test_a_layer_is_unpacked_once_and_workers_import_from_there(tmp_path):
    layer = io.BytesIO()
    with zipfile.ZipFile(layer, "w") as files:
        files.writestr("python/boto3.py", "print(__file__)")
    service = types.SimpleNamespace(_resolve_layer_zip=lambda arn: layer.getvalue())
    share_layers(service, tmp_path / "shared")
    first, second = service._resolve_layer_zip("arn"), service._resolve_layer_zip("arn")
    assert first == second
    assert len(list((tmp_path / "shared").iterdir())) == 1
    zipfile.ZipFile(io.BytesIO(first)).extractall(tmp_path / "worker")
    # The worker's own steps: the layer's site directory is added, then the handler imports.
    site = tmp_path / "worker" / "python" / "lib" / "python3" / "site-packages"
    script = f"import site; site.addsitedir({str(site)!r}); import boto3"
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert printed.startswith(str(tmp_path / "shared")), "the layer comes before what is installed"


def test_a_function_without_that_layer_gets_none(tmp_path):
    service = types.SimpleNamespace(_resolve_layer_zip=lambda arn: None)
    share_layers(service, tmp_path)
    assert service._resolve_layer_zip("arn") is None


def test_the_pointer_survives_a_path_with_quotes(tmp_path):
    folder = tmp_path / "it's"
    with zipfile.ZipFile(io.BytesIO(pointer_to(folder))) as files:
        line = files.read(files.namelist()[0]).decode()
    compile(line, "shared.pth", "exec")
    assert "\n" not in line.rstrip("\n")
