"""Changes two things in MiniStack, in the server's process.

- Lambdas get their client context, which carries the router's request id. MiniStack drops it.
- Layers are unpacked and compiled once, for all servers. MiniStack has each worker do it for itself, which takes longer
  than all the rest of a cold start, and the tests start many.

Both reach into MiniStack's inside: that is why its version is pinned, and checked here.
"""

from __future__ import annotations

import compileall
import contextlib
import contextvars
import hashlib
import io
import json
import py_compile
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

# In MiniStack's worker script, and what stands there instead: the object of AWS's own Python runtime.
_NO_CLIENT_CONTEXT = '"client_context": None,'
_CLIENT_CONTEXT = '"client_context": _client_context((_ms_ctx.get("durable") or {}).get("client_context")),'
_DECODER = """
def _client_context(encoded):
    import base64, json, types
    if not encoded:
        return None
    given = json.loads(base64.b64decode(encoded))
    return types.SimpleNamespace(custom=given.get("custom"), env=given.get("env"), client=given.get("client"))

"""
# A worker adds this folder of a layer as a site directory, and so runs the lines of its .pth files that import.
_POINTER = "python/lib/python3/site-packages/shared.pth"

_client_context: contextvars.ContextVar[str] = contextvars.ContextVar("client_context", default="")


def pass_client_context(runtime: Any, service: Any) -> None:
    """Pass `X-Amz-Client-Context` on to Python Lambdas, as AWS does.

    It rides in the envelope that brings each invocation to its worker, in the part for values of one invocation.
    """
    script: str = runtime._PYTHON_WORKER_SCRIPT  # noqa: SLF001
    if script.count(_NO_CLIENT_CONTEXT) != 1:
        sys.exit("This version of MiniStack is not the one that was pinned: run `make setup`.")
    runtime._PYTHON_WORKER_SCRIPT = _DECODER + script.replace(_NO_CLIENT_CONTEXT, _CLIENT_CONTEXT)  # noqa: SLF001
    service._invoke = _remembering(service._invoke)  # noqa: SLF001
    service._durable_env_overlay = _enclosing(service._durable_env_overlay)  # noqa: SLF001


def share_layers(service: Any, folder: Path) -> None:
    """Unpack each layer once into the folder; workers get an archive that only points there."""
    resolve: Callable[[Any], bytes | None] = service._resolve_layer_zip  # noqa: SLF001
    one_at_a_time = threading.Lock()

    def share(attachment: Any) -> bytes | None:
        archive = resolve(attachment)
        if not archive:
            return archive
        with one_at_a_time:
            return pointer_to(unpacked(archive, folder))

    service._resolve_layer_zip = share  # noqa: SLF001


def unpacked(archive: bytes, folder: Path) -> Path:
    """Return the folder that holds the archive's files; they are unpacked and compiled if they are not there yet."""
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        # Not of the archive itself: SAM writes the times of files into it, and they change with every build.
        content = json.dumps(sorted((entry.filename, entry.CRC, entry.file_size) for entry in files.infolist()))
        target = folder / hashlib.sha256(content.encode()).hexdigest()[:16]
        if target.exists():
            return target
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as name:
            draft = Path(name) / "layer"
            files.extractall(draft)
            unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
            compileall.compile_dir(draft, quiet=2, stripdir=draft, prependdir=target, invalidation_mode=unchecked)
            # Whole or not at all; another server may have been faster.
            with contextlib.suppress(OSError):
                draft.rename(target)
    return target


def pointer_to(layer: Path) -> bytes:
    """Return a layer's archive that puts the unpacked layer where its own files would stand in the search path."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as files:
        files.writestr(_POINTER, f"import sys; sys.path.insert(0, {str(layer / 'python')!r})\n")
    return archive.getvalue()


def _remembering(invoke: Callable[..., Any]) -> Callable[..., Any]:
    async def remember(name: str, event: Any, headers: dict[str, str], *rest: Any, **options: Any) -> Any:
        named = {header.lower(): value for header, value in headers.items()}
        _client_context.set(named.get("x-amz-client-context", ""))
        return await invoke(name, event, headers, *rest, **options)

    return remember


def _enclosing(overlay: Callable[[], dict[str, str]]) -> Callable[[], dict[str, str]]:
    def enclose() -> dict[str, str]:
        return {**overlay(), "client_context": _client_context.get()}

    return enclose
