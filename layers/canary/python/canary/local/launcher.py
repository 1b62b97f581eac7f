"""The server's process: MiniStack in a process group of its own, under a lock.

It holds the lock for as long as it lives: a lock cannot be stale, and a process id can. On a leash (our standard
input), it ends with whoever holds the other end.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shutil
import signal
import sys
import threading
from importlib import import_module
from pathlib import Path

from canary.local.adapt import pass_client_context, share_layers

LOCK = "server.lock"
RECORD = "server.json"


def main() -> None:
    """Start MiniStack in the background, leave a record of how to find it, and end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument("layers", type=Path)
    parser.add_argument("--leash", action="store_true")
    arguments = parser.parse_args()
    sys.argv = sys.argv[:1]
    with (arguments.folder / LOCK).open("w") as lock:
        # Waits: somebody who only asks whether a server runs holds it for a moment.
        fcntl.flock(lock, fcntl.LOCK_EX)
        pid = os.fork()
        if pid:
            (arguments.folder / RECORD).write_text(json.dumps({"pid": pid, "port": arguments.port}))
            os._exit(0)
        os.setsid()
        if arguments.leash:
            threading.Thread(target=end_with_leash, args=(arguments.folder,), daemon=True).start()
        serve(arguments.layers)


def serve(layers: Path) -> None:
    """Run MiniStack until it is told to end."""
    # Imported only now: it takes most of the start, and the leash is watched meanwhile.
    service = import_module("ministack.services.lambda_svc")
    pass_client_context(import_module("ministack.core.lambda_runtime"), service)
    share_layers(service, layers)
    import_module("ministack.app").main()


def end_with_leash(folder: Path) -> None:
    """Wait until nobody holds the other end of our standard input; then remove the state and kill the process group."""
    sys.stdin.buffer.read()
    shutil.rmtree(folder, ignore_errors=True)
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main()
